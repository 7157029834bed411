import { networkOf, withoutPrefixLength } from './addressing.ts'
import { type BenchCase, bothDirections, type CaseNic, direction, endOn, ethernetConfig, linkAt } from './bench-case.ts'

const tunnelName = 'tun0'
/** Inside the tunnel; no link of the testbed has this network. */
const inner = { dut: '192.168.3.1/24', remote: '192.168.3.2/24' } as const
/** RFC 2473: an IPv6 header, and with the encapsulation limit 8 bytes of destination options. */
const outerHeaderBytes = 40
const encapsulationLimitBytes = 8
/** VyOS's own MTU for every kind of tunnel, made for GRE: packets of that size leave as two fragments. */
const vyosTunnelMtu = 1476

interface TunnelVariant {
  readonly name: string
  readonly title: string
  /** RFC 2473 section 4.1.1; VyOS's and Linux's default is 4. */
  readonly encapsulationLimit: 'none' | 4
  readonly mtu: 'fitting' | typeof vyosTunnelMtu
}

/**
 * IPv4 in IPv6 (RFC 2473), the data path of DS-Lite: PC 1 speaks IPv4 through the DUT's tunnel to the remote end, which
 * stands in place of PC 2. Over IPv6, the tunnel's outer path is probed; it carries no traffic of its own.
 */
function tunnelCase({ name, title, encapsulationLimit, mtu: wantedMtu }: TunnelVariant): BenchCase {
  return {
    name,
    title,
    roles: ['pc1', 'remote', 'dut'],
    needs: { dut: 'ip6Tunnel', remote: 'ip6Tunnel' },
    setup(links) {
      const [first, second] = [linkAt(links, 0), linkAt(links, 1)]
      const linkMtu = Math.min(first.mtu, second.mtu)
      const overhead = outerHeaderBytes + (encapsulationLimit === 'none' ? 0 : encapsulationLimitBytes)
      const mtu = wantedMtu === 'fitting' ? linkMtu - overhead : wantedMtu
      const [dutOuter, remoteOuter] = [second.dut, second.pc]
      const tunnel = (local: CaseNic, remote: CaseNic, address: string) => ({
        [tunnelName]: {
          kind: 'ipip6' as const,
          local: withoutPrefixLength(local.addresses.ipv6),
          remote: withoutPrefixLength(remote.addresses.ipv6),
          addresses: [address],
          mtu,
          encapsulationLimit,
        },
      })
      const pcEnd = endOn('pc1', first.pc)
      const remoteInner: CaseNic = {
        interfaceName: tunnelName,
        addresses: { ...remoteOuter.addresses, ipv4: inner.remote },
        witnesses: { ipv4: [], ipv6: [] },
      }
      const remoteEnd = endOn('remote', remoteInner)
      return {
        configs: {
          pc1: {
            ...ethernetConfig(first.pc),
            routes: [{ to: networkOf(inner.remote), via: withoutPrefixLength(first.dut.addresses.ipv4) }],
          },
          dut: {
            ethernets: { ...ethernetConfig(first.dut).ethernets, ...ethernetConfig(dutOuter).ethernets },
            tunnels: tunnel(dutOuter, remoteOuter, inner.dut),
            forwarding: { ipv4: true, ipv6: true },
          },
          remote: {
            ...ethernetConfig(remoteOuter),
            tunnels: tunnel(remoteOuter, dutOuter, inner.remote),
            routes: [{ to: networkOf(first.pc.addresses.ipv4), device: tunnelName }],
          },
        },
        directions: {
          ipv4: bothDirections(pcEnd, remoteEnd, { routed: true }),
          ipv6: bothDirections(endOn('remote', remoteOuter), endOn('dut', dutOuter)),
        },
        traffic: { ipv4: direction(pcEnd, remoteEnd, { routed: true }) },
        between: [
          { role: 'dut', interfaceName: first.dut.interfaceName },
          { role: 'dut', interfaceName: dutOuter.interfaceName },
          { role: 'remote', interfaceName: remoteOuter.interfaceName },
        ],
        path: {
          linkBitsPerSecond: Math.min(first.bitsPerSecond, second.bitsPerSecond),
          mtu: linkMtu,
          vlanTags: 0,
          tunnel: { kind: 'ipip6', mtu, encapsulationLimit: encapsulationLimit !== 'none' },
        },
      }
    },
  }
}

export const ipip6Case = tunnelCase({
  name: 'ipip6',
  title: 'PC 1 <-> remote, IPv4 in IPv6 without encapsulation limit',
  encapsulationLimit: 'none',
  mtu: 'fitting',
})

export const ipip6LimitCase = tunnelCase({
  name: 'ipip6-encaplimit',
  title: 'PC 1 <-> remote, IPv4 in IPv6 with the default encapsulation limit',
  encapsulationLimit: 4,
  mtu: 'fitting',
})

export const ipip6FragmentCase = tunnelCase({
  name: 'ipip6-fragments',
  title: `PC 1 <-> remote, IPv4 in IPv6 with VyOS's tunnel MTU ${vyosTunnelMtu}`,
  encapsulationLimit: 4,
  mtu: vyosTunnelMtu,
})
