import { VmrError } from '../errors/vmr-error.ts'
import { normalizeAddress } from '../os/address-text.ts'
import type { ObservedNeighbour } from '../os/os.ts'
import type { RunResult, Shell } from '../shell/shell.ts'
import type { Machine } from '../testbed/machine.ts'
import { inOneTrip } from './one-trip.ts'
import { runTogether } from './run-together.ts'

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

/** One direction, to one address. */
export interface Probe {
  readonly from: ProbeEnd
  readonly to: ProbeEnd
}

interface ProbeOptions {
  readonly family: Family
  /**
   * Where neighbour entries are forgotten first, beside the ends: each interface of a router in between that resolves a
   * next hop on the way.
   */
  readonly between?: readonly MachineInterface[]
  readonly signal?: AbortSignal
}

export type ReachabilityRequest = Probe & ProbeOptions

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
export async function probeReachability({ from, to, ...options }: ReachabilityRequest): Promise<Reachability> {
  const [result] = await probeTogether([{ from, to }], options)
  if (result === undefined) throw new RangeError('a probe gave no result')
  return result
}

/**
 * Several probes at once from one cold start. For those of which none teaches another's sender what it has to resolve:
 * to different addresses of one machine, or between different machines, but never two ways between the same two.
 *
 * @returns results in the order of the probes.
 */
export async function probeTogether(probes: readonly Probe[], options: ProbeOptions): Promise<readonly Reachability[]> {
  const { family, signal } = options
  const flush = flushOf(probes, options)
  const machines = distinct(probes.flatMap(({ from, to }) => [from.machine, to.machine]))
  const senders = distinct(probes.map(({ from }) => from.machine))
  const isSender = ({ shell }: Machine) => senders.some((each) => each.shell === shell)
  const between = (options.between ?? []).map(({ machine }) => machine)
  // The probing sides go last: between their flush and their first packet nothing of it shall be learnt again from what
  // the others still send.
  await Promise.all(distinct([...machines, ...between]).flatMap((each) => (isSender(each) ? [] : [flush(each)])))
  await Promise.all(senders.flatMap((each) => (isGuest(each) ? [] : [flush(each)])))
  const sent = await Promise.all(
    senders.map((machine) => {
      const own = probes.filter(({ from }) => from.machine.shell === machine.shell)
      return isGuest(machine) ? sendInOneTrip(machine, own, flush, options) : send(machine, own, options)
    }),
  )
  const pings = new Map(sent.flatMap(({ answers }) => answers))
  const neighbours = new Map(
    sent.flatMap(({ machine, known }) => (known === undefined ? [] : [[machine.shell, known]])),
  )
  await Promise.all(
    machines.map(async ({ shell, os }) => {
      if (!neighbours.has(shell)) neighbours.set(shell, await os.readNeighbours(shell, withSignal(signal)))
    }),
  )
  return probes.map((probe): Reachability => {
    const { from, to } = probe
    const ping = pings.get(probe)
    if (ping === undefined) throw new RangeError('a probe has no answer')
    return {
      family,
      from: from.machine.name,
      to: to.machine.name,
      ...ping,
      neighbourStates: {
        from: neighbourState(neighbours.get(from.machine.shell) ?? [], from.interfaceName, to.address),
        to: neighbourState(neighbours.get(to.machine.shell) ?? [], to.interfaceName, from.address),
      },
    }
  })
}

/** By their shells: a machine may go by several names. */
function distinct(machines: readonly Machine[]): readonly Machine[] {
  return [...new Map(machines.map((machine) => [machine.shell, machine])).values()]
}

/** Forgets what a machine knows on the links of these probes. */
function flushOf(
  probes: readonly Probe[],
  { between = [], signal }: Omit<ProbeOptions, 'family'>,
): (machine: Machine, shell?: Shell) => Promise<void> {
  const all = [...probes.flatMap(({ from, to }) => [from, to]), ...between]
  return ({ os, shell: own }, shell = own) => {
    const names = all.filter(({ machine }) => machine.shell === own).map(({ interfaceName }) => interfaceName)
    return os.flushNeighbours(shell, [...new Set(names)], withSignal(signal))
  }
}

