import { z } from 'zod'
import { isEmptyNetwork, networkChange } from '../../config/network-change.ts'
import type { NetworkConfig } from '../../config/network-config.ts'
import { VmrError } from '../../errors/vmr-error.ts'
import { runChecked, type Shell } from '../../shell/shell.ts'
import { normalizeAddress } from '../address-text.ts'
import type { NetworkObservation, ObservedAddress, ObservedInterface, ObservedNeighbour, Os } from '../os.ts'
import { emptyNeighbourTables, isGone, type LinuxLink, readLinks, readNeighbours, readRoutes } from './ip-json.ts'
import { type LinuxBefore, renderConfigure, renderUnconfigure, routeKey } from './render.ts'

interface Options {
  readonly signal?: AbortSignal
}

/** What `configure` found on each machine, by configuration, for as long as this process knows the machine. */
const remembered = new WeakMap<Shell, Map<string, LinuxBefore>>()

/**
 * A Linux machine with iproute2, sysctl and, for offloads, ethtool. Configuring is all or nothing: a command that fails
 * has what went before it taken back. `unconfigure` restores values that were changed (MTU, offloads, forwarding, link
 * state) when the same process and Shell object configured them, and else only removes what the configuration adds.
 */
export const linuxOs: Os = {
  kind: 'linux',
  configure,
  unconfigure,
  reconfigure,
  observe,
  readNeighbours: observeNeighbours,
  flushNeighbours,
}

async function configure(shell: Shell, config: NetworkConfig, options: Options = {}): Promise<void> {
  const before = await readBefore(shell, config, options)
  const commands = renderConfigure(config, before)
  const memory = remembered.get(shell) ?? new Map<string, LinuxBefore>()
  remembered.set(shell, memory)
  const key = JSON.stringify(config)
  // Configured twice, the first time knows how it was without.
  if (!memory.has(key)) memory.set(key, before)
  try {
    for (const argv of commands) await runChecked(shell, argv, options)
  } catch (error) {
    // The first error is what the caller has to know; what cannot be taken back now shows at the next attempt.
    await unconfigure(shell, config).catch(() => undefined)
    throw error
  }
}

async function unconfigure(shell: Shell, config: NetworkConfig, options: Options = {}): Promise<void> {
  const memory = remembered.get(shell)
  const key = JSON.stringify(config)
  await takeBack(shell, config, memory?.get(key), options)
  memory?.delete(key)
}

async function reconfigure(shell: Shell, from: NetworkConfig, to: NetworkConfig, options: Options = {}): Promise<void> {
  const { removed, added } = networkChange(from, to)
  const before = remembered.get(shell)?.get(JSON.stringify(from))
  await takeBack(shell, removed, before, options)
  if (!isEmptyNetwork(added)) await configure(shell, added, options)
  const memory = remembered.get(shell)
  const between = memory?.get(JSON.stringify(added))
  memory?.delete(JSON.stringify(added))
  memory?.delete(JSON.stringify(from))
  if (before !== undefined) memory?.set(JSON.stringify(to), beforeBoth(from, before, between))
}

/** How it was without either: what the second found, except for what the first one had made. */
function beforeBoth(from: NetworkConfig, before: LinuxBefore, between: LinuxBefore | undefined): LinuxBefore {
  return {
    links: new Map(
      [...before.links].map(([name, link]) => [
        name,
        { ...link, offloads: { ...between?.links.get(name)?.offloads, ...link.offloads } },
      ]),
    ),
    routes: from.routes.length > 0 ? before.routes : (between?.routes ?? before.routes),
    forwarding: from.forwarding === undefined ? (between?.forwarding ?? before.forwarding) : before.forwarding,
  }
}

async function takeBack(
  shell: Shell,
  config: NetworkConfig,
  before: LinuxBefore | undefined,
  options: Options,
): Promise<void> {
  for (const argv of renderUnconfigure(config, before)) {
    const result = await shell.run(argv, options)
    if (result.exitCode !== 0 && !isGone(result.stderr))
      throw new VmrError(
        'HOST_COMMAND_FAILED',
        `${argv.join(' ')} failed on ${shell.description}: ${result.stderr.trim().slice(0, 500)}`,
      )
  }
}

async function observe(shell: Shell, options: Options = {}): Promise<NetworkObservation> {
  const [links, neighbours] = await Promise.all([readLinks(shell, options), observeNeighbours(shell, options)])
  return { interfaces: links.map(observedInterface), neighbours }
}

async function observeNeighbours(shell: Shell, options: Options = {}): Promise<readonly ObservedNeighbour[]> {
  return (await readNeighbours(shell, options)).map(({ dst, dev, lladdr, state }) => ({
    address: dst,
    interfaceName: dev,
    mac: lladdr,
    state: state[0] ?? 'NONE',
  }))
}

/**
 * @throws VmrError MEASUREMENT_FAILED when an entry is PERMANENT: somebody's configuration, which stays, and with which
 * nothing would be resolved anew.
 */
