import { readDomainFacts } from '../domain/domain-facts.ts'
import type { TraceHop } from '../ipv6/solicitation-trace.ts'
import type { Machine } from '../testbed/machine.ts'
import type { Testbed } from '../testbed/testbed.ts'
import { type CaseDirection, linkOfRole, type Role } from './cases/bench-case.ts'

interface Places {
  readonly machines: Readonly<Partial<Record<Role, Machine>>>
  /** Where the uplinks are: the host, or the namespace in which it is the DUT. */
  readonly uplinks: Machine
  readonly testbed: Testbed
  /** Of the VM that is the DUT: what it is attached by, in the order of the links. */
  readonly dut:
    | { readonly kind: 'host' }
    | { readonly kind: 'vm'; readonly domainXml: string; readonly macs: readonly string[] }
}

/** The way of a frame from end to end within one network: wire, uplink, what the VM is attached by, guest, and out again. */
export function hopsOf({ from, to }: CaseDirection, places: Places): readonly TraceHop[] {
  const [near, far] = [from, to].map((end) => end.role)
  if (near === undefined || far === undefined) return []
  if (far === 'dut') return towardsDut(from, to.interfaceName, places)
  if (near === 'dut') return towardsDut(to, from.interfaceName, places).toReversed()
  const entering = towardsDut(from, undefined, places)
  const leaving = towardsDut(to, undefined, places)
  return [...entering, ...leaving.toReversed()]
}

/** From a PC into the DUT; `dutInterface` is where the frame is for the DUT itself, a bridge over its NIC for one. */
function towardsDut(
  pc: CaseDirection['from'],
  dutInterface: string | undefined,
  { machines, uplinks, testbed, dut }: Places,
): readonly TraceHop[] {
  const position = pc.role === 'dut' ? 0 : linkOfRole[pc.role]
  const link = testbed.links[position]
  const [pcMachine, dutMachine] = [machines[pc.role], machines.dut]
  if (link === undefined || pcMachine === undefined || dutMachine === undefined) return []
  const onPc = { name: `${pc.role} ${pc.interfaceName}`, machine: pcMachine, interfaceName: pc.interfaceName }
  const uplink = { name: `host uplink ${link.uplink}`, machine: uplinks, interfaceName: link.uplink }
  if (dut.kind === 'host') {
    const above = dutInterface === undefined || dutInterface === link.uplink ? [] : [dutInterface]
    return [onPc, uplink, ...above.map((name) => ({ name: `host ${name}`, machine: dutMachine, interfaceName: name }))]
  }
  const { target } = readDomainFacts(dut.domainXml).nics.find(({ mac }) => mac === dut.macs[position]) ?? {}
  const nic = `eth${position}`
  const inGuest = dutInterface === undefined || dutInterface === nic ? [nic] : [nic, dutInterface]
  return [
    onPc,
    uplink,
    ...(target === undefined ? [] : [{ name: target, machine: uplinks, interfaceName: target }]),
    ...inGuest.map((name) => ({ name: `guest ${name}`, machine: dutMachine, interfaceName: name })),
  ]
}
