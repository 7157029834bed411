import { VmrError } from '../errors/vmr-error.ts'
import type { LinuxLink } from '../os/linux/ip-json.ts'
import type { UndoStep } from '../undo/steps.ts'

/** What an interface mode needs of the host NIC that it uses. */
export type UplinkUse =
  /** A bridge holds the uplink, with its MAC and MTU. */
  | {
      readonly kind: 'bridge'
      readonly bridge: string
      /** Spanning tree; off by default: it keeps a new port silent for 30 s. */
      readonly stp?: boolean
      /** IGMP and MLD snooping; off by default: with a querier it loses groups of guests that were paused. */
      readonly multicastSnooping?: boolean
    }
  /** Nothing holds the uplink. `exclusive`: and no macvtap stands on it, as passthrough needs. */
  | { readonly kind: 'bare'; readonly exclusive?: boolean }
  /** The host itself speaks on the uplink, over IPv6 too: it is the device under test. */
  | { readonly kind: 'host' }

export interface UplinkSituation {
  readonly links: readonly LinuxLink[]
  /** Interfaces that a default route of either family goes through. */
  readonly defaultRouteInterfaces: readonly string[]
  /** net.ipv6.conf.UPLINK.disable_ipv6; undefined where the kernel has no IPv6. */
  readonly ipv6Disabled: boolean | undefined
}

/** Commands that belong together, and what takes them back. */
export interface UplinkChange {
  readonly inverse: readonly UndoStep[]
  /** It disturbs nobody who still holds the uplink, so it may be made before all others. */
  readonly ahead?: true
  readonly commands: readonly (readonly string[])[]
}

/** Kinds that take a NIC's frames before a bridge could: the kernel refuses both at once (netdev_rx_handler_register). */
const stackedKinds: ReadonlySet<string> = new Set(['macvlan', 'macvtap', 'ipvlan', 'ipvtap'])

/**
 * What has to be changed so that the uplink can be used this way, in order. A bridge of vmr's that is wanted is in the
 * plan even when it stands already: each user of it journals its removal, and the last one's succeeds.
 *
 * @throws VmrError UPLINK_NOT_FOUND; UPLINK_BUSY, naming who holds the uplink.
 */
export function planUplink(uplink: string, use: UplinkUse, situation: UplinkSituation): readonly UplinkChange[] {
  const { links } = situation
  const nic = findUplink(uplink, links)
  if (use.kind !== 'host') refuseInUseByHost(nic, situation)
  refuseStacked(nic, use, links)
  const master = nic.master === undefined ? undefined : links.find(({ ifname }) => ifname === nic.master)
  const bridge = use.kind === 'bridge' ? use.bridge : undefined
  return [
    ...(master === undefined || master.ifname === bridge ? [] : dissolve(nic, master, links)),
    ...ipv6(uplink, use.kind === 'host', situation.ipv6Disabled),
    ...(nic.flags.includes('UP')
      ? []
      : [
          {
            inverse: [{ kind: 'link-settings' as const, name: uplink, up: false }],
            commands: [['ip', 'link', 'set', 'dev', uplink, 'up']],
          },
        ]),
    ...(use.kind === 'bridge' ? hold(nic, use, links) : []),
  ]
}

function findUplink(uplink: string, links: readonly LinuxLink[]): LinuxLink {
  const nic = links.find(({ ifname }) => ifname === uplink)
  if (nic === undefined) {
    const others = links.filter(isPossibleUplink).map(({ ifname }) => ifname)
    throw new VmrError('UPLINK_NOT_FOUND', `this host has no network interface ${uplink}`, {
      hint: uplink.startsWith('vmr')
        ? 'Run `vmr lab up` and try again.'
        : `It has ${others.length === 0 ? 'none that could be an uplink' : others.join(', ')}.`,
    })
  }
  if (!isPossibleUplink(nic))
    throw new VmrError('UPLINK_NOT_FOUND', `${uplink} is no Ethernet NIC, so it cannot be an uplink`, {
      hint: 'Name a NIC of this host.',
    })
  return nic
}

function isPossibleUplink({ link_type, linkinfo }: LinuxLink): boolean {
  const kind = linkinfo?.info_kind
  return link_type === 'ether' && (kind === undefined || kind === 'veth' || kind === 'vlan' || kind === 'bond')
}

function refuseInUseByHost(nic: LinuxLink, { defaultRouteInterfaces }: UplinkSituation): void {
  const name = nic.ifname
  const hint = 'Use a NIC that the host itself does not need: vmr will not cut the way in.'
  if (defaultRouteInterfaces.includes(name))
    throw new VmrError('UPLINK_BUSY', `${name} carries the host's default route`, { hint })
  const address = nic.addr_info.find(({ scope, local }) => scope !== 'link' && local !== undefined)
  if (address !== undefined)
    throw new VmrError('UPLINK_BUSY', `${name} carries the host's address ${address.local}`, { hint })
}