async function flushNeighbours(shell: Shell, interfaceNames: readonly string[], options: Options = {}): Promise<void> {
  const all = await emptyNeighbourTables(shell, interfaceNames, options)
  const left = all.filter(({ dev }) => interfaceNames.includes(dev))
  const fixed = left.find(({ state }) => state.includes('PERMANENT'))
  if (fixed !== undefined)
    throw new VmrError(
      'MEASUREMENT_FAILED',
      `the neighbour ${fixed.dst} is set by hand on ${fixed.dev} of ${shell.description}, so nothing shows whether it can be resolved`,
      { hint: `Remove it there: ip neighbour delete ${fixed.dst} dev ${fixed.dev}` },
    )
}

function observedInterface(link: LinuxLink): ObservedInterface {
  return {
    name: link.ifname,
    index: link.ifindex,
    mac: link.link_type === 'ether' ? link.address : undefined,
    mtu: link.mtu,
    adminUp: link.flags.includes('UP'),
    carrier: link.flags.includes('LOWER_UP'),
    promiscuity: link.promiscuity,
    allMulticast: link.allmulti,
    master: link.master,
    addresses: link.addr_info.flatMap(observedAddress),
  }
}

function observedAddress(address: LinuxLink['addr_info'][number]): readonly ObservedAddress[] {
  if (address.local === undefined || (address.family !== 'inet' && address.family !== 'inet6')) return []
  return [
    {
      address: address.local,
      prefixLength: address.prefixlen,
      family: address.family === 'inet' ? 'ipv4' : 'ipv6',
      scope: scopeSchema.parse(address.scope),
      tentative: address.tentative,
      duplicate: address.dadfailed,
    },
  ]
}

/** A scope that an administrator numbered reaches at least beyond the link. */
const scopeSchema = z.enum(['global', 'link', 'host', 'site']).catch('global')

async function readBefore(shell: Shell, config: NetworkConfig, options: Options): Promise<LinuxBefore> {
  const hasRoutes = config.routes.length > 0
  const [links, ipv4Routes, ipv6Routes, forwarding, offloads] = await Promise.all([
    readLinks(shell, options),
    hasRoutes ? readRoutes(shell, 'ipv4', options) : [],
    hasRoutes ? readRoutes(shell, 'ipv6', options) : [],
    config.forwarding === undefined ? { ipv4: false, ipv6: false } : readForwarding(shell, options),
    Promise.all(
      Object.entries(config.ethernets).map(async ([name, ethernet]) => {
        const features = Object.keys(ethernet.offloads ?? {})
        return [name, features.length === 0 ? {} : await readOffloads(shell, name, features, options)] as const
      }),
    ),
  ])
  const offloadsOf = new Map(offloads)
  const keyOf =
    (everything: string) =>
    (route: { readonly dst: string; readonly gateway?: string | undefined; readonly dev?: string | undefined }) => {
      const to = route.dst === 'default' ? everything : route.dst
      const withLength = to.includes('/') ? to : `${to}/${everything === '::/0' ? 128 : 32}`
      return routeKey({ to: withLength, via: route.gateway, device: route.dev })
    }
  return {
    links: new Map(
      links.map((link) => [
        link.ifname,
        {
          kind: link.linkinfo?.info_kind,
          up: link.flags.includes('UP'),
          mtu: link.mtu,
          master: link.master,
          addresses: new Set(
            link.addr_info.flatMap(({ local, prefixlen }) =>
              local === undefined ? [] : [normalizeAddress(`${local}/${prefixlen}`)],
            ),
          ),
          offloads: offloadsOf.get(link.ifname) ?? {},
        },
      ]),
    ),
    routes: new Set([...ipv4Routes.map(keyOf('0.0.0.0/0')), ...ipv6Routes.map(keyOf('::/0'))]),
    forwarding,
  }
}

async function readForwarding(shell: Shell, options: Options): Promise<LinuxBefore['forwarding']> {
  const text = await runChecked(shell, ['sysctl', '-n', 'net/ipv4/ip_forward', 'net/ipv6/conf/all/forwarding'], options)
  const [ipv4, ipv6] = text.trim().split('\n')
  return { ipv4: ipv4 !== '0', ipv6: ipv6 !== '0' }
}

/** `ethtool -k` prints long names, `ethtool -K` takes short ones (ethtool.c, off_flag_def). */
const featureNames: Readonly<Record<string, string>> = {
  gro: 'generic-receive-offload',
  gso: 'generic-segmentation-offload',
  sg: 'scatter-gather',
  tso: 'tcp-segmentation-offload',
}

async function readOffloads(
  shell: Shell,
  name: string,
  features: readonly string[],
  options: Options,
): Promise<Readonly<Record<string, boolean>>> {
  const text = await runChecked(shell, ['ethtool', '-k', name], options)
  const states = new Map(
    [...text.matchAll(/^([a-z0-9-]+): (on|off)\b/gm)].map(([, long, state]) => [long, state === 'on']),
  )
  return Object.fromEntries(
    features.flatMap((feature) => {
      const state = states.get(featureNames[feature])
      return state === undefined ? [] : [[feature, state] as const]
    }),
  )
}
