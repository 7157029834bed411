import type { CallOptions } from '../call-options.ts'
import { ipAddressTypes, type NameOf, nameOf, networkUpdateCommands, networkUpdateSections } from '../protocol/enums.ts'
import { procedures } from '../protocol/procedures.ts'
import type { Network } from '../protocol/types.ts'
import type { Rpc } from '../rpc.ts'
import { type AffectOptions, affectBits, flagBits } from './flags.ts'

/** virConnectListAllNetworksFlags: of two opposites, neither and both mean any. */
export interface ListNetworksOptions extends CallOptions {
  readonly inactive?: boolean
  readonly active?: boolean
  readonly persistent?: boolean
  readonly transient?: boolean
}
const listBits = { inactive: 1, active: 2, persistent: 4, transient: 8 }

/** A lease of a network's DHCP server; `expiryTime` in seconds since the epoch, 0: never. */
export interface DhcpLease {
  readonly iface: string
  readonly expiryTime: number
  readonly type: NameOf<typeof ipAddressTypes>
  readonly mac: string | null
  readonly iaid: string | null
  readonly ipAddress: string
  readonly prefix: number
  readonly hostname: string | null
  readonly clientId: string | null
}

/** One part of a network to change in place. */
export interface NetworkChange {
  readonly command: Exclude<(typeof networkUpdateCommands)[number], 'none'>
  readonly section: Exclude<(typeof networkUpdateSections)[number], 'none'>
  readonly xml: string
  /** Which of several parents, as of `<ip>` elements; any by default. */
  readonly parentIndex?: number
}

/** libvirt's own virtual networks. */
export function networkCalls({ call }: Rpc) {
  return {
    listAllNetworks: async (options: ListNetworksOptions = {}): Promise<readonly Network[]> => {
      const args = { needResults: true, flags: flagBits(options, listBits) }
      return (await call(procedures.CONNECT_LIST_ALL_NETWORKS, args, options)).networks
    },
    /** @throws {LibvirtError} see isNetworkNotFound */
    lookupNetworkByName: async (name: string, options?: CallOptions): Promise<Network> =>
      (await call(procedures.NETWORK_LOOKUP_BY_NAME, { name }, options)).network,
    /** @throws {LibvirtError} see isNetworkNotFound */
    lookupNetworkByUuid: async (uuid: string, options?: CallOptions): Promise<Network> =>
      (await call(procedures.NETWORK_LOOKUP_BY_UUID, { uuid }, options)).network,
    /** `validate` needs libvirt 7.7; without it, any version will do. */
    defineNetwork: async (xml: string, options?: CallOptions & { readonly validate?: boolean }): Promise<Network> => {
      if (!options?.validate) return (await call(procedures.NETWORK_DEFINE_XML, { xml }, options)).network
      return (await call(procedures.NETWORK_DEFINE_XML_FLAGS, { xml, flags: 1 }, options)).network
    },
    /** Starts a defined network. */
    createNetwork: async (network: Network, options?: CallOptions): Promise<void> =>
      call(procedures.NETWORK_CREATE, { network }, options),
    /** Starts a transient network: it is gone when it stops. */
    createTransientNetwork: async (xml: string, options?: CallOptions): Promise<Network> =>
      (await call(procedures.NETWORK_CREATE_XML, { xml }, options)).network,
    destroyNetwork: async (network: Network, options?: CallOptions): Promise<void> =>
      call(procedures.NETWORK_DESTROY, { network }, options),
    undefineNetwork: async (network: Network, options?: CallOptions): Promise<void> =>
      call(procedures.NETWORK_UNDEFINE, { network }, options),
    updateNetwork: async (
      network: Network,
      change: NetworkChange,
      options?: CallOptions & AffectOptions,
    ): Promise<void> => {
      const args = {
        network,
        command: networkUpdateCommands.indexOf(change.command),
        section: networkUpdateSections.indexOf(change.section),
        parentIndex: change.parentIndex ?? -1,
        xml: change.xml,
        flags: flagBits(options, affectBits),
      }
      return call(procedures.NETWORK_UPDATE, args, options)
    },
    networkXml: async (network: Network, options?: CallOptions & { readonly inactive?: boolean }): Promise<string> =>
      (await call(procedures.NETWORK_GET_XML_DESC, { network, flags: flagBits(options, { inactive: 1 }) }, options))
        .xml,
    /** The bridge device that carries it. */
    networkBridge: async (network: Network, options?: CallOptions): Promise<string> =>
      (await call(procedures.NETWORK_GET_BRIDGE_NAME, { network }, options)).name,
    networkAutostart: async (network: Network, options?: CallOptions): Promise<boolean> =>
      (await call(procedures.NETWORK_GET_AUTOSTART, { network }, options)).value,
    setNetworkAutostart: async (network: Network, autostart: boolean, options?: CallOptions): Promise<void> =>
      call(procedures.NETWORK_SET_AUTOSTART, { network, autostart }, options),
    isNetworkActive: async (network: Network, options?: CallOptions): Promise<boolean> =>
      (await call(procedures.NETWORK_IS_ACTIVE, { network }, options)).value,
    isNetworkPersistent: async (network: Network, options?: CallOptions): Promise<boolean> =>
      (await call(procedures.NETWORK_IS_PERSISTENT, { network }, options)).value,
    /** Leases that a network's DHCP server gave, to one MAC or to all. */
    networkDhcpLeases: async (
      network: Network,
      options?: CallOptions & { readonly mac?: string },
    ): Promise<readonly DhcpLease[]> => {
      const args = { network, mac: options?.mac ?? null, needResults: true, flags: 0 }
      const { leases } = await call(procedures.NETWORK_GET_DHCP_LEASES, args, options)
      return leases.map((lease) => ({ ...lease, type: nameOf(ipAddressTypes, lease.type) }))
    },
  }
}