function refuseStacked(nic: LinuxLink, use: UplinkUse, links: readonly LinuxLink[]): void {
  if (use.kind === 'host' || (use.kind === 'bare' && use.exclusive !== true)) return
  const stacked = links.filter(
    ({ link, linkinfo }) => link === nic.ifname && stackedKinds.has(linkinfo?.info_kind ?? ''),
  )
  if (stacked.length === 0) return
  const names = stacked.map(({ ifname, linkinfo }) => `${linkinfo?.info_kind} ${ifname}`).join(', ')
  throw new VmrError('UPLINK_BUSY', `${nic.ifname} is held by ${names}`, {
    hint: `Stop the VM that uses it; if there is none, remove it: ip link delete ${stacked[0]?.ifname}`,
  })
}

function isOwnBridge({ ifname, linkinfo }: LinuxLink): boolean {
  return ifname.startsWith('vmr') && linkinfo?.info_kind === 'bridge'
}

function dissolve(nic: LinuxLink, master: LinuxLink, links: readonly LinuxLink[]): readonly UplinkChange[] {
  const name = nic.ifname
  if (!isOwnBridge(master))
    throw new VmrError('UPLINK_BUSY', `${name} is held by ${master.ifname}, which vmr did not make`, {
      hint: `Take it out (ip link set dev ${name} nomaster), or use another NIC.`,
    })
  const others = links.filter((link) => link.master === master.ifname && link.ifname !== name)
  if (others.length > 0)
    throw new VmrError(
      'UPLINK_BUSY',
      `${name} is held by ${master.ifname}, which ${others.map(({ ifname }) => ifname).join(', ')} uses too`,
      { hint: 'Stop or switch the VMs that use this bridge first.' },
    )
  // A bridge of vmr's is made again whenever a mode needs it, so its removal needs no inverse.
  return [{ inverse: [], commands: [['ip', 'link', 'delete', 'dev', master.ifname]] }]
}

/**
 * As an uplink the NIC says nothing by itself: with IPv6 the host would solicit, report groups and answer on it. The
 * host's own address of link scope goes with it and comes back with it.
 */
function ipv6(uplink: string, wanted: boolean, disabled: boolean | undefined): readonly UplinkChange[] {
  if (disabled === undefined || disabled === !wanted) return []
  const key = `net/ipv6/conf/${uplink}/disable_ipv6`
  return [
    {
      inverse: [{ kind: 'sysctl', key, value: disabled ? '1' : '0' }],
      commands: [['sysctl', '-q', '-w', `${key}=${wanted ? 0 : 1}`]],
    },
  ]
}

function hold(
  nic: LinuxLink,
  use: Extract<UplinkUse, { kind: 'bridge' }>,
  links: readonly LinuxLink[],
): readonly UplinkChange[] {
  const { bridge } = use
  const there = links.find(({ ifname }) => ifname === bridge)
  const held = nic.master === bridge
  if (there !== undefined && !isOwnBridge(there)) {
    if (held && there.linkinfo?.info_kind === 'bridge') return []
    throw new VmrError('UPLINK_BUSY', `${bridge} is there already, and vmr did not make it`, {
      hint: `Let it hold ${nic.ifname} yourself, or name a bridge that vmr may make: its name begins with vmr.`,
    })
  }
  const settings = ['stp_state', use.stp ? '1' : '0', 'mcast_snooping', use.multicastSnooping ? '1' : '0']
  const make = [
    [
      ...['ip', 'link', 'add', 'name', bridge],
      ...(nic.address === undefined ? [] : ['address', nic.address]),
      ...['mtu', String(nic.mtu), 'type', 'bridge', ...settings],
    ],
    ['sysctl', '-q', '-w', `net/ipv6/conf/${bridge}/disable_ipv6=1`],
  ]
  const current = there?.linkinfo?.info_data
  const asWanted =
    current?.stp_state === (use.stp ? 1 : 0) && current?.mcast_snooping === (use.multicastSnooping ? 1 : 0)
  const inverse = [{ kind: 'uplink-bridge' as const, bridge, uplink: nic.ifname }]
  return [
    {
      inverse,
      ahead: true,
      commands: [
        ...(there === undefined ? make : []),
        ...(there === undefined || asWanted
          ? []
          : [['ip', 'link', 'set', 'dev', bridge, 'type', 'bridge', ...settings]]),
        ...(there?.flags.includes('UP') === true ? [] : [['ip', 'link', 'set', 'dev', bridge, 'up']]),
      ],
    },
    ...(held ? [] : [{ inverse, commands: [['ip', 'link', 'set', 'dev', nic.ifname, 'master', bridge]] }]),
  ]
}
