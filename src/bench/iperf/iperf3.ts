import { z } from 'zod'
import { VmrError } from '../../errors/vmr-error.ts'
import { startGuestServer } from './guest-server.ts'
import {
  connectTimeoutMs,
  familyFlag,
  ownWords,
  runClient,
  startServer,
  type ThroughputRequest,
  type ThroughputSample,
  type ThroughputServer,
} from './throughput.ts'

const defaultPort = 5201
/** An interval of one second and one stream takes some 700 bytes. */
const maxJsonBytes = 16 * 1024 * 1024

const rate = z.number().nonnegative()
const sumSchema = z.object({
  bits_per_second: rate,
  seconds: z.number().nonnegative(),
  bytes: z.number().nonnegative(),
})

/** Of what `iperf3 --json` prints (iperf_api.c, iperf_json_finish), only what is read here. */
const reportSchema = z.object({
  start: z.object({ version: z.string().max(100).optional() }).optional(),
  error: z.string().max(2000).optional(),
  end: z
    .object({
      sum_sent: sumSchema.extend({ retransmits: z.number().int().nonnegative().optional() }).optional(),
      sum_received: sumSchema.optional(),
      sum: sumSchema
        .extend({ jitter_ms: z.number().nonnegative().optional(), lost_percent: z.number().min(0).max(100).optional() })
        .optional(),
    })
    .optional(),
})

/**
 * Starts a server for any number of measurements one after the other. The caller stops it.
 *
 * @throws VmrError MEASUREMENT_FAILED with iperf3's own words, as on a port in use.
 */
export function startIperf3Server(request: ThroughputRequest): Promise<ThroughputServer> {
  const { receiver, signal, port = defaultPort } = request
  const command = { machine: receiver.machine, argv: iperf3ServerArgv(request), port, signal }
  return receiver.machine.os.kind === 'vyos' ? startGuestServer(command) : startServer(command)
}

/**
 * Measures with iperf3: the client on the sender, and on the receiver a server that runs already, or one for this
 * measurement alone. Client and own server are gone when this returns or throws.
 *
 * Both directions at once are two of these on two ports: up to 3.10.1, `--bidir --json` gives two results the same key,
 * and reading it silently loses one (esnet/iperf#952).
 *
 * @throws VmrError MEASUREMENT_FAILED with iperf3's own words, and what the shells throw.
 */
export async function measureWithIperf3(
  request: ThroughputRequest,
  running?: ThroughputServer,
): Promise<ThroughputSample> {
  const { sender, receiver, signal, port = defaultPort } = request
  const server = running ?? (await startIperf3Server(request))
  const where = `iperf3 from ${sender.machine.name} to ${receiver.machine.name} (${receiver.address} port ${port})`
  try {
    const result = await runClient({
      machine: sender.machine,
      argv: iperf3ClientArgv(request),
      seconds: request.seconds + (request.omitSeconds ?? 0),
      where,
      maxOutputBytes: maxJsonBytes,
      signal,
    })
    return parseIperf3Report(result.stdout, request.protocol ?? 'tcp', { where, otherwise: ownWords(result) })
  } finally {
    if (running === undefined) await server.stop()
  }
}

function iperf3ServerArgv({ receiver, family, port = defaultPort }: ThroughputRequest): readonly string[] {
  // Into a pipe or a file it would otherwise say only at its end that it listens.
  return ['iperf3', '-s', familyFlag(family), '-B', receiver.address, '-p', String(port), '--forceflush']
}

export function iperf3ClientArgv(request: ThroughputRequest): readonly string[] {
  const { receiver, family, seconds, omitSeconds = 0, streams = 1, protocol = 'tcp', port = defaultPort } = request
  return [
    ...['iperf3', '-c', receiver.address, familyFlag(family), '-p', String(port), '-J'],
    ...['-t', String(seconds), '--connect-timeout', String(connectTimeoutMs)],
    ...(omitSeconds > 0 ? ['-O', String(omitSeconds)] : []),
    ...(streams > 1 ? ['-P', String(streams)] : []),
    ...(request.mss === undefined || protocol === 'udp' ? [] : ['-M', String(request.mss)]),
    // iperf3's rate is per stream; 0 is as fast as it goes.
    ...(protocol === 'udp' && request.datagramBytes !== undefined ? ['-l', String(request.datagramBytes)] : []),
    ...(protocol === 'udp' ? ['-u', '-b', String(Math.floor((request.udpBitsPerSecond ?? 0) / streams))] : []),
  ]
}

/**
 * Reads what an iperf3 client printed with `-J`: what arrived at the receiver, not what the sender handed to its kernel.
 *
 * @throws VmrError MEASUREMENT_FAILED with iperf3's error, or when this is no report.
 */
export function parseIperf3Report(
  text: string,
  protocol: 'tcp' | 'udp',
  context: { readonly where: string; readonly otherwise: string },
): ThroughputSample {
  const fail = (words: string, hint?: string) =>
    new VmrError('MEASUREMENT_FAILED', `${context.where}: ${words}`, hint === undefined ? {} : { hint })
  let data: unknown
  try {
    data = JSON.parse(text)
  } catch {
    throw fail(`no JSON report: ${context.otherwise}`)
  }
  const parsed = reportSchema.safeParse(data)
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    throw fail(
      `unreadable report: ${issue?.path.join('.')}: ${issue?.message}`,
      'vmr reads the reports of iperf3 3.1 and later.',
    )
  }
  const { error, end } = parsed.data
  if (error !== undefined) throw fail(error)
  // For UDP end.sum may count what was sent (esnet/iperf#1174); 3.10 and later have sum_received beside it.
  const received = end?.sum_received ?? (protocol === 'udp' ? end?.sum : undefined)
  if (received === undefined || received.seconds === 0) throw fail('the report has no figure for the receiver')
  const lossShare = end?.sum?.lost_percent === undefined ? undefined : end.sum.lost_percent / 100
  return {
    tool: 'iperf3',
    bitsPerSecond: received.bits_per_second,
    seconds: received.seconds,
    retransmits: end?.sum_sent?.retransmits,
    lossShare: protocol === 'udp' ? lossShare : undefined,
    jitterMs: protocol === 'udp' ? end?.sum?.jitter_ms : undefined,
    raw: text,
  }
}
