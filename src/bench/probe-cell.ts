import { randomUUID } from 'node:crypto'
import type { Evidence, PathEvidence } from '../ipv6/evidence/schema.ts'
import { hostKey } from '../ipv6/evidence/topology.ts'
import { type MachineInterface, type ProbeEnd, probeTogether, type Reachability } from '../ipv6/reachability.ts'
import { evaluateHops, type TraceHop, traceSolicitation } from '../ipv6/solicitation-trace.ts'
import type { ReachabilityRecord, SolicitationRecord } from '../results/schema.ts'
import type { Machine } from '../testbed/machine.ts'
import type { Bench, DirectionProbe } from './bench.ts'
import type { CaseDirection, CaseEnd, Role } from './cases/bench-case.ts'
import type { PlannedCell } from './plan.ts'
import { evidenceKey, isPathOf } from './record-evidence.ts'
import { lostDirections } from './verdict.ts'

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

/** What was probed once. A path is lost when it is lost twice: once can be a guest that a busy host kept waiting. */
export interface ProbedOnce {
  readonly probes: readonly DirectionProbe[]
  /** Names of directions that are lost, and were not lost before. */
  readonly doubtful: readonly string[]
}

interface ProbeChoice {
  /** Directions; undefined for all. */
  readonly only: readonly string[] | undefined
  /** Directions that an earlier visit proved to be lost. */
  readonly lostBefore: readonly string[]
}

/** Every direction that is chosen, to every address of its end. */
export function probeAll(cell: PlannedCell, bench: Bench, { only, lostBefore }: ProbeChoice): Promise<ProbedOnce> {
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
): Promise<ProbedOnce> {
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
  isSure: (direction: string) => boolean,
): Promise<ProbedOnce> {
  const probes: DirectionProbe[] = []
  for (const together of phasesOf(targets)) {
    bench.onProgress(`${activity}, ${[...new Set(together.map(({ direction }) => direction.name))].join(' and ')}`)
    probes.push(...(await probeOnce(cell, bench, together)))
  }
  const lost = lostDirections(probes.map(({ record }) => record))
  return { probes, doubtful: lost.filter((name) => !isSure(name)) }
}

/**
 * What can be probed at once from one cold start: all that one machine sends. Who only answers teaches the sender
 * nothing but what it asked for, and nobody else has anything to find out. The DUT sends last.
 */
function phasesOf(targets: readonly Target[]): readonly (readonly Target[])[] {
  const senders = [...new Set(targets.map(({ direction }) => direction.from.role))]
  return senders
    .toSorted((a, b) => Number(a === 'dut') - Number(b === 'dut'))
    .map((role) => targets.filter(({ direction }) => direction.from.role === role))
}

/** What a second probe showed. */
interface SecondProbe {
  readonly record: ReachabilityRecord
  readonly solicitation?: SolicitationRecord
}

/** Probes what is in doubt again, one address after the other, and follows its solicitation. */
export function confirmByTracing(cell: PlannedCell, bench: Bench, once: ProbedOnce): Promise<CellProbes> {
  return confirmed(once, (probe, trace) => probeOnceMore(cell, bench, probe, { trace }))
}

/** As few packets prove nothing: those of RFC 4861 section 10. */
const leastSent = 3

/** Takes the second probe from the evidence, which probed again whatever was lost, with every hop watched. */
export function confirmByEvidence(
  cell: PlannedCell,
  bench: Bench,
  once: ProbedOnce,
  { paths }: Evidence,
): Promise<CellProbes> {
  return confirmed(once, async (probe, trace): Promise<SecondProbe> => {
    const { direction, record } = probe
    const path = paths.find((each) => each.family === cell.family && isPathOf(each, direction, record.address))
    const second = path?.trace?.probe
    if (path === undefined || second === undefined || (second.received === 0 && second.sent < leastSent))
      return probeOnceMore(cell, bench, probe, { trace })
    if (second.received === 0) return { record, ...(trace ? { solicitation: solicitationOf(probe, path, bench) } : {}) }
    const { failure: _first, ...rest } = record
    const { sent, received, rttMs } = second
    return {
      record: {
        ...rest,
        ...{ reachable: true, sent, received, neighbourStates: {} },
        ...(rttMs === undefined ? {} : { rttMs }),
      },
    }
  })
}

