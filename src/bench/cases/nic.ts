import { type BenchCase, bothDirections, direction, endOn, ethernetConfig, linkAt } from './bench-case.ts'

/** The plain NIC: the PC and the DUT on one link. */
function nicCaseOn(position: 0 | 1, name: string): BenchCase {
  const pcRole = position === 0 ? 'pc1' : 'pc2'
  return {
    name,
    title: `PC ${position + 1} <-> DUT on ${position === 0 ? 'the first' : 'the second'} link`,
    roles: [pcRole, 'dut'],
    needs: {},
    setup(links) {
      const { bitsPerSecond, mtu, dut, pc } = linkAt(links, position)
      const [pcEnd, dutEnd] = [endOn(pcRole, pc), endOn('dut', dut)]
      const directions = bothDirections(pcEnd, dutEnd)
      const there = direction(pcEnd, dutEnd)
      return {
        configs: { [pcRole]: ethernetConfig(pc), dut: ethernetConfig(dut) },
        directions: { ipv4: directions, ipv6: directions },
        traffic: { ipv4: there, ipv6: there },
        between: [],
        path: { linkBitsPerSecond: bitsPerSecond, mtu, vlanTags: 0 },
      }
    },
  }
}

export const nicCase = nicCaseOn(0, 'nic')
export const secondNicCase = nicCaseOn(1, 'nic2')
