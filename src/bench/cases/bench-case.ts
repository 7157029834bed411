import { isIPv4 } from 'node:net'
import type { NetworkConfigInput } from '../../config/network-config.ts'
import type { Family } from '../../ipv6/reachability.ts'
import type { Testbed } from '../../testbed/testbed.ts'
import type { TunnelPath } from '../wire-limit.ts'

/** The parts that machines play: the PC at the other end of each uplink, the device under test, a tunnel's far end. */
export type Role = 'pc1' | 'pc2' | 'dut' | 'remote'

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
  /** In the order of probing: towards the DUT first, since its own probes teach the PC its address. */
  readonly directions: readonly CaseDirection[]
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

/** A measurement written once, for whichever machine plays the DUT. Pure: links in, configuration and ends out. */
export interface BenchCase {
  readonly name: string
  readonly title: string
  /** How many links of the testbed it takes, from the first. */
  readonly links: number
  readonly roles: readonly Role[]
  readonly families: readonly Family[]
  setup(links: readonly CaseLink[]): CaseSetup
}

/**
 * The testbed's links for a DUT whose interfaces have these names, in the order of the uplinks: `eth0`, `eth1` in a
 * guest, the uplinks themselves where the host is the DUT.
 */
export function caseLinks(testbed: Testbed, dutInterfaces: readonly string[]): readonly CaseLink[] {
  return testbed.links.flatMap(({ rate, mtu, dut, pc }, position) => {
    const interfaceName = dutInterfaces[position]
    if (interfaceName === undefined) return []
    return [
      {
        bitsPerSecond: rate * 1e6,
        mtu,
        dut: { interfaceName, ...byFamily(dut.addresses) },
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

function withoutPrefixLength(address: string): string {
  return address.replace(/\/\d+$/, '')
}

export function endOn(role: Role, { interfaceName, addresses, witnesses }: CaseNic): CaseEnd {
  return {
    role,
    interfaceName,
    addresses: { ipv4: withoutPrefixLength(addresses.ipv4), ipv6: withoutPrefixLength(addresses.ipv6) },
    witnesses: { ipv4: witnesses.ipv4.map(withoutPrefixLength), ipv6: witnesses.ipv6.map(withoutPrefixLength) },
  }
}

export function ethernetConfig({ interfaceName, addresses, witnesses }: CaseNic): NetworkConfigInput {
  const all = [addresses.ipv4, addresses.ipv6, ...witnesses.ipv4, ...witnesses.ipv6]
  return { ethernets: { [interfaceName]: { addresses: all } } }
}

export function bothDirections(near: CaseEnd, far: CaseEnd): readonly CaseDirection[] {
  return [
    { name: `${near.role}>${far.role}`, from: near, to: far },
    { name: `${far.role}>${near.role}`, from: far, to: near },
  ]
}

/** The n-th link, from 0. @throws RangeError when the testbed has no such link. */
export function linkAt(links: readonly CaseLink[], position: number): CaseLink {
  const link = links[position]
  if (link === undefined) throw new RangeError(`the case needs ${position + 1} links, the testbed has ${links.length}`)
  return link
}
