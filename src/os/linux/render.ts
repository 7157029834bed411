import { isIPv6 } from 'node:net'
import type { NetworkConfig } from '../../config/network-config.ts'
import { VmrError } from '../../errors/vmr-error.ts'
import { normalizeAddress } from '../address-text.ts'

/** What `configure` found, so that its inverse can put it back and leave alone what was there already. */
export interface LinuxBefore {
  readonly links: ReadonlyMap<string, LinuxLinkBefore>
  /** Of the main table, normalized as {@link routeKey} does. */
  readonly routes: ReadonlySet<string>
  readonly forwarding: { readonly ipv4: boolean; readonly ipv6: boolean }
}

interface LinuxLinkBefore {
  /** `linkinfo.info_kind`: "bridge", "vlan", "ip6tnl"; none for a real NIC. */
  readonly kind: string | undefined
  readonly up: boolean
  readonly mtu: number
  readonly master: string | undefined
  /** With prefix length, as {@link normalizeAddress} writes them. */
  readonly addresses: ReadonlySet<string>
  /** Whether each offload that the configuration names was on. */
  readonly offloads: Readonly<Record<string, boolean>>
}

type Argv = readonly string[]

interface NewLink {
  readonly name: string
  readonly kind: 'vlan' | 'bridge' | 'ip6tnl'
  readonly add: Argv
}

const sysctls = { ipv4: 'net/ipv4/ip_forward', ipv6: 'net/ipv6/conf/all/forwarding' } as const
const families = ['ipv4', 'ipv6'] as const

/**
 * The commands that make a Linux machine what the configuration says, in order. What `before` shows to be so already
 * needs none, so that a second time costs nothing.
 *
 * @throws VmrError CONFIG_INVALID for what Linux cannot be given this way, HOST_BUSY when a link of another kind has
 * the name of one that is to be made.
 */
export function renderConfigure(config: NetworkConfig, before: LinuxBefore): readonly Argv[] {
  checkConfig(config)
  const created = newLinks(config).filter(({ name, kind }) => {
    const there = before.links.get(name)
    if (there === undefined) return true
    if (there.kind === kind) return false
    throw new VmrError('HOST_BUSY', `${name} is there already, and is not a ${kind === 'ip6tnl' ? 'tunnel' : kind}`, {
      hint: `Choose another name than ${name}, or remove it.`,
    })
  })
  return [
    ...created.map(({ add }) => add),
    ...Object.entries(config.bridges).flatMap(([bridge, { members }]) =>
      members
        .filter((member) => before.links.get(member)?.master !== bridge)
        .map((member) => ['ip', 'link', 'set', 'dev', member, 'master', bridge]),
    ),
    ...Object.entries(config.ethernets).flatMap(([name, { offloads }]) =>
      renderOffloads(name, offloads ?? {}, before.links.get(name)?.offloads ?? {}),
    ),
    ...mtus(config)
      .filter(({ name, mtu }) => before.links.get(name)?.mtu !== mtu)
      .map(({ name, mtu }) => ['ip', 'link', 'set', 'dev', name, 'mtu', String(mtu)]),
    ...linkNames(config)
      .filter((name) => before.links.get(name)?.up !== true)
      .map((name) => ['ip', 'link', 'set', 'dev', name, 'up']),
    ...addresses(config)
      .filter(({ name, address }) => before.links.get(name)?.addresses.has(address) !== true)
      .map(({ name, address }) => ['ip', 'address', 'add', address, 'dev', name]),
    ...config.routes
      .filter((route) => !before.routes.has(routeKey(route)))
      .map((route) => ['ip', familyFlag(route.to), 'route', 'add', ...routeWords(route)]),
    ...families
      .filter((family) => {
        const wanted = config.forwarding?.[family]
        return wanted !== undefined && wanted !== before.forwarding[family]
      })
      .map((family) => ['sysctl', '-q', '-w', `${sysctls[family]}=${config.forwarding?.[family] ? 1 : 0}`]),
  ]
}

/**
 * The inverse of {@link renderConfigure}, in order. Without `before`, which is what another process did, it removes
 * what the configuration adds, and leaves alone the values that it cannot know: MTU, offloads, forwarding, link state.
 */
export function renderUnconfigure(config: NetworkConfig, before: LinuxBefore | undefined): readonly Argv[] {
  checkConfig(config)
  const removed = newLinks(config).filter(({ name }) => before?.links.has(name) !== true)
  const removedNames = new Set(removed.map(({ name }) => name))
  const stays = (name: string) => !removedNames.has(name)
  return [
    ...families
      .filter((family) => {
        const set = config.forwarding?.[family]
        return set !== undefined && before !== undefined && before.forwarding[family] !== set
      })
      .map((family) => ['sysctl', '-q', '-w', `${sysctls[family]}=${before?.forwarding[family] ? 1 : 0}`]),
    ...config.routes
      .filter((route) => before?.routes.has(routeKey(route)) !== true)
      .map((route) => ['ip', familyFlag(route.to), 'route', 'delete', ...routeWords(route)])
      .reverse(),
    ...addresses(config)
      .filter(({ name, address }) => stays(name) && before?.links.get(name)?.addresses.has(address) !== true)
      .map(({ name, address }) => ['ip', 'address', 'delete', address, 'dev', name])
      .reverse(),
    ...Object.entries(config.bridges).flatMap(([bridge, { members }]) =>
      members.filter(stays).flatMap((member) => {
        const master = before?.links.get(member)?.master
        if (master === bridge) return []
        return [
          master === undefined
            ? ['ip', 'link', 'set', 'dev', member, 'nomaster']
            : ['ip', 'link', 'set', 'dev', member, 'master', master],
        ]
      }),
    ),
    ...removed.map(({ name }) => ['ip', 'link', 'delete', 'dev', name]).reverse(),
    ...linkNames(config)
      .filter((name) => stays(name) && before?.links.get(name)?.up === false)
      .map((name) => ['ip', 'link', 'set', 'dev', name, 'down'])
      .reverse(),
    ...mtus(config).flatMap(({ name, mtu }) => {
      const was = before?.links.get(name)?.mtu
      return stays(name) && was !== undefined && was !== mtu
        ? [['ip', 'link', 'set', 'dev', name, 'mtu', String(was)]]
        : []
    }),
    ...Object.entries(config.ethernets).flatMap(([name, { offloads }]) => {
      const was = before?.links.get(name)?.offloads ?? {}
      const restored = Object.fromEntries(Object.entries(was).filter(([feature]) => feature in (offloads ?? {})))
      return renderOffloads(name, restored, { ...offloads })
    }),
  ]
}

