import type {
  CounterRecord,
  CpuRecord,
  SampleRecord,
  ThroughputRecord,
  Way,
  ZeroLossRecord,
} from '../results/schema.ts'
import type { RunningCommand, Shell } from '../shell/shell.ts'
import type { Machine } from '../testbed/machine.ts'
import type { Bench } from './bench.ts'
import { type CaseDirection, reversed } from './cases/bench-case.ts'
import { measureThroughput, readToolVersion, startThroughputServer } from './iperf/measure.ts'
import type { ThroughputRequest, ThroughputSample, ThroughputServer, ThroughputTool } from './iperf/throughput.ts'
import { parseLatency, startLatency } from './load-latency.ts'
import type { ThroughputSettings, ZeroLossSettings } from './matrix.ts'
import type { Visit } from './plan.ts'
import { probeEnd } from './probe-cell.ts'
import { type Interval, medianInterval, summarise } from './statistics.ts'
import { coreUse, counterDeltas, readUsage, readVmThreads, threadShares } from './usage.ts'
import { wireLimitBitsPerSecond } from './wire-limit.ts'
import { findZeroLossRate } from './zero-loss.ts'

export interface Traffic {
  readonly throughput: ThroughputRecord[]
  /** What load was applied for, in seconds. */
  readonly loadSeconds: number
}

/** One stream of packets from one end to the other. */
interface Flow {
  readonly direction: CaseDirection
  readonly request: ThroughputRequest
  readonly limit: number
}

/**
 * Measures every way of a cell that carries anything, as often as the visit says, and adds it to what earlier visits
 * measured.
 *
 * @throws VmrError MEASUREMENT_FAILED, HOST_TOOL_MISSING, and what the shells throw.
 */
export async function measureTraffic(
  visit: Visit,
  bench: Bench,
  lost: readonly string[],
  earlier: readonly ThroughputRecord[],
): Promise<Traffic> {
  const { throughput: settings, setup } = bench
  const there = setup.traffic[visit.cell.family]
  if (settings === false || there === undefined) return { throughput: [], loadSeconds: 0 }
  const records: ThroughputRecord[] = []
  let loadSeconds = 0
  for (const way of visit.cell.ways) {
    const directions = directionsOf(way, there)
    if (directions.some(({ name }) => lost.includes(name))) {
      records.push(...directions.map(({ name }) => ({ status: 'unreachable' as const, way, direction: name })))
      continue
    }
    const before = directions.map(({ name }) => samplesOf(earlier, way, name))
    const measured = await measureWay(visit, bench, settings, { way, directions, before })
    records.push(...measured.throughput)
    loadSeconds += measured.loadSeconds
  }
  return { throughput: records, loadSeconds }
}

export function directionsOf(way: Way, there: CaseDirection): readonly CaseDirection[] {
  const back = reversed(there)
  return { there: [there], back: [back], both: [there, back] }[way]
}

function samplesOf(records: readonly ThroughputRecord[], way: Way, direction: string): readonly SampleRecord[] {
  return records.flatMap((each) =>
    each.way === way && each.direction === direction && each.status === 'measured' ? each.samples : [],
  )
}

interface WayRequest {
  readonly way: Way
  readonly directions: readonly CaseDirection[]
  /** Samples of earlier visits, by direction. */
  readonly before: readonly (readonly SampleRecord[])[]
}

async function measureWay(
  visit: Visit,
  bench: Bench,
  settings: ThroughputSettings,
  { way, directions, before }: WayRequest,
): Promise<Traffic> {
  const { repetitions, last, number } = visit
  const flows = directions.map((direction, index) => flowOf(visit, bench, settings, direction, way, index))
  for (const { request } of flows)
    for (const { machine } of [request.sender, request.receiver])
      await requireTool(machine, settings.tool, bench.signal)
  const samples = before.map((each) => [...each])
  let loadSeconds = 0
  await withServers(settings, flows, async (servers) => {
    const atLeast = repetitions
    const atMost = last ? Math.max(atLeast, (settings.maxRepetitions ?? 0) - (before[0]?.length ?? 0)) : atLeast
    let usage = await snapshot(bench)
    for (let repetition = 1; repetition <= atMost; repetition++) {
      if (repetition > atLeast && samples.every((each) => isNarrow(each, settings, bench.seed))) break
      const which = repetition <= atLeast ? `${repetition} of ${atLeast}` : `${repetition} of at most ${atMost}`
      bench.onProgress(`${settings.tool} ${flows.map(({ direction }) => direction.name).join(' and ')}, ${which}`)
      const { samples: measured, after } = await measureOnce(visit, bench, settings, flows, { servers, before: usage })
      usage = after
      loadSeconds += settings.seconds + settings.omitSeconds
      for (const [index, sample] of measured.entries()) {
        const { direction } = flows[index] ?? {}
        const name = `${visit.cell.id}/${way}-${direction?.name.replace('>', '-to-')}-${settings.tool}-${(samples[index]?.length ?? 0) + 1}`
        const { raw, ...figures } = sample
        const file = await bench.folder.writeRaw(`${name}.${settings.tool === 'iperf3' ? 'json' : 'txt'}`, raw)
        samples[index]?.push({ ...figures, visit: number, raw: file })
      }
    }
  })
  return {
    loadSeconds,
    throughput: flows.map(({ direction, limit, request }, index): ThroughputRecord => {
      const own = samples[index] ?? []
      const { interval, ...summary } = summarise(
        own.map(({ bitsPerSecond }) => bitsPerSecond),
        bench.seed,
      )
      return {
        status: 'measured',
        way,
        direction: direction.name,
        protocol: settings.protocol,
        streams: settings.streams,
        ...(request.udpBitsPerSecond === undefined ? {} : { offeredBitsPerSecond: request.udpBitsPerSecond }),
        samples: own,
        summary: { ...summary, ...(interval === undefined ? {} : { interval }) },
        wireLimitBitsPerSecond: limit,
        shareOfWireLimit: summary.median / limit,
      }
    }),
  }
}

