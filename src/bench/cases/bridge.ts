import type { NetworkConfigInput } from '../../config/network-config.ts'
import { nextFreeAddress } from './addressing.ts'
import {
  allAddresses,
  type BenchCase,
  bothDirections,
  type CaseLink,
  type CaseNic,
  type CaseSetup,
  direction,
  endOn,
  ethernetConfig,
  linkAt,
} from './bench-case.ts'

const bridgeName = 'br0'

/** The DUT bridges both links, and its own addresses are on the bridge: PC 1 and PC 2 are in one network. */
export const bridgeCase: BenchCase = {
  name: 'bridge',
  title: 'PC 1 <-> PC 2 through a bridge in the DUT',
  roles: ['pc1', 'pc2', 'dut'],
  needs: {},
  setup(links) {
    const [first, second] = [linkAt(links, 0), linkAt(links, 1)]
    const pc2 = inNetworkOf(first, second.pc)
    return bridged(links, {
      pc1: first.pc,
      pc2,
      members: [first.dut.interfaceName, second.dut.interfaceName],
      dutEthernets: {},
      pcConfigs: { pc1: ethernetConfig(first.pc), pc2: ethernetConfig(pc2) },
      vlanTags: 0,
    })
  },
}

/** VLAN ids of the two links, as in the talk. */
const vlanIds = ['100', '200'] as const

/** PC 1 tags 100, PC 2 tags 200, and the DUT bridges one VLAN of each link. */
export const vlanBridgeCase: BenchCase = {
  name: 'vlan-bridge',
  title: 'PC 1 (VLAN 100) <-> PC 2 (VLAN 200) through a bridge in the DUT',
  roles: ['pc1', 'pc2', 'dut'],
  needs: { pc1: 'vlan', pc2: 'vlan', dut: 'vlan' },
  setup(links) {
    const [first, second] = [linkAt(links, 0), linkAt(links, 1)]
    const [firstId, secondId] = vlanIds
    const tagged = (nic: CaseNic, id: string): CaseNic => ({ ...nic, interfaceName: `${nic.interfaceName}.${id}` })
    const pc2 = inNetworkOf(first, second.pc)
    const tagging = (nic: CaseNic, id: string): NetworkConfigInput => ({
      ethernets: { [nic.interfaceName]: { vlans: { [id]: { addresses: allAddresses(nic) } } } },
    })
    return bridged(links, {
      pc1: tagged(first.pc, firstId),
      pc2: tagged(pc2, secondId),
      members: [tagged(first.dut, firstId).interfaceName, tagged(second.dut, secondId).interfaceName],
      dutEthernets: {
        [first.dut.interfaceName]: { vlans: { [firstId]: {} } },
        [second.dut.interfaceName]: { vlans: { [secondId]: {} } },
      },
      pcConfigs: { pc1: tagging(first.pc, firstId), pc2: tagging(pc2, secondId) },
      vlanTags: 1,
    })
  },
}

interface BridgedNetwork {
  readonly pc1: CaseNic
  readonly pc2: CaseNic
  readonly members: string[]
  readonly dutEthernets: NonNullable<NetworkConfigInput['ethernets']>
  readonly pcConfigs: CaseSetup['configs']
  readonly vlanTags: number
}

function bridged(
  links: readonly CaseLink[],
  { pc1, pc2, members, dutEthernets, pcConfigs, vlanTags }: BridgedNetwork,
): CaseSetup {
  const { bitsPerSecond, mtu, dut } = linkAt(links, 0)
  const bridge: CaseNic = { ...dut, interfaceName: bridgeName }
  const [end1, end2, dutEnd] = [endOn('pc1', pc1), endOn('pc2', pc2), endOn('dut', bridge)]
  const directions = [...bothDirections(end1, dutEnd), ...bothDirections(end2, dutEnd), ...bothDirections(end1, end2)]
  const there = direction(end1, end2)
  return {
    configs: {
      ...pcConfigs,
      dut: { ethernets: dutEthernets, bridges: { [bridgeName]: { members, addresses: allAddresses(bridge) } } },
    },
    directions: { ipv4: directions, ipv6: directions },
    traffic: { ipv4: there, ipv6: there },
    between: [],
    path: {
      linkBitsPerSecond: Math.min(bitsPerSecond, linkAt(links, 1).bitsPerSecond),
      mtu: Math.min(mtu, linkAt(links, 1).mtu),
      vlanTags,
    },
  }
}

/** PC 2 in the network of the first link, with addresses that nobody has there. */
function inNetworkOf({ dut, pc }: CaseLink, nic: CaseNic): CaseNic {
  const taken = [...allAddresses(dut), ...allAddresses(pc)]
  return {
    interfaceName: nic.interfaceName,
    addresses: {
      ipv4: nextFreeAddress(pc.addresses.ipv4, taken),
      ipv6: nextFreeAddress(pc.addresses.ipv6, taken),
    },
    witnesses: { ipv4: [], ipv6: [] },
  }
}
