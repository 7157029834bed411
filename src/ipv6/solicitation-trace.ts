import { VmrError } from '../errors/vmr-error.ts'
import { normalizeAddress } from '../os/address-text.ts'
import { throwIfAborted } from '../shell/abort.ts'
import type { RunningCommand } from '../shell/shell.ts'
import type { Family, MachineInterface, ProbeEnd, Reachability } from './reachability.ts'
import { probeReachability } from './reachability.ts'

/** A place on the way where frames can be seen. */
export interface TraceHop extends MachineInterface {
  /** For people: "pc1 eth0", "host uplink vmr-up1", "macvtap5". */
  readonly name: string
}

export interface TraceRequest {
  readonly from: ProbeEnd
  readonly to: ProbeEnd
  readonly family: Family
  /** In the order in which a frame from `from` to `to` passes them. */
  readonly hops: readonly TraceHop[]
  /** As in probeReachability. */
  readonly between?: readonly MachineInterface[]
  readonly signal?: AbortSignal
}

export interface HopCount {
  readonly hop: string
  /** Solicitations seen there. */
  readonly count: number
}

export interface SolicitationTrace {
  readonly protocol: 'neighbour solicitation' | 'ARP request'
  /** The address that was asked for. */
  readonly target: string
  readonly hops: readonly HopCount[]
  readonly lastSeen: string | undefined
  readonly firstMissing: string | undefined
  /** "last seen at host uplink vmr-up1, not at macvtap5" */
  readonly line: string
  /** Whether the probe that was followed was answered after all. */
  readonly reachability: Reachability
  /** What each capture printed, by hop. */
  readonly captures: Readonly<Record<string, string>>
}

/**
 * Follows the first packet of a probe from cold caches: where was its neighbour solicitation (ARP request for IPv4) seen
 * last? Captures run at all hops at once, and only once all listen does the probe start.
 *
 * None of them puts an interface into promiscuous mode: that lets multicast through a macvtap's filter, and heals the
 * very fault that is looked for, for as long as it lasts.
 *
 * @throws VmrError MEASUREMENT_FAILED when a capture does not start, and what probeReachability throws.
 */
export async function traceSolicitation(request: TraceRequest): Promise<SolicitationTrace> {
  const { to, family, hops, signal } = request
  const filter = solicitationFilter(family, to.address)
  const started = await Promise.allSettled(hops.map((hop) => startCapture(hop, filter, signal)))
  const captures = started.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []))
  try {
    const failed = started.find((each) => each.status === 'rejected')
    if (failed !== undefined) throw failed.reason
    const reachability = await probeReachability(request)
    const texts = await Promise.all(captures.map(async (capture) => (await capture.stop()).stdout))
    const counts = hops.map((hop, position) => ({
      hop: hop.name,
      count: countSolicitations(texts[position] ?? '', to.address),
    }))
    return {
      protocol: family === 'ipv6' ? 'neighbour solicitation' : 'ARP request',
      target: to.address,
      hops: counts,
      ...evaluateHops(counts),
      reachability,
      captures: Object.fromEntries(hops.map((hop, position) => [hop.name, texts[position] ?? ''])),
    }
  } finally {
    await Promise.all(captures.map((capture) => capture.stop()))
  }
}

/** Names the last hop that saw a frame and the first one after it that did not, and says so in one line. */
export function evaluateHops(hops: readonly HopCount[]): Pick<SolicitationTrace, 'lastSeen' | 'firstMissing' | 'line'> {
  const last = hops.findLastIndex(({ count }) => count > 0)
  const lastSeen = hops[last]?.hop
  const firstMissing = hops[last + 1]?.hop
  if (lastSeen === undefined) {
    const line = firstMissing === undefined ? 'no hop was watched' : `not sent: not even seen at ${firstMissing}`
    return { lastSeen, firstMissing, line }
  }
  return {
    lastSeen,
    firstMissing,
    line:
      firstMissing === undefined
        ? `arrives at ${lastSeen}: what is lost is the answer`
        : `last seen at ${lastSeen}, not at ${firstMissing}`,
  }
}

