import { randomUUID } from 'node:crypto'
import { type MachineInterface, type ProbeEnd, probeTogether, type Reachability } from '../ipv6/reachability.ts'
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

/** What probing showed; of a direction within one network that is lost, where its solicitation was last seen. */
export interface CellProbes {
  readonly records: readonly ReachabilityRecord[]
  readonly solicitations: readonly SolicitationRecord[]
}

/** One direction, to one of its addresses. */
interface Target {
  readonly direction: CaseDirection
  readonly address: string
}

interface ProbeChoice {
  /** Directions; undefined for all. */
  readonly only: readonly string[] | undefined
  /** Directions that an earlier visit proved to be lost. */
  readonly lostBefore: readonly string[]
}

/** Every direction that is chosen, to every address of its end; of a direction, up to the first address that is lost. */
export function probeAll(cell: PlannedCell, bench: Bench, { only, lostBefore }: ProbeChoice): Promise<CellProbes> {
  const directions = bench.setup.directions[cell.family].filter(({ name }) => only?.includes(name) ?? true)
  const targets = directions.flatMap((direction) => {
    const { addresses, witnesses } = direction.to
    return [addresses[cell.family], ...witnesses[cell.family]].map((address) => ({ direction, address }))
  })
  return probeTargets(cell, bench, targets, 'probing from cold caches', (name) => lostBefore.includes(name))
}

/**
 * After the load: the directions that carried it, and those that were lost before, each at the address that was lost,
 * else the one measured.
 */
export function probeAgain(
  cell: PlannedCell,
  bench: Bench,
  before: readonly ReachabilityRecord[],
  loaded: readonly string[],
): Promise<CellProbes> {
  const lostBefore = (name: string) => before.find((each) => !each.reachable && each.direction === name)
  const targets = bench.setup.directions[cell.family].flatMap((direction): Target[] => {
    const lost = lostBefore(direction.name)
    if (lost === undefined && !loaded.includes(direction.name)) return []
    return [{ direction, address: lost?.address ?? direction.to.addresses[cell.family] }]
  })
  // What was lost twice before the load and is still lost needs no further proof.
  return probeTargets(cell, bench, targets, 'probing again', (name) => lostBefore(name) !== undefined)
}

async function probeTargets(
  cell: PlannedCell,
  bench: Bench,
  targets: readonly Target[],
  activity: string,
  isSure: (direction: string) => boolean = () => false,
): Promise<CellProbes> {
  const records: ReachabilityRecord[] = []
  const solicitations: SolicitationRecord[] = []
  for (const together of phasesOf(targets)) {
    const names = [...new Set(together.map(({ direction }) => direction.name))]
    bench.onProgress(`${activity}, ${names.join(' and ')}`)
    const first = await probeOnce(cell, bench, together)
    for (const name of names) {
      const own = first.filter((each) => each.direction === name)
      const lost = own.findIndex(({ reachable }) => !reachable)
      if (lost === -1 || isSure(name)) {
        records.push(...own)
        continue
      }
      records.push(...own.slice(0, lost))
      // A path is lost when it is lost twice: once can be a guest that a busy host kept waiting.
      for (const { address } of own.slice(lost)) {
        const target = together.find((each) => each.direction.name === name && each.address === address)
        if (target === undefined) continue
        const again = await probeOnceMore(cell, bench, target, { trace: !explained(target.direction, solicitations) })
        records.push(again.record)
        if (again.record.reachable) continue
        if (again.solicitation !== undefined) solicitations.push(again.solicitation)
        break
      }
    }
  }
  return { records, solicitations }
}

/**
 * What can be probed at once from one cold start. Towards the DUT goes first, then from it; a probe of one must not run
 * beside one of the other, since each teaches its target the sender. Between PCs one way after the other.
 */
function phasesOf(targets: readonly Target[]): readonly (readonly Target[])[] {
  const kind = ({ direction: { from, to, name, routed } }: Target) =>
    routed || (from.role !== 'dut' && to.role !== 'dut') ? name : to.role === 'dut' ? 'to the DUT' : 'from the DUT'
  const rank = (target: Target) => ['to the DUT', 'from the DUT', kind(target)].indexOf(kind(target))
  const sorted = targets.toSorted((a, b) => rank(a) - rank(b))
  return [...new Set(sorted.map(kind))].map((each) => sorted.filter((target) => kind(target) === each))
}

async function probeOnce(
  { family }: PlannedCell,
  bench: Bench,
  targets: readonly Target[],
): Promise<readonly ReachabilityRecord[]> {
  const probes = targets.map(({ direction, address }) => ({
    from: probeEnd(bench, direction.from, family),
    to: probeEnd(bench, direction.to, family, address),
  }))
  const between = targets.flatMap(({ direction }) => routersBetween(bench, direction))
  const results = await probeTogether(probes, { family, between, signal: bench.signal })
  return targets.flatMap(({ direction, address }, index) => {
    const result = results[index]
    return result === undefined ? [] : [reachabilityRecord(direction, address, result)]
  })
}

/**
 * Behind a router the address that is probed is not the one that is solicited. And between PCs nothing is to be followed
 * that is already lost between one of them and the DUT: it takes seconds, and shows the same hop.
 */
function explained({ from, to, routed }: CaseDirection, known: readonly SolicitationRecord[]): boolean {
  return routed || (from.role !== 'dut' && to.role !== 'dut' && known.length > 0)
}

/** Watches, where it is to be traced, every place on the way where the neighbour solicitation can be seen. */
async function probeOnceMore(
  cell: PlannedCell,
  bench: Bench,
  { direction, address }: Target,
  { trace: isTraced }: { readonly trace: boolean },
): Promise<{ readonly record: ReachabilityRecord; readonly solicitation?: SolicitationRecord }> {
  const request = {
    from: probeEnd(bench, direction.from, cell.family),
    to: probeEnd(bench, direction.to, cell.family, address),
    family: cell.family,
    between: routersBetween(bench, direction),
    signal: bench.signal,
  }
  if (!isTraced) {
    const [result] = await probeTogether([request], request)
    if (result === undefined) throw new RangeError('a probe gave no result')
    return { record: reachabilityRecord(direction, address, result) }
  }
  bench.onProgress(`following the solicitation, ${direction.name}`)
  const trace = await traceSolicitation({ ...request, hops: bench.hops(direction) })
  const record = reachabilityRecord(direction, address, trace.reachability)
  if (record.reachable) return { record }
  for (const [hop, text] of Object.entries(trace.captures))
    await bench.folder.writeRaw(
      `${cell.id}/trace-${randomUUID().slice(0, 8)}-${hop.replaceAll(/[^\w-]+/g, '-')}.txt`,
      text,
    )
  const { protocol, target, hops, lastSeen, firstMissing, line } = trace
  return {
    record,
    solicitation: {
      direction: direction.name,
      protocol,
      target,
      hops: [...hops],
      ...(lastSeen === undefined ? {} : { lastSeen }),
      ...(firstMissing === undefined ? {} : { firstMissing }),
      line,
    },
  }
}

function reachabilityRecord(
  direction: CaseDirection,
  address: string,
  { neighbourStates, rttMs, failure, ...counted }: Reachability,
): ReachabilityRecord {
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
