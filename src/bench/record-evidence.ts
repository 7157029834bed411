import { readDomainFacts } from '../domain/domain-facts.ts'
import { type ObservedMachine, observe } from '../ipv6/evidence/observe.ts'
import type { Evidence, PathEvidence } from '../ipv6/evidence/schema.ts'
import { farKey, guestKey } from '../ipv6/evidence/topology.ts'
import { nicsOf } from '../ipv6/observe-vm.ts'
import { normalizeAddress } from '../os/address-text.ts'
import type { Machine } from '../testbed/machine.ts'
import type { Testbed } from '../testbed/testbed.ts'
import type { DirectionProbe } from './bench.ts'
import { type CaseDirection, linkOfRole, type Role } from './cases/bench-case.ts'

export interface RecordRequest {
  readonly testbed: Testbed
  readonly machines: Readonly<Partial<Record<Role, Machine>>>
  readonly host: Machine
  readonly domainXml: string
  readonly family: 'ipv4' | 'ipv6'
  /** What was probed a moment ago. */
  readonly probes: readonly DirectionProbe[]
  readonly signal: AbortSignal
}

/** What a diagnosis of a cell's VM needs, of one family: a run keeps it for each cell that is broken. */
export function recordEvidence({
  testbed,
  machines,
  host,
  domainXml,
  family,
  probes,
  signal,
}: RecordRequest): Promise<Evidence> {
  const facts = readDomainFacts(domainXml)
  const nics = nicsOf(facts, testbed)
  const farEnds = new Map(
    (Object.entries(linkOfRole) as [Exclude<Role, 'dut'>, number][]).flatMap(([role, index]) => {
      const link = testbed.links[index]
      const machine = machines[role]
      const nic = nics.find(({ uplink }) => uplink !== undefined && uplink === link?.uplink)
      if (link === undefined || machine === undefined || nic === undefined) return []
      const far = { kind: 'pc', name: role, nic: link.pc.interface, machine: observed(machine) } as const
      return [[nic.name, [far]] as const]
    }),
  )
  return observe({
    vm: { name: facts.name, ours: true, state: 'running' },
    host: observed(host),
    guest: machines.dut === undefined ? undefined : observed(machines.dut),
    ...{ nics, farEnds, signal },
    intended: new Map(),
    unknowns: [],
    select: (path) => path.family === family,
    known: (path) => {
      const found = probes.find(({ direction, record }) => isPathOf(path, direction, record.address))
      if (found === undefined) return undefined
      const { sent, received, rttMs, failure } = found.record
      return {
        sent,
        received,
        ...(rttMs === undefined ? {} : { rttMs }),
        ...(failure === undefined ? {} : { said: failure }),
      }
    },
  })
}

/** Key of a role's machine in the evidence. */
export function evidenceKey(role: Role): string {
  return role === 'dut' ? guestKey : farKey(role)
}

/** Whether a path of the evidence is a direction to one of its addresses. */
export function isPathOf(
  path: Pick<PathEvidence, 'from' | 'to'>,
  { from, to }: CaseDirection,
  address: string,
): boolean {
  return (
    path.from.machine === evidenceKey(from.role) &&
    path.from.link === from.interfaceName &&
    path.to.machine === evidenceKey(to.role) &&
    normalizeAddress(path.to.address) === normalizeAddress(address)
  )
}

function observed({ shell, os }: Machine): ObservedMachine {
  return { shell, asRoot: os.kind === 'vyos' ? ['sudo', '-n'] : [] }
}
