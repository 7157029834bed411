import type { FeatureName } from './features.ts'

/** What a look at this host found. Whatever could not be read is undefined. */
export interface HostObservation {
  readonly uid: number
  readonly kernel: string
  readonly distribution: string | undefined
  /** Flags of the first processor in /proc/cpuinfo. */
  readonly cpuFlags: readonly string[]
  readonly cpus: number
  readonly memoryBytes: number
  readonly kvm: KvmObservation
  readonly libvirt: LibvirtObservation
  /** Kernel features by trial; undefined without the rights to try. */
  readonly features: Readonly<Partial<Record<FeatureName, boolean>>> | undefined
  /** Program -> what it says of its version; null for one that is not there. */
  readonly tools: Readonly<Record<string, string | null>>
  readonly network: NetworkObservation
  readonly uplinks: readonly UplinkObservation[]
  /** Of each core. */
  readonly governors: readonly string[]
  readonly directories: readonly DirectoryObservation[]
  /** What killed runs left: "vm r1", "lab". */
  readonly leftovers: readonly string[]
}

export interface KvmObservation {
  readonly device: { readonly mode: number; readonly gid: number } | undefined
  /** Of the group kvm. */
  readonly gid: number | undefined
  /** Undefined when no test boot was made: no image is built, or the device is not there. */
  readonly testBoot: { readonly works: boolean; readonly reason: string } | undefined
}

export type LibvirtObservation =
  | {
      readonly kind: 'answers'
      readonly libvirt: string
      readonly qemu: string
      readonly virtlogd: boolean
      /** Of libvirt's daemons for QEMU, those whose sockets are there: the one for all, and the modular one. */
      readonly daemons: readonly ('libvirtd' | 'virtqemud')[]
      /** Devices on this host that running domains have for their NICs. */
      readonly devicesInUse: readonly string[]
    }
  | { readonly kind: 'refuses'; readonly message: string; readonly hint: string | undefined }

export interface BridgeObservation {
  readonly name: string
  readonly stp: boolean
  readonly snooping: boolean
  readonly querier: boolean
  readonly ports: readonly string[]
}

/** A chain of the hook "forward" that drops what nobody accepts. */
export interface DroppingChain {
  readonly family: string
  readonly table: string
  readonly chain: string
}

export interface NetworkObservation {
  readonly bridges: readonly BridgeObservation[]
  /** net.bridge.bridge-nf-call-*; undefined where br_netfilter is not loaded. */
  readonly bridgeNetfilter: { readonly ipv4: boolean; readonly ipv6: boolean } | undefined
  readonly forwarding: { readonly ipv4: boolean | undefined; readonly ipv6: boolean | undefined }
  /** net.ipv4.conf.all.rp_filter: 0 off, 1 strict, 2 loose. */
  readonly reversePathFilter: number | undefined
  /** Undefined when the rules could not be read. */
  readonly droppingChains: readonly DroppingChain[] | undefined
  /** Interfaces that carry a default route or this SSH session. */
  readonly management: readonly string[]
}

export interface UplinkObservation {
  readonly name: string
  /** That vmr makes over it. */
  readonly bridge: string
  readonly testbed: string
  readonly link:
    | {
        readonly up: boolean
        readonly carrier: boolean
        readonly master: string | undefined
        readonly masterIsBridge: boolean
        readonly macvtaps: readonly string[]
        /** Features of `ethtool -k` that are on; undefined without ethtool. */
        readonly offloads: readonly string[] | undefined
        /** Mbit/s as /sys/class/net tells; undefined where the driver does not. */
        readonly speed: number | undefined
      }
    | undefined
  /** vmr makes it when it is needed. */
  readonly madeOnDemand: boolean
}

export interface DirectoryObservation {
  readonly what: string
  readonly path: string
  readonly writable: boolean
  readonly freeBytes: number | undefined
}
