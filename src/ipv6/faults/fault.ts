import { isUnicastMac } from '../../domain/mac.ts'
import type {
  Evidence,
  FrameKind,
  LinkState,
  MachineState,
  NicEvidence,
  PathEvidence,
  PathHop,
  Sighting,
} from '../evidence/schema.ts'
import { guestKey, hostKey, linkOf } from '../evidence/topology.ts'
import type { Loss } from '../hop-trace/loss.ts'

/** What is wrong with one path. */
export interface Situation {
  readonly evidence: Evidence
  readonly path: PathEvidence
  /**
   * `lost`: nothing came back, twice. `recovered`: nothing came back once. `large`: only small packets come through.
   * `misdirected`: somebody else answers. `stale`: lost until the sender forgot the target's MAC address.
   */
  readonly problem: 'lost' | 'recovered' | 'large' | 'misdirected' | 'stale'
  /** Of a path that is lost. */
  readonly loss: Loss
}

/** A change that can be made while everything runs, and taken back. The key of a sysctl is below /proc/sys. */
export type LiveChange = {
  /** Key in the evidence's machines. */
  readonly machine: string
} & (
  | { readonly kind: 'sysctl'; readonly key: string; readonly before: string; readonly value: string }
  | {
      readonly kind: 'link'
      readonly link: string
      readonly attribute: LinkAttribute
      readonly before: Switch
      readonly value: Switch
    }
)
type Switch = 'on' | 'off' | '0' | '1'

/** Words of `ip link set dev LINK …` that take on, off, 1 or 0. */
export const linkAttributes = [
  'allmulticast',
  'multicast',
  'arp',
  'type bridge mcast_snooping',
  'type bridge_slave isolated',
  'type bridge_slave flood',
  'type bridge_slave mcast_flood',
  'type bridge_slave bcast_flood',
  'type bridge_slave locked',
] as const
export type LinkAttribute = (typeof linkAttributes)[number]

export interface Fix {
  readonly what: string
  /** What it opens, for whom. */
  readonly price: string
  /** What a person would type, and where. */
  readonly commands: readonly { readonly on: string; readonly words: string }[]
  /** To prove the cause by its cure, or to leave it on. */
  readonly change?: LiveChange
  /** To attach a NIC of a VM that vmr made in this interface mode, now and in its definition. */
  readonly switchTo?: { readonly nic: string; readonly mode: string }
}

/** Why this fault, and no other, is behind a loss. */
export interface Proof {
  /** Where, for people: "host macvtap5". */
  readonly hop: string
  /** Facts of the evidence, each a sentence. */
  readonly facts: readonly string[]
  /** The safest first. */
  readonly fixes: readonly Fix[]
}

/** One entry of the catalogue. */
export interface Fault {
  readonly id: string
  readonly title: string
  /** How it shows, to somebody who does not know the cause. */
  readonly symptom: string
  readonly cause: string
  /** What of the evidence proves it, and what would refute it. */
  readonly provenBy: string
  readonly refutedBy: string
  readonly verify: string
  /** Undefined unless the evidence proves the fault, and the loss is where the fault makes it. Pure; never throws. */
  prove(situation: Situation): Proof | undefined
}

export function machineName({ vm }: Evidence, key: string): string {
  return key === guestKey ? vm.name : key.replace(/^pc:/, '')
}

export function stateOf({ evidence }: Situation, key: string): MachineState | undefined {
  return Object.hasOwn(evidence.machines, key) ? evidence.machines[key] : undefined
}

export function linkAt(
  situation: Situation,
  { machine, link }: Pick<PathHop, 'machine' | 'link'>,
): LinkState | undefined {
  return linkOf(stateOf(situation, machine), link)
}

/** The NICs of the VM that the path goes through. */
export function nicsOnPath({ evidence, path }: Situation): readonly NicEvidence[] {
  return evidence.nics.filter(({ target }) =>
    path.hops.some(({ machine, link }) => machine === hostKey && link === target),
  )
}

interface LostBetween {
  readonly last: PathHop
  readonly missing: PathHop
  readonly frame: FrameKind
}

/** The two links of one machine between which a frame is lost, in the order of its travel. */
export function lostBetweenLinks({ loss }: Situation): LostBetween | undefined {
  return loss.kind === 'between' && loss.last.machine === loss.missing.machine ? loss : undefined
}

/** The two host links between which a frame is lost, in the order of its travel. */
export function lostOnHost(situation: Situation): LostBetween | undefined {
  const lost = lostBetweenLinks(situation)
  return lost?.last.machine === hostKey ? lost : undefined
}

/**
 * Whether a frame is for a machine of its path, as far as that is known. One that its sender addressed to somebody else
 * goes there, and nothing on the way is to blame.
 */
export function isForThePath({ evidence, path }: Situation, { destinationMacs, sourceMacs }: Sighting): boolean {
  const unicast = destinationMacs.filter(isUnicastMac)
  const ends = [...new Set(path.hops.map(({ machine }) => machine))].filter((machine) => machine !== hostKey)
  if (unicast.length === 0 || !ends.includes(guestKey)) return true
  const macs = ends.flatMap((key) => evidence.machines[key]?.links.flatMap(({ mac }) => mac ?? []) ?? [])
  return unicast.some((mac) => macs.includes(mac) && !sourceMacs.includes(mac))
}

/** The machine in which the loss is: a frame came to it, or was to come from it, and nothing came out. */
export function lostInside({
  loss,
}: Situation): { readonly machine: string; readonly hop: PathHop; readonly frame: FrameKind } | undefined {
  switch (loss.kind) {
    case 'unsent':
    case 'unanswered':
      return { machine: loss.at.machine, hop: loss.at, frame: loss.frame }
    case 'between':
      return loss.last.machine === loss.missing.machine && loss.last.machine !== hostKey
        ? { machine: loss.last.machine, hop: loss.last, frame: loss.frame }
        : undefined
    default:
      return undefined
  }
}

/** The Ethernet address of an IPv6 address's solicited-node group (RFC 4291 section 2.7.1, RFC 2464 section 7). */
export function solicitedNodeMac(low24: number): string {
  const octets = [16, 8, 0].map((shift) => ((low24 >> shift) & 0xff).toString(16).padStart(2, '0'))
  return ['33:33:ff', ...octets].join(':')
}

export function isOn(state: MachineState | undefined, key: string): boolean {
  const value = state?.sysctls[key]
  return value !== undefined && Number(value) > 0
}

/** `key` as in the evidence: below /proc/sys/net. */
export function sysctlChange(machine: string, key: string, before: string, value: string): LiveChange {
  return { kind: 'sysctl', machine, key: `net/${key}`, before, value }
}
