import { randomUUID } from 'node:crypto'
import { type MachineInterface, type ProbeEnd, probeReachability } from '../ipv6/reachability.ts'
import { traceSolicitation } from '../ipv6/solicitation-trace.ts'
import type { ReachabilityRecord, SolicitationRecord } from '../results/schema.ts'
import type { Machine } from '../testbed/machine.ts'
import type { Bench } from './bench.ts'
import type { CaseDirection, CaseEnd, Role } from './cases/bench-case.ts'
import type { PlannedCell } from './plan.ts'

export function machineOf({ machines }: Pick<Bench, 'machines'>, role: Role): Machine {
  const machine = machines[role]
  if (machine === undefined) throw new RangeError(`nobody plays ${role} in this case`)
  return machine
}

export function probeEnd(
  bench: Bench,
  { role, interfaceName, addresses }: CaseEnd,
  family: PlannedCell['family'],
  address = addresses[family],
): ProbeEnd {
  return { machine: machineOf(bench, role), interfaceName, address }
}

function routersBetween(bench: Bench, { from, to }: CaseDirection): readonly MachineInterface[] {
  return bench.setup.between
    .filter(({ role, interfaceName }) =>
      [from, to].every((end) => end.role !== role || end.interfaceName !== interfaceName),
    )
    .map(({ role, interfaceName }) => ({ machine: machineOf(bench, role), interfaceName }))
}

/** Every direction to every address, until one is lost: that settles the direction. */
export async function probeAll(cell: PlannedCell, bench: Bench): Promise<ReachabilityRecord[]> {
  const records: ReachabilityRecord[] = []
  for (const direction of bench.setup.directions[cell.family]) {
    const { addresses, witnesses } = direction.to
    for (const address of [addresses[cell.family], ...witnesses[cell.family]]) {
      bench.onProgress(`probing from cold caches, ${direction.name}`)
      const record = await probeUntilSure(cell, bench, direction, address)
      records.push(record)
      if (!record.reachable) break
    }
  }
  return records
}

/**
 * After the load: the directions that carried it, and those that were lost before, each at the address that was lost,
 * else the one measured.
 */
export async function probeAgain(
  cell: PlannedCell,
  bench: Bench,
  before: readonly ReachabilityRecord[],
  loaded: readonly string[],
): Promise<ReachabilityRecord[]> {
  const records: ReachabilityRecord[] = []
  for (const direction of bench.setup.directions[cell.family]) {
    const lost = before.find((each) => !each.reachable && each.direction === direction.name)
    if (lost === undefined && !loaded.includes(direction.name)) continue
    bench.onProgress(`probing again, ${direction.name}`)
    const address = lost?.address ?? direction.to.addresses[cell.family]
    // What was lost twice before the load and is still lost needs no further proof.
    const probeOnce = lost === undefined ? probeUntilSure : probe
    records.push(await probeOnce(cell, bench, direction, address))
  }
  return records
}

/** A path is lost when it is lost twice: once can be a guest that a busy host kept waiting. */
async function probeUntilSure(
  cell: PlannedCell,
  bench: Bench,
  direction: CaseDirection,
  address: string,
): Promise<ReachabilityRecord> {
  const first = await probe(cell, bench, direction, address)
  return first.reachable ? first : probe(cell, bench, direction, address)
}

async function probe(
  { family }: PlannedCell,
  bench: Bench,
  direction: CaseDirection,
  address: string,
): Promise<ReachabilityRecord> {
  const { neighbourStates, rttMs, failure, ...counted } = await probeReachability({
    from: probeEnd(bench, direction.from, family),
    to: probeEnd(bench, direction.to, family, address),
    family,
    between: routersBetween(bench, direction),
    signal: bench.signal,
  })
  return {
    ...counted,
    direction: direction.name,
    address,
    ...(rttMs === undefined ? {} : { rttMs }),
    ...(failure === undefined ? {} : { failure }),
    neighbourStates: {
      ...(neighbourStates.from === undefined ? {} : { from: neighbourStates.from }),
      ...(neighbourStates.to === undefined ? {} : { to: neighbourStates.to }),
    },
  }
}

/** Of each direction within one network that is lost: where its solicitation was last seen. */
export async function traceAll(
  cell: PlannedCell,
  bench: Bench,
  probes: readonly ReachabilityRecord[],
): Promise<SolicitationRecord[]> {
  const records: SolicitationRecord[] = []
  for (const direction of bench.setup.directions[cell.family]) {
    const lost = probes.find((each) => !each.reachable && each.direction === direction.name)
    if (lost === undefined || direction.routed) continue
    bench.onProgress(`following the solicitation, ${direction.name}`)
    const trace = await traceSolicitation({
      from: probeEnd(bench, direction.from, cell.family),
      to: probeEnd(bench, direction.to, cell.family, lost.address),
      family: cell.family,
      hops: bench.hops(direction),
      between: routersBetween(bench, direction),
      signal: bench.signal,
    })
    for (const [hop, text] of Object.entries(trace.captures))
      await bench.folder.writeRaw(
        `${cell.id}/trace-${randomUUID().slice(0, 8)}-${hop.replaceAll(/[^\w-]+/g, '-')}.txt`,
        text,
      )
    const { protocol, target, hops, lastSeen, firstMissing, line } = trace
    records.push({
      direction: direction.name,
      protocol,
      target,
      hops: [...hops],
      ...(lastSeen === undefined ? {} : { lastSeen }),
      ...(firstMissing === undefined ? {} : { firstMissing }),
      line,
    })
  }
  return records
}
