import { isIPv4 } from 'node:net'
import type { NetworkConfigInput } from '../../config/network-config.ts'
import type { Family } from '../../ipv6/reachability.ts'
import type { AddressForm } from '../../results/schema.ts'
import type { HostCapabilities } from '../../testbed/host-capabilities.ts'
import type { Testbed } from '../../testbed/testbed.ts'
import type { TunnelPath } from '../wire-limit.ts'
import { eui64Address, withoutPrefixLength } from './addressing.ts'

/** The parts that machines play: the PC at the other end of each uplink, the device under test, a tunnel's far end. */
export type Role = 'pc1' | 'pc2' | 'dut' | 'remote'

/** The link at whose end each stands; the DUT stands on all of them. */
export const linkOfRole: Readonly<Record<Exclude<Role, 'dut'>, number>> = { pc1: 0, pc2: 1, remote: 1 }

/** One end of what is measured. */
export interface CaseEnd {
  readonly role: Role
  /** The interface that holds the address. */
  readonly interfaceName: string
  /** Without prefix length. */
  readonly addresses: Readonly<Record<Family, string>>
  /** More addresses of the same interface that must be reached too; see {@link CaseNic.witnesses}. */
  readonly witnesses: Readonly<Record<Family, readonly string[]>>
}

export interface CaseDirection {
  /** "pc1>dut". */
  readonly name: string
  readonly from: CaseEnd
  readonly to: CaseEnd
  /**
   * A router on the way: what is lost on a link is then followed in that link's own direction, since the address that
   * the sender resolves is not the one that is probed.
   */
  readonly routed: boolean
}

/** A NIC of a machine and what it has on its link, with prefix length, as "192.168.1.1/24". */
export interface CaseNic {
  readonly interfaceName: string
  readonly addresses: Readonly<Record<Family, string>>
  /**
   * Further addresses on the same link. A macvtap's multicast filter is a hash of 256 buckets, keyed anew for every
   * device (mc_hash in the kernel's drivers/net/macvlan.c): now and then a group that nobody joined passes by luck.
   * One lost witness shows the fault that such luck hides.
   */
  readonly witnesses: Readonly<Record<Family, readonly string[]>>
}

/** One link of the testbed, as a case sees it. */
export interface CaseLink {
  readonly bitsPerSecond: number
  readonly mtu: number
  readonly dut: CaseNic
  readonly pc: CaseNic
}

export interface CaseSetup {
  /** What each machine that takes part is configured with. */
  readonly configs: Readonly<Partial<Record<Role, NetworkConfigInput>>>
  /** What is set only after all that is in use: addresses that the DUT gets while it runs. */
  readonly later?: Readonly<Partial<Record<Role, NetworkConfigInput>>>
  /** In the order of probing: towards the DUT first, since its own probes teach the PC its address. */
  readonly directions: Readonly<Record<Family, readonly CaseDirection[]>>
  /** The direction whose throughput is measured, there and back; a family without is only probed. */
  readonly traffic: Readonly<Partial<Record<Family, CaseDirection>>>
  /** Interfaces of routers on the way, whose neighbour entries are forgotten before a probe, too. */
  readonly between: readonly { readonly role: Role; readonly interfaceName: string }[]
  /** What a packet between the ends carries on the narrowest link, for the wire limit. */
  readonly path: {
    readonly linkBitsPerSecond: number
    readonly mtu: number
    readonly vlanTags: number
    readonly tunnel?: TunnelPath
  }
}

export type KernelNeed = Extract<keyof HostCapabilities, 'vlan' | 'ip6Tunnel'>

/** A measurement written once, for whichever machine plays the DUT. Pure: links in, configuration and ends out. */
export interface BenchCase {
  readonly name: string
  readonly title: string
  readonly roles: readonly Role[]
  /** What the kernel of whoever plays the role has to know. */
  readonly needs: Readonly<Partial<Record<Role, KernelNeed>>>
  setup(links: readonly CaseLink[]): CaseSetup
}

/** The DUT's interfaces in the order of the uplinks: `eth0`, `eth1` in a guest, the uplinks themselves on the host. */
export interface DutInterface {
  readonly name: string
  readonly mac: string
}

/** The testbed's links for a DUT with these interfaces, and addresses of this form. */
export function caseLinks(
  testbed: Testbed,
  dutInterfaces: readonly DutInterface[],
  form: AddressForm = 'static',
): readonly CaseLink[] {
  return testbed.links.flatMap(({ rate, mtu, dut, pc }, position) => {
    const dutInterface = dutInterfaces[position]
    if (dutInterface === undefined) return []
    const nic = byFamily(dut.addresses)
    const { ipv6 } = nic.addresses
    return [
      {
        bitsPerSecond: rate * 1e6,
        mtu,
        dut: {
          interfaceName: dutInterface.name,
          ...(form === 'eui64'
            ? {
                addresses: { ...nic.addresses, ipv6: eui64Address(ipv6, dutInterface.mac) },
                witnesses: { ipv4: nic.witnesses.ipv4, ipv6: [] },
              }
            : nic),
        },
        pc: { interfaceName: pc.interface, ...byFamily(pc.addresses) },
      },
    ]
  })
}

/** The first address of each family, and the rest. @throws RangeError when a family has none: the testbed does not fit. */
function byFamily(addresses: readonly string[]): Pick<CaseNic, 'addresses' | 'witnesses'> {
  const isOfIPv4 = (address: string) => isIPv4(withoutPrefixLength(address))
  const [ipv4, ...moreIpv4] = addresses.filter(isOfIPv4)
  const [ipv6, ...moreIpv6] = addresses.filter((address) => !isOfIPv4(address))
  if (ipv4 === undefined || ipv6 === undefined)
    throw new RangeError(`${addresses.join(', ')} has no address of one family`)
  return { addresses: { ipv4, ipv6 }, witnesses: { ipv4: moreIpv4, ipv6: moreIpv6 } }
}

export function endOn(role: Role, { interfaceName, addresses, witnesses }: CaseNic): CaseEnd {
  return {
    role,
    interfaceName,
    addresses: { ipv4: withoutPrefixLength(addresses.ipv4), ipv6: withoutPrefixLength(addresses.ipv6) },
    witnesses: { ipv4: witnesses.ipv4.map(withoutPrefixLength), ipv6: witnesses.ipv6.map(withoutPrefixLength) },
  }
}

/** Everything that a NIC has on its link. */
export function allAddresses({ addresses, witnesses }: CaseNic): string[] {
  return [addresses.ipv4, addresses.ipv6, ...witnesses.ipv4, ...witnesses.ipv6]
}

export function ethernetConfig(nic: CaseNic): NetworkConfigInput {
  return { ethernets: { [nic.interfaceName]: { addresses: allAddresses(nic) } } }
}

export function direction(from: CaseEnd, to: CaseEnd, { routed = false } = {}): CaseDirection {
  return { name: `${from.role}>${to.role}`, from, to, routed }
}

export function reversed({ from, to, routed }: CaseDirection): CaseDirection {
  return direction(to, from, { routed })
}

export function bothDirections(
  near: CaseEnd,
  far: CaseEnd,
  options: { readonly routed?: boolean } = {},
): readonly CaseDirection[] {
  return [direction(near, far, options), direction(far, near, options)]
}

/** The n-th link, from 0. @throws RangeError when the testbed has no such link. */
export function linkAt(links: readonly CaseLink[], position: number): CaseLink {
  const link = links[position]
  if (link === undefined) throw new RangeError(`the case needs ${position + 1} links, the testbed has ${links.length}`)
  return link
}
