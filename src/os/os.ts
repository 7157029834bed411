import type { NetworkConfig } from '../config/network-config.ts'
import type { Shell } from '../shell/shell.ts'

/** One address as the system shows it. `tentative` and `duplicate` are RFC 4862 duplicate address detection states. */
export interface ObservedAddress {
  readonly address: string
  readonly prefixLength: number
  readonly family: 'ipv4' | 'ipv6'
  readonly scope: 'global' | 'link' | 'host' | 'site'
  readonly tentative: boolean
  readonly duplicate: boolean
}

export interface ObservedInterface {
  readonly name: string
  readonly index: number
  readonly mac: string | undefined
  readonly mtu: number
  readonly adminUp: boolean
  /** The link itself, as far as the driver knows it (IFF_LOWER_UP). */
  readonly carrier: boolean
  readonly promiscuity: number
  readonly allMulticast: number
  readonly master: string | undefined
  readonly addresses: readonly ObservedAddress[]
}

export interface ObservedNeighbour {
  readonly address: string
  readonly interfaceName: string
  readonly mac: string | undefined
  /** Kernel NUD state in capitals: REACHABLE, STALE, INCOMPLETE, FAILED, PERMANENT… */
  readonly state: string
}

export interface NetworkObservation {
  readonly interfaces: readonly ObservedInterface[]
  readonly neighbours: readonly ObservedNeighbour[]
}

interface OsOptions {
  readonly signal?: AbortSignal
}

/**
 * What a machine speaks: turns a NetworkConfig into that system's commands and back, over any Shell.
 * `unconfigure` takes back exactly what `configure` of the same config set, and nothing else.
 */
export interface Os {
  readonly kind: 'linux' | 'vyos' | 'macos'
  configure(shell: Shell, config: NetworkConfig, options?: OsOptions): Promise<void>
  unconfigure(shell: Shell, config: NetworkConfig, options?: OsOptions): Promise<void>
  /** From what `configure` of the first made to what `configure` of the second makes; what both have is not touched. */
  reconfigure(shell: Shell, from: NetworkConfig, to: NetworkConfig, options?: OsOptions): Promise<void>
  observe(shell: Shell, options?: OsOptions): Promise<NetworkObservation>
  /** The neighbour caches of both families, of every interface. */
  readNeighbours(shell: Shell, options?: OsOptions): Promise<readonly ObservedNeighbour[]>
  /** Empties the neighbour caches of both families, so that the next packet has to resolve its next hop anew. */
  flushNeighbours(shell: Shell, interfaceNames: readonly string[], options?: OsOptions): Promise<void>
}
