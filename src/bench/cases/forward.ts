import type { NetworkConfigInput } from '../../config/network-config.ts'
import { networkOf, withoutPrefixLength } from './addressing.ts'
import {
  type BenchCase,
  bothDirections,
  type CaseLink,
  type CaseNic,
  direction,
  endOn,
  ethernetConfig,
  linkAt,
} from './bench-case.ts'

/** The DUT routes between the networks of the two links; the PCs have static routes through it. */
export const forwardCase: BenchCase = {
  name: 'forward',
  title: 'PC 1 <-> PC 2 routed by the DUT',
  roles: ['pc1', 'pc2', 'dut'],
  needs: {},
  setup(links) {
    const [first, second] = [linkAt(links, 0), linkAt(links, 1)]
    const [end1, end2] = [endOn('pc1', first.pc), endOn('pc2', second.pc)]
    const directions = [
      ...bothDirections(end1, endOn('dut', first.dut)),
      ...bothDirections(end2, endOn('dut', second.dut)),
      ...bothDirections(end1, end2, { routed: true }),
    ]
    const there = direction(end1, end2, { routed: true })
    return {
      configs: {
        pc1: { ...ethernetConfig(first.pc), routes: routesThrough(first, second.pc) },
        pc2: { ...ethernetConfig(second.pc), routes: routesThrough(second, first.pc) },
        dut: {
          ethernets: { ...ethernetConfig(first.dut).ethernets, ...ethernetConfig(second.dut).ethernets },
          forwarding: { ipv4: true, ipv6: true },
        },
      },
      directions: { ipv4: directions, ipv6: directions },
      traffic: { ipv4: there, ipv6: there },
      between: [
        { role: 'dut', interfaceName: first.dut.interfaceName },
        { role: 'dut', interfaceName: second.dut.interfaceName },
      ],
      path: {
        linkBitsPerSecond: Math.min(first.bitsPerSecond, second.bitsPerSecond),
        mtu: Math.min(first.mtu, second.mtu),
        vlanTags: 0,
      },
    }
  },
}

/** Routes of a PC on `link` to the networks of another NIC, through the DUT. */
function routesThrough({ dut }: CaseLink, to: CaseNic): NonNullable<NetworkConfigInput['routes']> {
  return (['ipv4', 'ipv6'] as const).map((family) => ({
    to: networkOf(to.addresses[family]),
    via: withoutPrefixLength(dut.addresses[family]),
  }))
}
