import type { Connection, Domain } from '../../libvirt/index.ts'
import type { Journal } from '../../undo/journal.ts'
import type { GuestSystem } from '../../vm/guest-access.ts'
import type { Evidence, LinkState } from '../evidence/schema.ts'
import { guestKey, hostKey, isHost, linkOf } from '../evidence/topology.ts'
import type { ReachableMachine } from '../observe-vm.ts'

/** In the order in which they run: those that nobody notices first. */
export const stressNames = [
  'neighbour-aging',
  'idle',
  'membership-expiry',
  'address-later',
  'link-flap',
  'suspend',
  'libvirtd-restart',
  'guest-reboot',
] as const
export type StressName = (typeof stressNames)[number]

/** A setting that decides how long something lasts. */
export interface Timer {
  /** Key in the evidence's machines. */
  readonly machine: string
  readonly link: string
  /** A sysctl below /proc/sys, or a word of `ip link set dev LINK type bridge …`. */
  readonly kind: 'sysctl' | 'bridge'
  readonly setting: string
}

/** A timer, in the unit of its setting, while the stress lasted. */
export interface Shortened {
  /** "pc1 eth0" */
  readonly on: string
  readonly setting: string
  readonly before: number
  readonly to: number
  /** It was read again afterwards. */
  readonly restored: boolean
}

/** What a stress has at hand. */
export interface StressBench {
  readonly uri: string
  readonly name: string
  /** As it was before. */
  readonly evidence: Evidence
  readonly journal: Journal
  readonly signal: AbortSignal
  readonly onProgress: (activity: string) => void
  /** Undefined where vmr did not make the VM. */
  readonly os: GuestSystem | undefined
  readonly connection: Connection
  readonly domain: Domain
  readonly machines: ReadonlyMap<string, ReachableMachine>
  /** Gives the connection and the guest's console back: what comes next would end them. */
  letGo(): Promise<void>
  /** Connects and logs in again. The guest may take so long to its prompt. */
  reachAgain(options?: { readonly bootTimeoutMs?: number }): Promise<void>
  /** To the result, once it is as it was. */
  addShortened(timer: Shortened): void
  addFact(fact: string): void
  /** It is not run after all. */
  refuse(why: string): void
  /** Ids of paths that were lost under way, from warm caches. */
  addLost(ids: readonly string[]): void
}

export interface StressPlan {
  readonly timers: readonly Timer[]
}

/** One entry of the list of stresses: what a VM has to outlast. */
export interface Stress {
  readonly name: StressName
  /** For "lost after …". */
  readonly after: string
  readonly what: string
  /** What somebody has to agree to: "r1 is restarted". Undefined where nobody notices. */
  disturbs?(vmName: string): string
  readonly limitSeconds: number
  /** What it would do to this VM, or why it cannot. Pure. */
  plan(evidence: Evidence, uri: string): StressPlan | { readonly impossible: string }
  /** Puts the VM under stress, has the paths probed in the middle of it, and takes everything back, whatever happens. */
  run(bench: StressBench, plan: StressPlan, probe: () => Promise<void>): Promise<void>
}

/** "pc1 eth0" */
export function placeOf({ vm }: Evidence, machine: string, link: string): string {
  return `${machine === guestKey ? vm.name : machine.replace(/^pc:/, '')} ${link}`
}

/** Whether vmr made a link, or the machine that it is on; timers of others are not vmr's to shorten. */
export function isOwn({ vm, nics }: Evidence, { machine, link }: Pick<Timer, 'machine' | 'link'>): boolean {
  if (machine === guestKey) return vm.ours
  if (isHost(machine)) return link.startsWith('vmr') || (vm.ours && nics.some(({ target }) => target === link))
  // The PCs of a testbed are vmr's, and so is another VM that it logs in to.
  return true
}

/** The bridges of the host that the VM's NICs are ports of. */
export function hostBridges({ machines, nics }: Evidence): readonly HostBridge[] {
  const host = machines[hostKey]
  const names = new Set(nics.flatMap(({ target }) => linkOf(host, target ?? '')?.master ?? []))
  return [...names].flatMap((name) => {
    const bridge = linkOf(host, name)?.bridge
    return bridge === undefined ? [] : [{ name, bridge }]
  })
}

interface HostBridge {
  readonly name: string
  readonly bridge: NonNullable<LinkState['bridge']>
}