type Ping = Pick<Reachability, 'reachable' | 'sent' | 'received' | 'rttMs' | 'failure'>

/** What one machine sent, all at once. */
interface Sent {
  readonly machine: Machine
  readonly answers: readonly (readonly [Probe, Ping])[]
  /** Its neighbours right after, where they have been read already. */
  readonly known?: readonly ObservedNeighbour[]
}

function isGuest({ os }: Machine): boolean {
  return os.kind === 'vyos'
}

async function send(machine: Machine, own: readonly Probe[], options: ProbeOptions): Promise<Sent> {
  return { machine, answers: await certain(own, await pingTogether(machine, own, options), options) }
}

/** On a guest's console every command costs a round trip: here flush, pings and what is known then share one. */
async function sendInOneTrip(
  machine: Machine,
  own: readonly Probe[],
  flush: ReturnType<typeof flushOf>,
  options: ProbeOptions,
): Promise<Sent> {
  const signal = withSignal(options.signal)
  const [, first, known] = await inOneTrip(
    machine.shell,
    (shell) =>
      Promise.all([
        flush(machine, shell),
        pingTogether({ ...machine, shell }, own, options),
        machine.os.readNeighbours(shell, signal),
      ]),
    { timeoutMs: probeSeconds * 1000 + commandSlackMs, ...signal },
  )
  const answers = await certain(own, first, options)
  const wentOn = answers.some(([, { sent }], index) => {
    const said = first[index]
    return said === undefined || sent !== parsePing(said).sent
  })
  return { machine, answers, ...(wentOn ? {} : { known }) }
}

function certain(
  own: readonly Probe[],
  first: readonly RunResult[],
  options: ProbeOptions,
): Promise<(readonly [Probe, Ping])[]> {
  return Promise.all(
    own.map(async (probe, index) => [probe, await pingUntilCertain(probe, options, first[index])] as const),
  )
}

async function pingTogether(
  machine: Machine,
  own: readonly Probe[],
  { family, signal }: ProbeOptions,
): Promise<readonly RunResult[]> {
  const addresses = own.map(({ to }) => to.address)
  const options = { timeoutMs: probeSeconds * 1000 + commandSlackMs, ...withSignal(signal) }
  const [only, ...more] = addresses
  if (only !== undefined && more.length === 0) return [await machine.shell.run(pingArgv(only, family), options)]
  const started = performance.now()
  const outputs = await runTogether(
    machine.shell,
    addresses.map((address) => pingArgv(address, family)),
    options,
  )
  // Both of its outputs came as one.
  const durationMs = performance.now() - started
  return outputs.map((said) => ({ stdout: said, stderr: said, exitCode: 0, durationMs }))
}

async function pingUntilCertain(probe: Probe, options: ProbeOptions, first: RunResult | undefined): Promise<Ping> {
  const { from, to } = probe
  let sent = 0
  for (let attempt = 1; ; attempt++) {
    const [next] = attempt === 1 && first !== undefined ? [first] : await pingTogether(from.machine, [probe], options)
    if (next === undefined) throw new RangeError('ping has no result')
    const { received, rttMs, ...counted } = parsePing(next)
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
        `${from.machine.name} could not send ${minSent} probes to ${to.address}: ${wordsOf(next)}`,
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
  neighbours: readonly ObservedNeighbour[],
  interfaceName: string,
  address: string,
): string | undefined {
  const wanted = normalizeAddress(address)
  return neighbours.find((entry) => entry.interfaceName === interfaceName && normalizeAddress(entry.address) === wanted)
    ?.state
}

function withSignal(signal: AbortSignal | undefined): { readonly signal?: AbortSignal } {
  return signal === undefined ? {} : { signal }
}
