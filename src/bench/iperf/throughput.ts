import { isVmrError, VmrError } from '../../errors/vmr-error.ts'
import { throwIfAborted } from '../../shell/abort.ts'
import type { RunningCommand, RunResult } from '../../shell/shell.ts'
import type { Machine } from '../../testbed/machine.ts'

export const throughputTools = ['iperf3', 'iperf2'] as const
export type ThroughputTool = (typeof throughputTools)[number]

/** One end of a measurement: a machine and its address, without prefix length, that the other end sends to. */
interface TrafficEnd {
  readonly machine: Machine
  readonly address: string
}

export interface ThroughputRequest {
  /** Sends, and opens the connection: its first packet is what resolves the neighbour. */
  readonly sender: TrafficEnd
  readonly receiver: TrafficEnd
  readonly family: 'ipv4' | 'ipv6'
  /** Whole seconds measured, after those that are omitted; both tools cut a fraction off. */
  readonly seconds: number
  /** Seconds at the start that do not count: slow start. iperf 2 has no such option. Default 0. */
  readonly omitSeconds?: number
  /** Connections at once. Default 1. */
  readonly streams?: number
  /** Default tcp. */
  readonly protocol?: 'tcp' | 'udp'
  /** UDP only: what all streams together send, in bits per second. */
  readonly udpBitsPerSecond?: number
  /** UDP only: payload of each datagram in bytes. Default: what fits into a packet. */
  readonly datagramBytes?: number
  /** TCP maximum segment size in bytes. Default: the path's. */
  readonly mss?: number
  /** Default: the tool's own, 5201 or 5001. */
  readonly port?: number
  readonly signal?: AbortSignal
}

/** What one run measured. */
export interface ThroughputSample {
  readonly tool: ThroughputTool
  /** Payload that arrived, in bits per second. */
  readonly bitsPerSecond: number
  /** What the figure is an average over. */
  readonly seconds: number
  /** TCP segments sent again; undefined where the tool or the system does not say. */
  readonly retransmits: number | undefined
  /** UDP: share of the datagrams that did not arrive, 0 to 1, and variation of their delay. */
  readonly lossShare: number | undefined
  readonly jitterMs: number | undefined
  /** What the tool printed, whole. */
  readonly raw: string
}

/** Time for what is not measuring: the guest's console, connecting, exchanging results. */
const slackMs = 20_000
/** What a server may take until it listens. */
export const serverReadyMs = 20_000
export const connectTimeoutMs = 5_000

interface ClientCommand {
  readonly machine: Machine
  readonly argv: readonly string[]
  /** How long the run is meant to take. */
  readonly seconds: number
  /** For messages: "iperf3 from pc1 to r1 (192.168.1.1 port 5201)". */
  readonly where: string
  readonly maxOutputBytes?: number
  readonly signal?: AbortSignal | undefined
}

/**
 * Runs a client to its end.
 *
 * @throws VmrError MEASUREMENT_FAILED when it hangs: a machine on its way is gone; and what the shell throws.
 */
export async function runClient(command: ClientCommand): Promise<RunResult> {
  const { machine, argv, seconds, where, maxOutputBytes, signal } = command
  const timeoutMs = seconds * 1000 + connectTimeoutMs + slackMs
  try {
    return await machine.shell.run(argv, {
      timeoutMs,
      ...(maxOutputBytes === undefined ? {} : { maxOutputBytes }),
      ...(signal === undefined ? {} : { signal }),
    })
  } catch (error) {
    // The caller's own time limit is the caller's.
    if (signal?.aborted === true || !isVmrError(error) || error.code !== 'TIMED_OUT') throw error
    const hung = `${where} hung: no end after ${timeoutMs / 1000} s of a run of ${seconds} s`
    throw new VmrError('MEASUREMENT_FAILED', hung, {
      hint: 'One of the two, or the path between them, is gone.',
      cause: error,
    })
  }
}

/** A server for measurements that follow each other. */
export interface ThroughputServer {
  stop(): Promise<unknown>
}

export interface ServerCommand {
  readonly machine: Machine
  readonly argv: readonly string[]
  readonly port: number
  readonly signal?: AbortSignal | undefined
}

/**
 * Starts a server and waits until it says that it listens. The caller stops it.
 *
 * @throws VmrError MEASUREMENT_FAILED with the server's own words when it ended instead, as on a port in use.
 */
export async function startServer({ machine, argv, port, signal }: ServerCommand): Promise<RunningCommand> {
  const limit = AbortSignal.any([AbortSignal.timeout(serverReadyMs), ...(signal === undefined ? [] : [signal])])
  const server = await machine.shell.start(argv, signal === undefined ? {} : { signal })
  const onLimit = () => void server.stop()
  limit.addEventListener('abort', onLimit, { once: true })
  try {
    for await (const line of server.lines) {
      if (/^Server listening on /.test(line)) return server
    }
  } catch (error) {
    await server.stop()
    throw error
  } finally {
    limit.removeEventListener('abort', onLimit)
  }
  const result = await server.ended
  throwIfAborted(signal, `the ${argv[0]} server on ${machine.name}`)
  const words = ownWords(result)
  throw new VmrError(
    'MEASUREMENT_FAILED',
    limit.aborted
      ? `the ${argv[0]} server on ${machine.name} did not listen on port ${port} within ${serverReadyMs / 1000} s`
      : `the ${argv[0]} server on ${machine.name} ended before it listened on port ${port}: ${words}`,
    portHint(machine, words),
  )
}

/** What to do about a server that does not start, by its own words. */
export function portHint({ name }: Pick<Machine, 'name'>, words: string): { readonly hint?: string } {
  return /in use/i.test(words)
    ? { hint: `Another program on ${name} has the port: end it, or measure on another port.` }
    : {}
}

/** The last lines of what a tool said, short enough for a message. */
export function ownWords({ stdout, stderr, exitCode }: RunResult): string {
  const text = stderr.trim() || stdout.trim()
  const lines = [...new Set(text.split('\n').map((line) => line.trim()))].filter((line) => line !== '')
  return lines.length === 0 ? `exit status ${exitCode}` : lines.slice(-3).join('; ').slice(0, 500)
}

export function familyFlag(family: 'ipv4' | 'ipv6'): '-4' | '-6' {
  return family === 'ipv4' ? '-4' : '-6'
}
