import { randomUUID } from 'node:crypto'
import { isVmrError } from '../errors/vmr-error.ts'
import { type MachineInterface, type ProbeEnd, probeReachability } from '../ipv6/reachability.ts'
import { type TraceHop, traceSolicitation } from '../ipv6/solicitation-trace.ts'
import type { RunFolder } from '../results/run-folder.ts'
import type { CellResult, ReachabilityRecord, SolicitationRecord, ThroughputRecord } from '../results/schema.ts'
import type { Machine } from '../testbed/machine.ts'
import type { CaseDirection, CaseEnd, CaseSetup, Role } from './cases/bench-case.ts'
import { measureThroughput } from './iperf/measure.ts'
import type { ThroughputSettings } from './matrix.ts'
import type { PlannedCell } from './plan.ts'
import { summarise } from './statistics.ts'
import { lostDirections, verdictOf } from './verdict.ts'
import { wireLimitBitsPerSecond } from './wire-limit.ts'

/** A case that is set up on its machines, ready to be measured. */
export interface Bench {
  readonly setup: CaseSetup
  readonly machines: Readonly<Partial<Record<Role, Machine>>>
  /** Every place where a frame of this direction can be seen, in the order of its way. */
  readonly hops: (direction: CaseDirection) => readonly TraceHop[]
  readonly folder: RunFolder
  readonly throughput: ThroughputSettings | false
  readonly tcpTimestamps: boolean
  /** Of everything random in this run. */
  readonly seed: number
  readonly signal: AbortSignal
  readonly onProgress: (activity: string) => void
}

/**
 * Measures one cell: reachability from cold caches, throughput where something arrives, reachability again; of a
 * direction that is lost, where its solicitation was last seen. What fails makes the cell an error with its cause;
 * only the caller's abort ends the run.
 */
export async function measureCell(cell: PlannedCell, bench: Bench): Promise<CellResult> {
  const startedAt = new Date()
  const progress: { -readonly [Key in keyof Measurements]: Measurements[Key] } = { ...nothingMeasured }
  const result = (verdict: CellResult['verdict']) => cellResult(cell, startedAt, progress, verdict)
  try {
    progress.probesBefore = await probeAll(cell, bench)
    progress.throughput = await measureAll(cell, bench, lostDirections(progress.probesBefore))
    progress.probesAfter = await probeAgain(cell, bench, progress.probesBefore)
    const { probesBefore, probesAfter } = progress
    progress.solicitations = await traceAll(cell, bench, [...probesBefore, ...probesAfter])
    return result(verdictOf({ family: cell.family, probesBefore, probesAfter }))
  } catch (error) {
    bench.signal.throwIfAborted()
    return result({ verdict: 'error', error: errorRecord(error) })
  }
}

type Measurements = Pick<CellResult, 'probesBefore' | 'throughput' | 'probesAfter' | 'solicitations'>

const nothingMeasured: Measurements = { probesBefore: [], throughput: [], probesAfter: [], solicitations: [] }

function cellResult(
  cell: PlannedCell,
  startedAt: Date,
  measurements: Measurements,
  verdict: CellResult['verdict'],
): CellResult {
  return {
    id: cell.id,
    case: cell.case,
    dut: cell.dut,
    ...(cell.dut === 'vm' ? { mode: cell.mode } : {}),
    family: cell.family,
    form: 'static',
    startedAt: startedAt.toISOString(),
    seconds: (Date.now() - startedAt.getTime()) / 1000,
    loadSeconds: 0,
    complete: true,
    actors: {},
    ...measurements,
    verdict,
  }
}

/** The result of a cell whose machines could not be set up. */
export function unmeasuredCell(cell: PlannedCell, error: unknown): CellResult {
  return cellResult(cell, new Date(), nothingMeasured, { verdict: 'error', error: errorRecord(error) })
}

function errorRecord(error: unknown): { code: string; message: string; hint?: string } {
  if (!isVmrError(error)) return { code: 'INTERNAL', message: error instanceof Error ? error.message : String(error) }
  const { code, message, hint } = error
  return { code, message, ...(hint === undefined ? {} : { hint }) }
}

function machineOf({ machines }: Bench, role: Role): Machine {
  const machine = machines[role]
  if (machine === undefined) throw new RangeError(`nobody plays ${role} in this case`)
  return machine
}

function probeEnd(
  bench: Bench,
  { role, interfaceName, addresses }: CaseEnd,
  family: PlannedCell['family'],
  address = addresses[family],
): ProbeEnd {
  return { machine: machineOf(bench, role), interfaceName, address }
}

function routersBetween(bench: Bench): readonly MachineInterface[] {
  return bench.setup.between.map(({ role, interfaceName }) => ({ machine: machineOf(bench, role), interfaceName }))
}