/** Which tools were found on which machine: a guest takes a quarter of a second for the answer, and it stays the same. */
const found = new WeakMap<Shell, Set<ThroughputTool>>()

async function requireTool({ shell, ...machine }: Machine, tool: ThroughputTool, signal: AbortSignal): Promise<void> {
  const tools = found.get(shell) ?? new Set()
  if (tools.has(tool)) return
  await readToolVersion({ ...machine, shell }, tool, signal)
  found.set(shell, tools.add(tool))
}

function isNarrow(samples: readonly SampleRecord[], { targetInterval }: ThroughputSettings, seed: number): boolean {
  const rates = samples.map(({ bitsPerSecond }) => bitsPerSecond)
  const interval: Interval | undefined = medianInterval(rates, { seed })
  return interval !== undefined && interval.high - interval.low <= targetInterval * summarise(rates, seed).median
}

function limitOf(visit: Visit, bench: Bench, protocol: 'tcp' | 'udp', way: Way): number {
  const { linkBitsPerSecond, mtu, vlanTags, tunnel } = bench.setup.path
  return wireLimitBitsPerSecond({
    linkBitsPerSecond,
    mtu,
    vlanTags,
    family: visit.cell.family,
    protocol,
    tcpTimestamps: bench.tcpTimestamps,
    bothWays: way === 'both',
    ...(tunnel === undefined ? {} : { tunnel }),
  })
}

/** Each direction of `both` has a port of its own. */
const firstPort = { iperf3: 5201, iperf2: 5001 } as const

function flowOf(
  visit: Visit,
  bench: Bench,
  settings: ThroughputSettings,
  direction: CaseDirection,
  way: Way,
  index: number,
): Flow {
  const { tool, protocol, seconds, omitSeconds, streams, udpMbits } = settings
  const { family } = visit.cell
  const limit = limitOf(visit, bench, protocol, way)
  return {
    direction,
    limit,
    request: {
      sender: probeEnd(bench, direction.from, family),
      receiver: probeEnd(bench, direction.to, family),
      family,
      seconds,
      omitSeconds,
      streams,
      protocol,
      ...(protocol === 'udp' ? { udpBitsPerSecond: udpMbits === undefined ? Math.floor(limit) : udpMbits * 1e6 } : {}),
      port: firstPort[tool] + index,
      signal: bench.signal,
    },
  }
}

async function withServers(
  { tool }: Pick<ThroughputSettings, 'tool'>,
  flows: readonly Flow[],
  task: (servers: readonly (ThroughputServer | undefined)[]) => Promise<void>,
): Promise<void> {
  const servers: (ThroughputServer | undefined)[] = []
  try {
    for (const { request } of flows) servers.push(await startThroughputServer(tool, request))
    await task(servers)
  } finally {
    await Promise.all(servers.map((server) => server?.stop()))
  }
}

type MeasuredSample = Omit<SampleRecord, 'visit' | 'raw'> & { readonly raw: string }

async function measureOnce(
  { cell }: Visit,
  bench: Bench,
  settings: ThroughputSettings,
  flows: readonly Flow[],
  { servers, before }: { readonly servers: readonly (ThroughputServer | undefined)[]; readonly before: Snapshot },
): Promise<{ readonly samples: readonly MeasuredSample[]; readonly after: Snapshot }> {
  const startedAt = new Date().toISOString()
  const [first] = flows
  const ping =
    settings.latency && first !== undefined ? await pingBeside(bench, first, cell.family, settings) : undefined
  let samples: readonly ThroughputSample[]
  try {
    const running = flows.map(({ request }, index) => measureThroughput(settings.tool, request, servers[index]))
    // All of them end before anything is taken away, also when one fails.
    const outcomes = await Promise.allSettled(running)
    samples = outcomes.map((outcome) => {
      if (outcome.status === 'rejected') throw outcome.reason
      return outcome.value
    })
  } finally {
    await ping?.stop()
  }
  const after = await snapshot(bench)
  const latency = ping === undefined ? undefined : parseLatency((await ping.ended).stdout)
  const { cpu, counters } = difference(bench, before, after)
  const measured = samples.map(({ retransmits, lossShare, jitterMs, ...sample }) => ({
    ...sample,
    startedAt,
    ...(retransmits === undefined ? {} : { retransmits }),
    ...(lossShare === undefined ? {} : { lossShare }),
    ...(jitterMs === undefined ? {} : { jitterMs }),
    ...(latency === undefined ? {} : { latency }),
    cpu,
    counters,
  }))
  return { samples: measured, after }
}

