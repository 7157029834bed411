import { isIPv6 } from 'node:net'
import type { NetworkConfig } from '../../config/network-config.ts'
import { VmrError } from '../../errors/vmr-error.ts'
import type { VyosPath } from './path.ts'
import type { VyosTrain } from './version.ts'

/** One node that shall exist. */
interface WantedNode {
  readonly path: VyosPath
  /** The last word is the value of a node that has only one: setting it replaces another value. */
  readonly single: boolean
  /**
   * Lengths of the prefixes of `path` that are objects of their own (a tunnel, a VLAN, a route), outermost first.
   * Taking back an object that was not there before takes it back whole.
   */
  readonly objects: readonly number[]
}

/** What a NetworkConfig asks of VyOS's configuration. Nodes that it does not name stay as they are. */
export interface WantedConfiguration {
  readonly present: readonly WantedNode[]
  /** Nodes that must not exist, with everything below. */
  readonly absent: readonly VyosPath[]
  /** Interfaces that the machine must have already: VyOS answers with a traceback when one is missing. */
  readonly devices: readonly string[]
}

const node = (path: VyosPath, objects: readonly number[] = []): WantedNode => ({ path, single: false, objects })
const value = (path: VyosPath, objects: readonly number[] = []): WantedNode => ({ path, single: true, objects })

/** Interface migration 17 to 18 of VyOS renamed these and made them valueless. */
const offloadNames12 = {
  gro: 'generic-receive',
  gso: 'generic-segmentation',
  sg: 'scatter-gather',
  tso: 'tcp-segmentation',
} as const

/**
 * Turns a NetworkConfig into nodes of VyOS's configuration, in an order in which each stands behind what it needs.
 *
 * @throws VmrError CONFIG_INVALID for what this VyOS has no words for
 */
export function renderNetworkConfig(config: NetworkConfig, train: VyosTrain): WantedConfiguration {
  const present: WantedNode[] = []
  const absent: VyosPath[] = []
  if (config.hostName !== undefined) present.push(value(['system', 'host-name', config.hostName]))
  for (const [family, node6] of [
    ['ipv4', 'ip'],
    ['ipv6', 'ipv6'],
  ] as const) {
    const wanted = config.forwarding?.[family]
    const path = ['system', node6, 'disable-forwarding']
    if (wanted === true) absent.push(path)
    if (wanted === false) present.push(node(path))
  }
  for (const [name, ethernet] of Object.entries(config.ethernets)) {
    const base = ['interfaces', 'ethernet', name]
    const objects = [3]
    if (ethernet.mtu !== undefined) present.push(value([...base, 'mtu', String(ethernet.mtu)], objects))
    for (const [offload, on] of Object.entries(ethernet.offloads ?? {})) {
      if (on === undefined) continue
      if (train === '1.2') {
        const word = offloadNames12[offload as keyof typeof offloadNames12]
        present.push(value([...base, 'offload-options', word, on ? 'on' : 'off'], objects))
      } else if (on) {
        present.push(node([...base, 'offload', offload], objects))
      } else {
        absent.push([...base, 'offload', offload])
      }
    }
    for (const address of ethernet.addresses) present.push(node([...base, 'address', address], objects))
    for (const [id, vlan] of Object.entries(ethernet.vlans)) {
      const vif = [...base, 'vif', id]
      const vifObjects = [3, 5]
      present.push(node(vif, vifObjects))
      if (vlan.mtu !== undefined) present.push(value([...vif, 'mtu', String(vlan.mtu)], vifObjects))
      for (const address of vlan.addresses) present.push(node([...vif, 'address', address], vifObjects))
    }
  }
  for (const [name, bridge] of Object.entries(config.bridges)) {
    const base = ['interfaces', 'bridge', name]
    const objects = [3]
    for (const member of bridge.members) present.push(node([...base, 'member', 'interface', member], objects))
    if (bridge.mtu !== undefined) present.push(value([...base, 'mtu', String(bridge.mtu)], objects))
    for (const address of bridge.addresses) present.push(node([...base, 'address', address], objects))
  }
  for (const [name, tunnel] of Object.entries(config.tunnels)) {
    const base = ['interfaces', 'tunnel', name]
    const objects = [3]
    const [local, remote] = train === '1.2' ? ['local-ip', 'remote-ip'] : ['source-address', 'remote']
    present.push(value([...base, 'encapsulation', 'ipip6'], objects))
    present.push(value([...base, local, tunnel.local], objects))
    present.push(value([...base, remote, tunnel.remote], objects))
    if (tunnel.mtu !== undefined) present.push(value([...base, 'mtu', String(tunnel.mtu)], objects))
    if (tunnel.encapsulationLimit !== undefined) {
      present.push(value([...base, 'parameters', 'ipv6', 'encaplimit', String(tunnel.encapsulationLimit)], objects))
    }
    for (const address of tunnel.addresses) present.push(node([...base, 'address', address], objects))
  }
  for (const route of config.routes) present.push(renderRoute(route, train))
  return { present: unique(present), absent, devices: devicesOf(config) }
}

function renderRoute(route: NetworkConfig['routes'][number], train: VyosTrain): WantedNode {
  const v6 = isIPv6(route.to.split('/')[0] ?? '')
  const family = v6 ? 'route6' : 'route'
  const base = ['protocols', 'static']
  if (route.via === undefined) {
    const device = route.device ?? ''
    return train === '1.2' || train === '1.3'
      ? node([...base, v6 ? 'interface-route6' : 'interface-route', route.to, 'next-hop-interface', device], [4, 6])
      : node([...base, family, route.to, 'interface', device], [4, 6])
  }
  if (isIPv6(route.via) !== v6) {
    throw new VmrError(
      'CONFIG_INVALID',
      `route to ${route.to}: VyOS cannot send one family through a next hop of the other, ${route.via}`,
    )
  }
  if (route.device === undefined) return node([...base, family, route.to, 'next-hop', route.via], [4, 6])
  if (train === '1.2' && !v6) {
    throw new VmrError(
      'CONFIG_INVALID',
      `route to ${route.to}: VyOS 1.2 takes a next hop or a device for an IPv4 route, not both`,
    )
  }
  return value([...base, family, route.to, 'next-hop', route.via, 'interface', route.device], [4, 6])
}

function devicesOf(config: NetworkConfig): readonly string[] {
  const made = new Set([
    ...Object.keys(config.bridges),
    ...Object.keys(config.tunnels),
    ...Object.entries(config.ethernets).flatMap(([name, ethernet]) =>
      Object.keys(ethernet.vlans).map((id) => `${name}.${id}`),
    ),
  ])
  const named = [
    ...Object.keys(config.ethernets),
    ...Object.values(config.bridges).flatMap((bridge) => bridge.members),
    ...config.routes.flatMap((route) => (route.device === undefined ? [] : [route.device])),
  ]
  return [...new Set(named)].filter((name) => !made.has(name))
}

function unique(nodes: readonly WantedNode[]): readonly WantedNode[] {
  const byPath = new Map(nodes.map((wanted) => [wanted.path.join('\0'), wanted]))
  return [...byPath.values()]
}