/** Of a direction that is in doubt, up to the first address that is lost again. Those between the DUT and a PC go first. */
async function confirmed(
  { probes, doubtful }: ProbedOnce,
  again: (probe: DirectionProbe, trace: boolean) => Promise<SecondProbe>,
): Promise<CellProbes> {
  const records: ReachabilityRecord[] = []
  const solicitations: SolicitationRecord[] = []
  const inOrder = probes.toSorted((a, b) => Number(!isOfDut(a.direction)) - Number(!isOfDut(b.direction)))
  for (const name of new Set(inOrder.map(({ direction }) => direction.name))) {
    let isLost = false
    for (const probe of inOrder.filter(({ direction }) => direction.name === name)) {
      if (isLost) break
      if (probe.record.reachable || !doubtful.includes(name)) {
        records.push(probe.record)
        continue
      }
      const { record, solicitation } = await again(probe, !explained(probe.direction, solicitations))
      records.push(record)
      isLost = !record.reachable
      if (isLost && solicitation !== undefined) solicitations.push(solicitation)
    }
  }
  return { records, solicitations }
}

function isOfDut({ from, to }: Pick<CaseDirection, 'from' | 'to'>): boolean {
  return from.role === 'dut' || to.role === 'dut'
}

function solicitationOf({ direction, record }: DirectionProbe, path: PathEvidence, bench: Bench): SolicitationRecord {
  const keyOf = ({ machine }: TraceHop) => {
    const role = (Object.keys(bench.machines) as Role[]).find((each) => bench.machines[each]?.shell === machine.shell)
    return role === undefined ? hostKey : evidenceKey(role)
  }
  const { sightings = [], unwatched = [] } = path.trace ?? {}
  const counts = bench.hops(direction).flatMap((hop) => {
    const place = path.hops.find(({ machine, link }) => machine === keyOf(hop) && link === hop.interfaceName)
    if (place === undefined || unwatched.includes(place.name)) return []
    const seen = sightings.find(({ hop: name, kind }) => name === place.name && kind === 'request')
    return [{ hop: hop.name, count: seen?.count ?? 0 }]
  })
  const { lastSeen, firstMissing, line } = evaluateHops(counts)
  return {
    direction: direction.name,
    protocol: requestNames[path.family],
    target: record.address,
    hops: counts,
    ...(lastSeen === undefined ? {} : { lastSeen }),
    ...(firstMissing === undefined ? {} : { firstMissing }),
    line,
  }
}

const requestNames = { ipv4: 'ARP request', ipv6: 'neighbour solicitation' } as const

async function probeOnce(
  { family }: PlannedCell,
  bench: Bench,
  targets: readonly Target[],
): Promise<readonly DirectionProbe[]> {
  const probes = targets.map(({ direction, address }) => ({
    from: probeEnd(bench, direction.from, family),
    to: probeEnd(bench, direction.to, family, address),
  }))
  const between = targets.flatMap(({ direction }) => routersBetween(bench, direction))
  const results = await probeTogether(probes, { family, between, signal: bench.signal })
  return targets.flatMap(({ direction, address }, index) => {
    const result = results[index]
    return result === undefined ? [] : [{ direction, record: reachabilityRecord(direction, address, result) }]
  })
}

/**
 * Behind a router the address that is probed is not the one that is solicited. And between PCs nothing is to be followed
 * that is already lost between one of them and the DUT: it takes seconds, and shows the same hop.
 */
function explained({ from, to, routed }: CaseDirection, known: readonly SolicitationRecord[]): boolean {
  return routed || (!isOfDut({ from, to }) && known.length > 0)
}

/** Watches, where it is to be traced, every place on the way where the neighbour solicitation can be seen. */
async function probeOnceMore(
  cell: PlannedCell,
  bench: Bench,
  { direction, record: { address } }: DirectionProbe,
  { trace: isTraced }: { readonly trace: boolean },
): Promise<SecondProbe> {
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