/** The end that is no guest pings, where there is one: a guest's console and processor have enough to do. */
function pingBeside(
  bench: Bench,
  { direction }: Flow,
  family: 'ipv4' | 'ipv6',
  { seconds, omitSeconds }: ThroughputSettings,
): Promise<RunningCommand> {
  const [from, to] = [probeEnd(bench, direction.from, family), probeEnd(bench, direction.to, family)]
  const duration = { family, seconds: seconds + omitSeconds, signal: bench.signal }
  const swap = from.machine.os.kind === 'vyos' && to.machine.os.kind !== 'vyos'
  return swap ? startLatency(to, from, duration) : startLatency(from, to, duration)
}

async function snapshot({ usage, vmNames, signal }: Bench) {
  const [machines, threads] = await Promise.all([
    Promise.all(usage.map(({ shell }) => readUsage(shell, signal))),
    readVmThreads(vmNames),
  ])
  return { machines, threads, at: performance.now() }
}

type Snapshot = Awaited<ReturnType<typeof snapshot>>

function difference(
  { usage }: Bench,
  before: Snapshot,
  after: Snapshot,
): { readonly cpu: CpuRecord[]; readonly counters: CounterRecord[] } {
  const pairs = usage.flatMap((source, index) => {
    const [start, end] = [before.machines[index], after.machines[index]]
    return start === undefined || end === undefined ? [] : [{ source, start, end }]
  })
  const threads = threadShares(before.threads, after.threads, (after.at - before.at) / 1000)
  return {
    cpu: pairs
      .filter(({ source }) => source.ownProcessor)
      .map(({ source, start, end }) => ({
        machine: source.machine,
        cores: coreUse(start, end),
        ...(source.machine === 'host' && threads.length > 0 ? { threads } : {}),
      })),
    counters: pairs.flatMap(({ source, start, end }) => counterDeltas(source.machine, start, end)),
  }
}

/** Ethernet header and frame check sequence; IPv4 and IPv6 headers without options; UDP header. */
const frameOverheadBytes = { ipv4: 14 + 4 + 20 + 8, ipv6: 14 + 4 + 40 + 8 } as const

/**
 * Searches the zero-loss rate of a cell's first direction for each frame size.
 *
 * @throws VmrError as {@link measureTraffic}.
 */
export async function searchZeroLoss(
  { cell }: Visit,
  bench: Bench,
  { frameBytes, seconds, resolution }: ZeroLossSettings,
): Promise<ZeroLossRecord[]> {
  const there = bench.setup.traffic[cell.family]
  if (there === undefined) return []
  const records: ZeroLossRecord[] = []
  const [sender, receiver] = [probeEnd(bench, there.from, cell.family), probeEnd(bench, there.to, cell.family)]
  for (const size of frameBytes) {
    const datagramBytes = size - frameOverheadBytes[cell.family]
    // iperf3's own header in each datagram (iperf_udp.c): 4 bytes sequence, 8 bytes time, 16 in its 64-bit form.
    if (datagramBytes < 16) continue
    const wireBytes = size + 20
    const limit = (bench.setup.path.linkBitsPerSecond * datagramBytes) / wireBytes
    const request = {
      sender,
      receiver,
      family: cell.family,
      seconds,
      protocol: 'udp',
      datagramBytes,
      signal: bench.signal,
    } as const
    const server = await startThroughputServer('iperf3', request)
    try {
      const { bitsPerSecond, trials } = await findZeroLossRate({
        highestBitsPerSecond: limit,
        resolution,
        attempt: async (offered) => {
          bench.onProgress(`zero loss, frames of ${size} bytes at ${Math.round(offered / 1e6)} Mbit/s`)
          const sample = await measureThroughput(
            'iperf3',
            { ...request, udpBitsPerSecond: Math.max(1, Math.floor(offered)) },
            server,
          )
          return { offeredBitsPerSecond: offered, lossShare: sample.lossShare ?? 0, seconds: sample.seconds }
        },
      })
      records.push({
        direction: there.name,
        frameBytes: size,
        ...(bitsPerSecond === undefined ? {} : { bitsPerSecond, framesPerSecond: bitsPerSecond / 8 / datagramBytes }),
        wireLimitBitsPerSecond: limit,
        trials: [...trials],
      })
    } finally {
      await server?.stop()
    }
  }
  return records
}