function checkConfig(config: NetworkConfig): void {
  if (config.hostName !== undefined)
    throw new VmrError(
      'CONFIG_INVALID',
      `hostName ${config.hostName} is for routers: vmr does not rename a Linux machine`,
      {
        hint: 'Leave hostName out of what this machine is given.',
      },
    )
  const tooLong = Object.entries(config.ethernets)
    .flatMap(([name, { vlans }]) => Object.keys(vlans).map((id) => vlanName(name, id)))
    .find((name) => name.length > 15)
  if (tooLong !== undefined)
    throw new VmrError('CONFIG_INVALID', `the VLAN interface ${tooLong} would have more than 15 characters`, {
      hint: 'Give the interface below it a shorter name.',
    })
}

function newLinks(config: NetworkConfig): readonly NewLink[] {
  const vlans = Object.entries(config.ethernets).flatMap(([parent, ethernet]) =>
    Object.keys(ethernet.vlans).map((id): NewLink => {
      const name = vlanName(parent, id)
      return { name, kind: 'vlan', add: ['ip', 'link', 'add', 'link', parent, 'name', name, 'type', 'vlan', 'id', id] }
    }),
  )
  // As VyOS makes them: snooping off unless it is asked for.
  const bridges = Object.keys(config.bridges).map(
    (name): NewLink => ({
      name,
      kind: 'bridge',
      add: ['ip', 'link', 'add', 'name', name, 'type', 'bridge', 'stp_state', '0', 'mcast_snooping', '0'],
    }),
  )
  const tunnels = Object.entries(config.tunnels).map(
    ([name, { local, remote, encapsulationLimit }]): NewLink => ({
      name,
      kind: 'ip6tnl',
      add: [
        ...['ip', 'link', 'add', 'name', name, 'type', 'ip6tnl', 'mode', 'ipip6', 'local', local, 'remote', remote],
        ...(encapsulationLimit === undefined ? [] : ['encaplimit', String(encapsulationLimit)]),
      ],
    }),
  )
  return [...vlans, ...bridges, ...tunnels]
}

function vlanName(parent: string, id: string): string {
  return `${parent}.${id}`
}

/** Every link that carries something, lower ones first. */
function linkNames(config: NetworkConfig): readonly string[] {
  return [
    ...new Set([
      ...Object.keys(config.ethernets),
      ...Object.entries(config.ethernets).flatMap(([name, { vlans }]) =>
        Object.keys(vlans).map((id) => vlanName(name, id)),
      ),
      ...Object.values(config.bridges).flatMap(({ members }) => members),
      ...Object.keys(config.bridges),
      ...Object.keys(config.tunnels),
    ]),
  ]
}

function carriers(config: NetworkConfig) {
  return [
    ...Object.entries(config.ethernets),
    ...Object.entries(config.ethernets).flatMap(([name, { vlans }]) =>
      Object.entries(vlans).map(([id, vlan]) => [vlanName(name, id), vlan] as const),
    ),
    ...Object.entries(config.bridges),
    ...Object.entries(config.tunnels),
  ]
}

function mtus(config: NetworkConfig): readonly { readonly name: string; readonly mtu: number }[] {
  return carriers(config).flatMap(([name, { mtu }]) => (mtu === undefined ? [] : [{ name, mtu }]))
}

function addresses(config: NetworkConfig): readonly { readonly name: string; readonly address: string }[] {
  return carriers(config).flatMap(([name, carrier]) =>
    [...new Set(carrier.addresses.map(normalizeAddress))].map((address) => ({ name, address })),
  )
}

function renderOffloads(
  name: string,
  wanted: Readonly<Record<string, boolean | undefined>>,
  current: Readonly<Record<string, boolean | undefined>>,
): readonly Argv[] {
  const words = Object.entries(wanted).flatMap(([feature, on]) =>
    on === undefined || current[feature] === on ? [] : [feature, on ? 'on' : 'off'],
  )
  return words.length === 0 ? [] : [['ethtool', '-K', name, ...words]]
}

function familyFlag(destination: string): '-4' | '-6' {
  return isIPv6(destination.split('/')[0] ?? '') ? '-6' : '-4'
}

type Route = NetworkConfig['routes'][number]

function routeWords({ to, via, device }: Route): readonly string[] {
  return [
    normalizeAddress(to),
    ...(via === undefined ? [] : ['via', via]),
    ...(device === undefined ? [] : ['dev', device]),
  ]
}

/** One text for a route however it is written, to tell whether it is there. The device counts only without a gateway. */
export function routeKey(route: {
  readonly to: string
  readonly via?: string | undefined
  readonly device?: string | undefined
}): string {
  const via = route.via === undefined ? `dev ${route.device}` : `via ${normalizeAddress(route.via)}`
  return `${normalizeAddress(route.to)} ${via}`
}
