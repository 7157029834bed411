import { toldTooLarge } from '../evidence/probes.ts'
import { type Fault, machineName } from './fault.ts'

export const tunnelMtu: Fault = {
  id: 'tunnel-mtu',
  title: 'the tunnel takes packets that its outer path does not carry',
  symptom: 'ping through the tunnel works, connections hang or crawl, and only with large packets',
  cause:
    'A tunnel puts a header around each packet: IPv4 in IPv6 40 bytes, and 8 more with an encapsulation limit (RFC 2473 section 4.1.1). VyOS gives every tunnel an MTU of 1476, made for GRE: 1476 + 48 is more than 1500. Such packets are dropped, with a message that filters swallow, or go as two fragments each.',
  provenBy:
    'a packet as large as the tunnel’s largest makes it is refused: the sender, or a router on the outer path, says that it is too large',
  refutedBy: 'an outer path that carries the tunnel’s MTU and its header',
  verify: 'lower the tunnel’s MTU, then `ping -M do -s` through it, with all that its MTU allows',
  prove(situation) {
    const { path, problem, evidence } = situation
    const { tunnel, large } = path
    if (problem !== 'large' || tunnel === undefined || large === undefined || !toldTooLarge(large)) return undefined
    const on = machineName(evidence, path.from.machine)
    const told = /mtu[ :=]+(\d+)/i.exec(large.said ?? '')?.[1]
    const carries = told === undefined ? tunnel.underlayMtu : Math.min(Number(told), tunnel.underlayMtu)
    if (tunnel.mtu + tunnel.overhead <= carries) return undefined
    const fitting = carries - tunnel.overhead
    return {
      hop: `${on} ${tunnel.link}`,
      facts: [
        `${tunnel.link} of ${on} takes packets of ${tunnel.mtu} bytes and puts ${tunnel.overhead} around them`,
        `the way to ${path.to.address} by ${tunnel.underlay} carries ${carries}, not ${large.bytes}: ${large.said}`,
      ],
      fixes: [
        {
          what: `set the tunnel’s MTU to ${fitting}, on both ends`,
          price: 'none: packets were not larger anyway',
          commands: [{ on, words: `configure; set interfaces tunnel ${tunnel.link} mtu ${fitting}; commit` }],
        },
        {
          what: 'rewrite the segment size of TCP to what fits (MSS clamping)',
          price: 'helps TCP alone: what else is large is still lost',
          commands: [],
        },
      ],
    }
  },
}
