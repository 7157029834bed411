import { VmrError } from '../errors/vmr-error.ts'
import { normalizeAddress } from '../os/address-text.ts'
import type { NetworkObservation } from '../os/os.ts'
import type { RunResult } from '../shell/shell.ts'
import type { Machine } from '../testbed/machine.ts'

export type Family = 'ipv4' | 'ipv6'

/** A machine on one of its links. */
export interface MachineInterface {
  readonly machine: Machine
  readonly interfaceName: string
}

/** A machine with the interface that holds its address (the bridge, not its port) and the address without prefix length. */
export interface ProbeEnd extends MachineInterface {
  readonly address: string
}

export interface ReachabilityRequest {
  readonly from: ProbeEnd
  readonly to: ProbeEnd
  readonly family: Family
  /**
   * Where neighbour entries are forgotten first, beside the two ends: each interface of a router in between that
   * resolves a next hop on the way.
   */
  readonly between?: readonly MachineInterface[]
  readonly signal?: AbortSignal
}

/** What one probe from cold caches showed. */
export interface Reachability {
  readonly family: Family
  readonly from: string
  readonly to: string
  readonly reachable: boolean
  readonly sent: number
  readonly received: number
  /** Of the first answer. */
  readonly rttMs: number | undefined
  /** Kernel NUD state of each end's entry for the other right after the probe; undefined without an entry. */
  readonly neighbourStates: { readonly from: string | undefined; readonly to: string | undefined }
  /** What ping said where it could not even send: "Network is unreachable". */
  readonly failure: string | undefined
}

/**
 * Long enough for the three solicitations a second apart that the kernel sends before it gives an address up
 * (RFC 4861 section 10: MAX_MULTICAST_SOLICIT, RETRANS_TIMER; the same for ARP).
 */
const probeSeconds = 3
const minSent = 3
const sendIntervalSeconds = 0.5
/** A guest without KVM on a busy host answers its console late. */
const commandSlackMs = 30_000
const maxAttempts = 3

/**
 * Whether `from` reaches `to`, starting without any neighbour entry: the first packet has to resolve its way. One
 * direction only, and each call forgets what an earlier one taught: a probe the other way teaches the target's neighbour
 * its address, and hides a path on which solicitations are lost.
 *
 * Ends with the first answer; "not reachable" takes at least three packets over three seconds.
 */
export async function probeReachability(request: ReachabilityRequest): Promise<Reachability> {
  const { from, to, family, signal } = request
  await forgetNeighbours(request)
  const ping = await pingUntilCertain(request)
  const [fromNeighbours, toNeighbours] = await Promise.all([
    from.machine.os.observe(from.machine.shell, withSignal(signal)),
    to.machine.os.observe(to.machine.shell, withSignal(signal)),
  ])
  return {
    family,
    from: from.machine.name,
    to: to.machine.name,
    ...ping,
    neighbourStates: {
      from: neighbourState(fromNeighbours, from.interfaceName, to.address),
      to: neighbourState(toNeighbours, to.interfaceName, from.address),
    },
  }
}

/**
 * The probing side goes last: between its flush and its first packet nothing of it shall be learnt again from what the
 * others still send.
 */
async function forgetNeighbours({ from, to, between = [], signal }: ReachabilityRequest): Promise<void> {
  const flush = ({ machine, interfaceName }: MachineInterface) =>
    machine.os.flushNeighbours(machine.shell, interfaceName, withSignal(signal))
  await Promise.all([to, ...between].map(flush))
  await flush(from)
}

async function pingUntilCertain(
  request: ReachabilityRequest,
): Promise<Pick<Reachability, 'reachable' | 'sent' | 'received' | 'rttMs' | 'failure'>> {
  const { from, to, family, signal } = request
  const argv = pingArgv(to.address, family)
  let sent = 0
  for (let attempt = 1; ; attempt++) {
    const result = await from.machine.shell.run(argv, {
      timeoutMs: probeSeconds * 1000 + commandSlackMs,
      ...withSignal(signal),
    })
    const { received, rttMs, ...counted } = parsePing(result)
    sent += counted.sent
    if (received > 0) return { reachable: true, sent, received, rttMs, failure: undefined }
    if (counted.failure !== undefined) {
      return { reachable: false, sent, received: 0, rttMs: undefined, failure: counted.failure }
    }
    // A router's or the kernel's own "unreachable" ends ping early.
    if (sent >= minSent) return { reachable: false, sent, received: 0, rttMs: undefined, failure: undefined }
    if (attempt === maxAttempts) {
      throw new VmrError(
        'MEASUREMENT_FAILED',
        `${from.machine.name} could not send ${minSent} probes to ${to.address}: ${wordsOf(result)}`,
      )
    }
  }
}

/** `-c 1 -w`: sends until the first answer or the deadline, whichever comes first (ping(8) of iputils). */
export function pingArgv(address: string, family: Family): readonly string[] {
  const familyFlag = family === 'ipv4' ? '-4' : '-6'
  return ['ping', '-n', familyFlag, '-c', '1', '-i', String(sendIntervalSeconds), '-w', String(probeSeconds), address]
}

/**
 * Reads what ping printed (iputils, busybox, BSD).
 *
 * @throws VmrError MEASUREMENT_FAILED when it is no output of ping.
 */
export function parsePing(result: RunResult): {
  readonly sent: number
  readonly received: number
  readonly rttMs: number | undefined
  readonly failure: string | undefined
} {
  const counts = /(\d+) packets transmitted, (\d+) (?:packets )?received/.exec(result.stdout)
  if (counts === null) {
    const unsent = /^(?:ping: )?.*(unreachable|not permitted|cannot assign)/im.exec(result.stderr)
    if (unsent !== null) {
      return {
        sent: 0,
        received: 0,
        rttMs: undefined,
        failure: unsent[0]
          .replace(/^ping: /, '')
          .trim()
          .slice(0, 200),
      }
    }
    throw new VmrError('MEASUREMENT_FAILED', `ping failed: ${wordsOf(result)}`)
  }
  const time = /^\d+ bytes from .* time[=<](\d+(?:\.\d+)?) ms/m.exec(result.stdout)
  return {
    sent: Number(counts[1]),
    received: Number(counts[2]),
    rttMs: time === null ? undefined : Number(time[1]),
    failure: undefined,
  }
}

function wordsOf({ stdout, stderr, exitCode }: RunResult): string {
  return (stderr.trim() || stdout.trim() || `exit status ${exitCode}`).slice(0, 300)
}

/** State of the entry for an address, however either side writes it; undefined without an entry. */
export function neighbourState(
  observation: NetworkObservation,
  interfaceName: string,
  address: string,
): string | undefined {
  const wanted = normalizeAddress(address)
  return observation.neighbours.find(
    (entry) => entry.interfaceName === interfaceName && normalizeAddress(entry.address) === wanted,
  )?.state
}

function withSignal(signal: AbortSignal | undefined): { readonly signal?: AbortSignal } {
  return signal === undefined ? {} : { signal }
}
