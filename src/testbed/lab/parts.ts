import { z } from 'zod'
import { isVmrError } from '../../errors/vmr-error.ts'
import { normalizeAddress } from '../../os/address-text.ts'
import { type LinuxLink, readLinks } from '../../os/linux/ip-json.ts'
import { localShell } from '../../shell/local.ts'
import { netnsShell } from '../../shell/netns.ts'
import { runChecked, type Shell } from '../../shell/shell.ts'
import type { UndoStep } from '../../undo/steps.ts'
import type { TestbedLink } from '../testbed.ts'
import { isShaped, shapingArguments } from './shaping.ts'

/** One end of a link, as the kernel has it. */
interface End {
  readonly link: LinuxLink
  readonly shaped: boolean
  /** Of {@link frameOffloads}, those that are on. */
  readonly offloadsOn: readonly string[]
  readonly acceptRa: string
}

/** Undefined is what does not exist. */
export interface LinkEnds {
  readonly namespace: boolean
  readonly loopbackUp: boolean
  readonly host: End | undefined
  readonly pc: End | undefined
}

interface Command {
  readonly shell: Shell
  readonly argv: readonly string[]
}

/** One thing that a lab link consists of. Parts are made in order. */
export interface LabPart {
  readonly name: string
  /** Journaled before the part is made; a part without is gone when those before it are. */
  readonly inverse: readonly UndoStep[]
  isThere(ends: LinkEnds): boolean
  make(ends: LinkEnds): readonly Command[]
}

/**
 * With these off every frame that crosses the link is one that a wire could carry: no larger than the MTU, its
 * checksum computed, its VLAN tag inside. By `ethtool -K`'s names, with those of `ethtool -k`.
 */
const frameOffloads: Readonly<Record<string, string>> = {
  tso: 'tcp-segmentation-offload',
  gso: 'generic-segmentation-offload',
  gro: 'generic-receive-offload',
  tx: 'tx-checksumming',
  txvlan: 'tx-vlan-offload',
}

export function labParts(link: TestbedLink): readonly LabPart[] {
  const { uplink, pc, rate, mtu } = link
  const namespace = pc.shell.name
  const inside = netnsShell(namespace)
  const here = localShell
  const both = (ends: (name: string, shell: Shell) => readonly string[]): readonly Command[] => [
    { shell: here, argv: ends(uplink, here) },
    { shell: inside, argv: ends(pc.interface, inside) },
  ]
  const isConnected = ({ host, pc: pcEnd }: LinkEnds) =>
    host !== undefined &&
    pcEnd !== undefined &&
    pcEnd.link.link_index === host.link.ifindex &&
    pcEnd.link.address === pc.mac
  // No router is on the link: a PC that solicits one would speak before it is asked.
  const acceptRa = `net/ipv6/conf/${pc.interface}/accept_ra`
  // The uplink stands for a NIC that the host does not use: no address, no group, no frame of its own.
  const disableIpv6 = `net/ipv6/conf/${uplink}/disable_ipv6`

  return [
    {
      name: `namespace ${namespace}`,
      inverse: [{ kind: 'netns', name: namespace }],
      isThere: (ends) => ends.namespace,
      make: () => [{ shell: here, argv: ['ip', 'netns', 'add', namespace] }],
    },
    {
      name: `loopback of ${namespace}`,
      inverse: [],
      isThere: (ends) => ends.loopbackUp,
      make: () => [{ shell: inside, argv: ['ip', 'link', 'set', 'dev', 'lo', 'up'] }],
    },
    {
      name: `link ${uplink} to ${pc.name}`,
      inverse: [{ kind: 'link', name: uplink, linkKind: 'veth' }],
      isThere: isConnected,
      make: ({ host, pc: pcEnd }) => [
        // Half a link, or one that leads elsewhere, is of no use.
        ...(host === undefined ? [] : [{ shell: here, argv: ['ip', 'link', 'delete', 'dev', uplink] }]),
        ...(pcEnd === undefined || (host !== undefined && pcEnd.link.link_index === host.link.ifindex)
          ? []
          : [{ shell: inside, argv: ['ip', 'link', 'delete', 'dev', pc.interface] }]),
        {
          shell: here,
          argv: [
            ...['ip', 'link', 'add', 'name', uplink, 'mtu', String(mtu), 'numtxqueues', '1', 'numrxqueues', '1'],
            ...['type', 'veth', 'peer', 'name', pc.interface, 'address', pc.mac, 'mtu', String(mtu)],
            ...['numtxqueues', '1', 'numrxqueues', '1', 'netns', namespace],
          ],
        },
      ],
    },
    {
      name: `silence of ${uplink}`,
      inverse: [],
      // A bridge or a measurement of the host itself may have changed it since, and will put it back.
      isThere: ({ host, pc: pcEnd }) => host?.link.flags.includes('UP') === true && pcEnd?.acceptRa === '0',
      make: () => [
        { shell: here, argv: ['sysctl', '-q', '-w', `${disableIpv6}=1`] },
        { shell: inside, argv: ['sysctl', '-q', '-w', `${acceptRa}=0`] },
      ],
    },
    {
      name: `frames of ${uplink} as on a wire`,
      inverse: [],
      isThere: ({ host, pc: pcEnd }) => host?.offloadsOn.length === 0 && pcEnd?.offloadsOn.length === 0,
      make: () => both((name) => ['ethtool', '-K', name, ...Object.keys(frameOffloads).flatMap((key) => [key, 'off'])]),
    },
    {
      name: `MTU ${mtu} of ${uplink}`,
      inverse: [],
      isThere: ({ host, pc: pcEnd }) => host?.link.mtu === mtu && pcEnd?.link.mtu === mtu,
      make: () => both((name) => ['ip', 'link', 'set', 'dev', name, 'mtu', String(mtu)]),
    },
    {
      name: `${rate} Mbit/s of ${uplink}`,
      inverse: [],
      isThere: ({ host, pc: pcEnd }) => host?.shaped === true && pcEnd?.shaped === true,
      make: () => both((name) => ['tc', 'qdisc', 'replace', 'dev', name, 'root', ...shapingArguments(rate)]),
    },
    {
      name: `carrier of ${uplink}`,
      inverse: [],
      isThere: ({ host, pc: pcEnd }) =>
        host?.link.flags.includes('UP') === true && pcEnd?.link.flags.includes('UP') === true,
      make: () => both((name) => ['ip', 'link', 'set', 'dev', name, 'up']),
    },
    {
      name: `addresses of ${pc.name}`,
      inverse: [],
      isThere: ({ pc: pcEnd }) => pc.addresses.every((address) => addressesOf(pcEnd).has(normalizeAddress(address))),
      make: () =>
        pc.addresses.map((address) => ({
          shell: inside,
          argv: ['ip', 'address', 'replace', address, 'dev', pc.interface],
        })),
    },
  ]
}

