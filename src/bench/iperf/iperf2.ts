import { setTimeout as delay } from 'node:timers/promises'
import { VmrError } from '../../errors/vmr-error.ts'
import type { RunningCommand, RunResult } from '../../shell/shell.ts'
import { ownWords, runClient, startServer, type ThroughputRequest, type ThroughputSample } from './throughput.ts'

const defaultPort = 5001
/** Between the client's end and the server's report lies one round trip and the server's own end. */
const reportMs = 10_000

/**
 * Measures with iperf 2, the tool of the classic measurements: a server for this one test on the receiver, the client on
 * the sender. Both are gone when this returns or throws. The figure is the server's, what arrived; the client counts
 * what it handed to its kernel.
 *
 * @throws VmrError MEASUREMENT_FAILED with iperf's own words; USAGE for `omitSeconds`, which iperf 2 does not have.
 */
export async function measureWithIperf2(request: ThroughputRequest): Promise<ThroughputSample> {
  const { sender, receiver, signal, port = defaultPort, protocol = 'tcp' } = request
  if ((request.omitSeconds ?? 0) > 0)
    throw new VmrError('USAGE', 'iperf 2 cannot leave out the first seconds of a run', {
      hint: 'Set omitSeconds to 0, or measure with iperf3.',
    })
  const server = await startServer({ machine: receiver.machine, argv: iperf2ServerArgv(request), port, signal })
  const where = `iperf from ${sender.machine.name} to ${receiver.machine.name} (${receiver.address} port ${port})`
  try {
    const client = await runClient({
      machine: sender.machine,
      argv: iperf2ClientArgv(request),
      seconds: request.seconds,
      where,
      signal,
    })
    const failure = clientFailure(client)
    if (failure !== undefined) throw new VmrError('MEASUREMENT_FAILED', `${where}: ${failure}`)
    const report = await endOf(server)
    return parseIperf2Report(report.stdout, {
      where,
      protocol,
      streams: request.streams ?? 1,
      raw: `${client.stdout}\n${report.stdout}`,
    })
  } finally {
    await server.stop()
  }
}

function iperf2ServerArgv(request: ThroughputRequest): readonly string[] {
  const { receiver, family, port = defaultPort, protocol = 'tcp', streams = 1 } = request
  // -P: the server ends by itself after this many connections, with its report complete. -f k: figures to 1 kbit/s.
  return [
    ...['iperf', '-s', '-f', 'k', '-B', receiver.address, '-p', String(port), '-P', String(streams)],
    ...(family === 'ipv6' ? ['-V'] : []),
    ...(protocol === 'udp' ? ['-u'] : []),
  ]
}

function iperf2ClientArgv(request: ThroughputRequest): readonly string[] {
  const { receiver, family, seconds, streams = 1, protocol = 'tcp', port = defaultPort } = request
  return [
    ...['iperf', '-c', receiver.address, '-f', 'k', '-p', String(port), '-t', String(seconds)],
    ...(family === 'ipv6' ? ['-V'] : []),
    ...(streams > 1 ? ['-P', String(streams)] : []),
    ...(request.mss === undefined || protocol === 'udp' ? [] : ['-M', String(request.mss)]),
    ...(protocol === 'udp' && request.datagramBytes !== undefined ? ['-l', String(request.datagramBytes)] : []),
    ...(protocol === 'udp' ? ['-u', '-b', String(Math.floor((request.udpBitsPerSecond ?? 1e9) / streams))] : []),
  ]
}

/** iperf 2 exits with status 0 also when it could not connect. */
function clientFailure(client: RunResult): string | undefined {
  const failed = client.stderr.split('\n').find((line) => /failed|error|unreachable|refused|timed out/i.test(line))
  if (failed !== undefined) return failed.trim().slice(0, 500)
  return client.exitCode === 0 ? undefined : ownWords(client)
}

async function endOf(server: RunningCommand): Promise<RunResult> {
  const limit = new AbortController()
  try {
    return await Promise.race([
      server.ended,
      delay(reportMs, undefined, { signal: limit.signal }).then(() => server.stop()),
    ])
  } finally {
    limit.abort()
  }
}

/**
 * Reads the report of an iperf 2 server run with `-f k`, from 2.0.5 to 2.1:
 * `[  1] 0.0000-5.0123 sec  581632 KBytes  950613 Kbits/sec`, for UDP followed by jitter, lost and total datagrams;
 * with several connections the last `[SUM]` counts.
 *
 * @throws VmrError MEASUREMENT_FAILED when there is no figure for the whole of it.
 */
export function parseIperf2Report(
  text: string,
  context: {
    readonly where: string
    readonly protocol: 'tcp' | 'udp'
    readonly streams: number
    readonly raw: string
  },
): ThroughputSample {
  const pattern =
    /^\[ *(SUM|\*?\d+)(?:-\d+)?\] +(\d+(?:\.\d+)?) *- *(\d+(?:\.\d+)?) sec +(\d+(?:\.\d+)?) KBytes +(\d+(?:\.\d+)?) Kbits\/sec(?: +(\d+(?:\.\d+)?) ms +(\d+)\/ *(\d+))?/
  const lines = text.split('\n').flatMap((line) => {
    const match = pattern.exec(line)
    return match === null ? [] : [match]
  })
  const match = lines.findLast(([, id]) => (context.streams > 1 ? id === 'SUM' : id !== 'SUM'))
  if (match === undefined) {
    const last = text.trim().split('\n').at(-1) ?? ''
    throw new VmrError(
      'MEASUREMENT_FAILED',
      `${context.where}: the server reported no figure${last === '' ? '' : `; its last line: ${last.slice(0, 200)}`}`,
    )
  }
  const seconds = Number(match[3]) - Number(match[2])
  const lost = match[7] === undefined ? undefined : Number(match[7])
  const total = match[8] === undefined ? undefined : Number(match[8])
  return {
    tool: 'iperf2',
    bitsPerSecond: Number(match[5]) * 1000,
    seconds,
    // Only the sender knows them, and iperf 2 prints them with options that older versions lack.
    retransmits: undefined,
    lossShare: lost === undefined || total === undefined || total === 0 ? undefined : lost / total,
    jitterMs: match[6] === undefined ? undefined : Number(match[6]),
    raw: context.raw,
  }
}
