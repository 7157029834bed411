import { isDeepStrictEqual } from 'node:util'
import type { NetworkConfig } from './network-config.ts'

/** What has to go, and what has to come, for one configuration to become another. */
export interface NetworkChange {
  readonly removed: NetworkConfig
  readonly added: NetworkConfig
}

/**
 * What both have stays: an address that is not touched needs no duplicate address detection. Where a NIC changes or
 * goes, all that can stand on it (bridges, tunnels, routes) is made anew.
 */
export function networkChange(from: NetworkConfig, to: NetworkConfig): NetworkChange {
  const nics = entriesChanged(from.ethernets, to.ethernets)
  const groundStays = Object.keys(nics.removed).length === 0
  const above = <Entry>(before: Readonly<Record<string, Entry>>, after: Readonly<Record<string, Entry>>) =>
    groundStays ? entriesChanged(before, after) : { removed: before, added: after }
  const bridges = above(from.bridges, to.bridges)
  const tunnels = above(from.tunnels, to.tunnels)
  const devicesStay = [nics, bridges, tunnels].every(({ removed }) => Object.keys(removed).length === 0)
  const without = <Item>(items: readonly Item[], others: readonly Item[]) =>
    devicesStay ? items.filter((item) => !others.some((each) => isDeepStrictEqual(each, item))) : [...items]
  const hostNameChanges = from.hostName !== to.hostName
  const forwardingChanges = !isDeepStrictEqual(from.forwarding, to.forwarding)
  const part = (config: NetworkConfig, side: 'removed' | 'added', others: NetworkConfig): NetworkConfig => ({
    ...(hostNameChanges && config.hostName !== undefined ? { hostName: config.hostName } : {}),
    ethernets: nics[side],
    bridges: bridges[side],
    tunnels: tunnels[side],
    routes: without(config.routes, others.routes),
    ...(forwardingChanges && config.forwarding !== undefined ? { forwarding: config.forwarding } : {}),
  })
  return { removed: part(from, 'removed', to), added: part(to, 'added', from) }
}

/** Whether a configuration asks for nothing. */
export function isEmptyNetwork({ hostName, ethernets, bridges, tunnels, routes, forwarding }: NetworkConfig): boolean {
  const named = [ethernets, bridges, tunnels].every((entries) => Object.keys(entries).length === 0)
  return named && routes.length === 0 && hostName === undefined && forwarding === undefined
}

function entriesChanged<Entry>(
  from: Readonly<Record<string, Entry>>,
  to: Readonly<Record<string, Entry>>,
): { readonly removed: Record<string, Entry>; readonly added: Record<string, Entry> } {
  const changed = ([name, entry]: [string, Entry], others: Readonly<Record<string, Entry>>) =>
    !isDeepStrictEqual(others[name], entry)
  return {
    removed: Object.fromEntries(Object.entries(from).filter((entry) => changed(entry, to))),
    added: Object.fromEntries(Object.entries(to).filter((entry) => changed(entry, from))),
  }
}
