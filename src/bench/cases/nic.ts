import { type BenchCase, bothDirections, endOn, ethernetConfig, linkAt } from './bench-case.ts'

/** The plain NIC: PC 1 and the DUT on the first link. */
export const nicCase: BenchCase = {
  name: 'nic',
  title: 'PC 1 <-> DUT on the first link',
  links: 1,
  roles: ['pc1', 'dut'],
  families: ['ipv4', 'ipv6'],
  setup(links) {
    const { bitsPerSecond, mtu, dut, pc } = linkAt(links, 0)
    return {
      configs: { pc1: ethernetConfig(pc), dut: ethernetConfig(dut) },
      directions: bothDirections(endOn('pc1', pc), endOn('dut', dut)),
      between: [],
      path: { linkBitsPerSecond: bitsPerSecond, mtu, vlanTags: 0 },
    }
  },
}