/** RFC 4861 section 4.3: ICMPv6 type, and the offset of the target address after 40 bytes of IPv6 header. */
const neighbourSolicitationType = 135
const solicitationTargetOffset = 48
/** RFC 826 for IPv4 over Ethernet: operation, and target protocol address. */
const arpRequestOperation = 1
const arpTargetOffset = 24

/** pcap-filter(7) for requests for one address, with or without a VLAN tag; duplicate address detection is no request. */
export function solicitationFilter(family: Family, target: string): string {
  const words = addressWords(family, target)
  const matches = (offset: number, protocol: string) =>
    words.map((word, index) => `${protocol}[${offset + 4 * index}:4] == 0x${word}`).join(' and ')
  const request =
    family === 'ipv6'
      ? `icmp6 and ip6[40] == ${neighbourSolicitationType} and not ip6 src :: and ${matches(solicitationTargetOffset, 'ip6')}`
      : `arp and arp[6:2] == ${arpRequestOperation} and ${matches(arpTargetOffset, 'arp')}`
  return `(${request}) or (vlan and (${request}))`
}

/** The address in groups of 32 bits, each as 8 hexadecimal digits. */
function addressWords(family: Family, address: string): readonly string[] {
  const hex = (value: number, digits: number) => value.toString(16).padStart(digits, '0')
  if (family === 'ipv4') {
    return [
      address
        .split('.')
        .map((part) => hex(Number(part), 2))
        .join(''),
    ]
  }
  const [head = '', tail] = normalizeAddress(address).split('::')
  const groups = (text: string) => (text === '' ? [] : text.split(':').map((group) => group.padStart(4, '0')))
  const before = groups(head)
  const after = groups(tail ?? '')
  const all = [...before, ...Array<string>(8 - before.length - after.length).fill('0000'), ...after]
  return [0, 2, 4, 6].map((index) => `${all[index]}${all[index + 1]}`)
}

/** Frames a probe can cause, many times over; a capture must not run away on a host that floods. */
const maxFrames = 10_000
const snapBytes = 128

/** `-p`: no promiscuous mode. `--immediate-mode`: a frame is told when it comes, so that stopping loses none. */
export function captureArgv(interfaceName: string, filter: string, asRoot: readonly string[]): readonly string[] {
  return [
    // tcpdump says on standard error that it listens; only standard output can be followed line by line.
    ...['sh', '-c', 'exec "$@" 2>&1', 'sh', ...asRoot],
    // It would change to a user of its own, which a small guest does not have.
    ...[
      'tcpdump',
      '-Z',
      'root',
      '-p',
      '-n',
      '-t',
      '-l',
      '--immediate-mode',
      '-s',
      String(snapBytes),
      '-c',
      String(maxFrames),
    ],
    ...['-i', interfaceName, filter],
  ]
}

async function startCapture(
  { name, machine, interfaceName }: TraceHop,
  filter: string,
  signal: AbortSignal | undefined,
): Promise<RunningCommand> {
  // Logging in to VyOS gives a user that may become root; the other shells are root's.
  const asRoot = machine.os.kind === 'vyos' ? ['sudo', '-n'] : []
  const argv = captureArgv(interfaceName, filter, asRoot)
  const capture = await machine.shell.start(argv, signal === undefined ? {} : { signal })
  try {
    for await (const line of capture.lines) {
      if (/^(?:tcpdump: )?listening on /.test(line)) return capture
    }
  } catch (error) {
    await capture.stop()
    throw error
  }
  throwIfAborted(signal, `the capture at ${name}`)
  const { stdout, exitCode } = await capture.ended
  const words = stdout.trim().split('\n').slice(-2).join(' ') || `exit status ${exitCode}`
  throw new VmrError('MEASUREMENT_FAILED', `the capture at ${name} did not start: ${words.slice(0, 300)}`)
}

/** Counts the requests for an address in what `tcpdump -n` printed. */
export function countSolicitations(text: string, target: string): number {
  const wanted = normalizeAddress(target)
  return text.split('\n').filter((line) => {
    const asked = /(?:neighbor solicitation, (?:length \d+, )?who has|ARP,.* Request who-has) ([0-9a-f.:]+)/i.exec(
      line,
    )?.[1]
    return asked !== undefined && normalizeAddress(asked) === wanted
  }).length
}