/** Every direction to every address, until one is lost: that settles the direction. */
async function probeAll(cell: PlannedCell, bench: Bench): Promise<ReachabilityRecord[]> {
  const records: ReachabilityRecord[] = []
  for (const direction of bench.setup.directions) {
    const { addresses, witnesses } = direction.to
    for (const address of [addresses[cell.family], ...witnesses[cell.family]]) {
      bench.onProgress(`${cell.id}: probing from cold caches, ${direction.name}`)
      const record = await probeUntilSure(cell, bench, direction, address)
      records.push(record)
      if (!record.reachable) break
    }
  }
  return records
}

/** What each direction showed before the load is looked at again: the address that was lost, else the one measured. */
async function probeAgain(
  cell: PlannedCell,
  bench: Bench,
  before: readonly ReachabilityRecord[],
): Promise<ReachabilityRecord[]> {
  const records: ReachabilityRecord[] = []
  for (const direction of bench.setup.directions) {
    bench.onProgress(`${cell.id}: probing again, ${direction.name}`)
    const lost = before.find((each) => !each.reachable && each.direction === direction.name)
    const address = lost?.address ?? direction.to.addresses[cell.family]
    records.push(await probeUntilSure(cell, bench, direction, address))
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
    between: routersBetween(bench),
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

async function measureAll(cell: PlannedCell, bench: Bench, lost: readonly string[]): Promise<ThroughputRecord[]> {
  const { throughput, setup } = bench
  if (throughput === false) return []
  const directions = throughput.directions === 'both' ? setup.directions : setup.directions.slice(0, 1)
  const records: ThroughputRecord[] = []
  for (const direction of directions) {
    if (lost.includes(direction.name))
      records.push({ status: 'unreachable', way: wayOf(direction, setup), direction: direction.name })
    else records.push(await measureDirection(cell, bench, throughput, direction))
  }
  return records
}

function wayOf(direction: CaseDirection, { directions }: CaseSetup): 'there' | 'back' {
  return direction === directions[0] ? 'there' : 'back'
}

async function measureDirection(
  cell: PlannedCell,
  bench: Bench,
  { tool, seconds, repetitions, omitSeconds, streams }: ThroughputSettings,
  direction: CaseDirection,
): Promise<ThroughputRecord> {
  const { signal, folder, setup, seed } = bench
  const samples = []
  for (let repetition = 1; repetition <= repetitions; repetition++) {
    bench.onProgress(`${cell.id}: ${tool} ${direction.name}, ${repetition} of ${repetitions}`)
    const { raw, retransmits, lossShare, jitterMs, ...sample } = await measureThroughput(tool, {
      sender: probeEnd(bench, direction.from, cell.family),
      receiver: probeEnd(bench, direction.to, cell.family),
      family: cell.family,
      seconds,
      omitSeconds,
      streams,
      signal,
    })
    const name = `${cell.id}/${direction.name.replace('>', '-to-')}-${tool}-${repetition}.${tool === 'iperf3' ? 'json' : 'txt'}`
    samples.push({
      ...sample,
      visit: 1,
      ...(retransmits === undefined ? {} : { retransmits }),
      ...(lossShare === undefined ? {} : { lossShare }),
      ...(jitterMs === undefined ? {} : { jitterMs }),
      raw: await folder.writeRaw(name, raw),
    })
  }
  const { interval, ...summary } = summarise(
    samples.map(({ bitsPerSecond }) => bitsPerSecond),
    seed,
  )
  const { linkBitsPerSecond, mtu, vlanTags, tunnel } = setup.path
  const limit = wireLimitBitsPerSecond({
    linkBitsPerSecond,
    mtu,
    vlanTags,
    family: cell.family,
    protocol: 'tcp',
    tcpTimestamps: bench.tcpTimestamps,
    ...(tunnel === undefined ? {} : { tunnel }),
  })
  return {
    status: 'measured',
    way: wayOf(direction, setup),
    direction: direction.name,
    protocol: 'tcp',
    streams,
    samples,
    summary: { ...summary, ...(interval === undefined ? {} : { interval }) },
    wireLimitBitsPerSecond: limit,
    shareOfWireLimit: summary.median / limit,
  }
}

async function traceAll(
  cell: PlannedCell,
  bench: Bench,
  probes: readonly ReachabilityRecord[],
): Promise<SolicitationRecord[]> {
  const records: SolicitationRecord[] = []
  for (const direction of bench.setup.directions) {
    const lost = probes.find((each) => !each.reachable && each.direction === direction.name)
    if (lost === undefined) continue
    bench.onProgress(`${cell.id}: following the solicitation, ${direction.name}`)
    const trace = await traceSolicitation({
      from: probeEnd(bench, direction.from, cell.family),
      to: probeEnd(bench, direction.to, cell.family, lost.address),
      family: cell.family,
      hops: bench.hops(direction),
      between: routersBetween(bench),
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