function addressesOf(end: End | undefined): ReadonlySet<string> {
  const rows = end?.link.addr_info ?? []
  return new Set(rows.map(({ local, prefixlen }) => normalizeAddress(`${local}/${prefixlen}`)))
}

/** What is there of one link of the lab. */
export async function observeLink(
  { uplink, pc, rate }: TestbedLink,
  options: { readonly signal?: AbortSignal } = {},
): Promise<LinkEnds> {
  const inside = netnsShell(pc.shell.name)
  const [host, pcEnd, loopback] = await Promise.all([
    observeEnd(localShell, uplink, rate, options),
    orUndefinedWithoutNamespace(observeEnd(inside, pc.interface, rate, options)),
    orUndefinedWithoutNamespace(readLinks(inside, { ...options, name: 'lo' })),
  ])
  return {
    namespace: loopback !== undefined,
    loopbackUp: loopback?.[0]?.flags.includes('UP') === true,
    host,
    pc: pcEnd,
  }
}

async function observeEnd(
  shell: Shell,
  name: string,
  rate: number,
  options: { readonly signal?: AbortSignal },
): Promise<End | undefined> {
  const [link] = await readLinks(shell, { ...options, name })
  if (link?.linkinfo?.info_kind !== 'veth') return undefined
  let details: readonly [qdiscs: string, features: string, acceptRa: string]
  try {
    details = await Promise.all([
      runChecked(shell, ['tc', '-json', '-details', 'qdisc', 'show', 'dev', name], options),
      runChecked(shell, ['ethtool', '-k', name], options),
      runChecked(shell, ['sysctl', '-n', `net/ipv6/conf/${name}/accept_ra`], options),
    ])
  } catch (error) {
    // The kernel takes a veth away some time after the namespace of its other end was deleted.
    if ((await readLinks(shell, { ...options, name })).length === 0) return undefined
    throw error
  }
  const [qdiscs, features, acceptRa] = details
  const on = new Set([...features.matchAll(/^([a-z-]+): on\b/gm)].map(([, feature]) => feature))
  return {
    link,
    shaped: isShaped(z.array(z.unknown()).parse(JSON.parse(qdiscs)), rate),
    offloadsOn: Object.values(frameOffloads).filter((feature) => on.has(feature)),
    acceptRa: acceptRa.trim(),
  }
}

async function orUndefinedWithoutNamespace<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading
  } catch (error) {
    if (isVmrError(error) && error.code === 'LAB_NOT_UP') return undefined
    throw error
  }
}
