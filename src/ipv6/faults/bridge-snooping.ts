import { isIPv6 } from 'node:net'
import { low24 } from '../../domain/mac.ts'
import { type Fault, linkAt, lostOnHost, stateOf } from './fault.ts'

export const bridgeSnooping: Fault = {
  id: 'bridge-snooping',
  title: 'multicast snooping on the host’s bridge holds the neighbour solicitation back',
  symptom: 'IPv6 works at first and dies minutes later, or after the VM was paused; IPv4 goes on',
  cause:
    'With snooping and a querier on the network a bridge passes multicast only to ports that reported the group (RFC 4541). The report was never sent, was lost, or expired: a querier without a VLAN tag does not reach members behind a tag, and a VM that is paused does not answer it.',
  provenBy:
    'the solicitation is seen on one port and not on the other; the bridge snoops, knows a querier, and has no entry of the group for that port',
  refutedBy: 'snooping off, no querier (the bridge floods then), or an entry for the port in `bridge mdb show`',
  verify: 'ping from cold caches, and once more after a membership interval (260 s)',
  prove(situation) {
    const lost = lostOnHost(situation)
    const { path } = situation
    if (situation.problem !== 'lost' || lost === undefined || path.family !== 'ipv6') return undefined
    if (lost.frame !== 'request' && lost.frame !== 'reverse-request') return undefined
    const [from, to] = [lost.last, lost.missing].map((hop) => linkAt(situation, hop))
    if (from?.master === undefined || to?.port === undefined || from.master !== to.master) return undefined
    const host = stateOf(situation, lost.missing.machine)
    const bridge = host?.links.find(({ name }) => name === to.master)
    const settings = bridge?.bridge
    if (host === undefined || bridge === undefined || settings?.snooping !== true) return undefined
    // Without an address of its own a bridge sends no MLD queries (net/bridge/br_multicast.c, has_ipv6_addr).
    const ownQuerier = settings.querier && bridge.addresses.some(({ family }) => family === 'ipv6')
    if (!ownQuerier && !settings.otherQuerier.ipv6) return undefined
    // 2: a port to a multicast router gets everything (net/bridge/br_multicast.c).
    if (to.port.multicastRouter === 2 || !to.port.multicastFlood || to.port.state !== 'forwarding') return undefined
    const pair = path.resolved[lost.missing.segment]
    const target = lost.frame === 'request' ? pair?.to : pair?.from
    if (target === undefined || !isIPv6(target)) return undefined
    const low = low24(target)
    const group = `ff02::1:ff${(low >> 16).toString(16).padStart(2, '0')}:${(low & 0xffff).toString(16)}`
    if (
      host.multicastDatabase.some(
        (entry) => entry.bridge === bridge.name && entry.port === to.name && entry.group === group,
      )
    )
      return undefined
    return {
      hop: `host ${bridge.name}`,
      facts: [
        `${bridge.name} snoops multicast, and ${ownQuerier ? 'is itself' : 'has heard'} a querier`,
        `it has no entry of ${group}, the group of ${target}, for ${to.name}`,
      ],
      fixes: [
        {
          what: 'switch snooping off on this bridge',
          price: 'every port gets all multicast',
          commands: [{ on: 'host', words: `ip link set dev ${bridge.name} type bridge mcast_snooping 0` }],
          change: {
            kind: 'link',
            machine: lost.missing.machine,
            link: bridge.name,
            attribute: 'type bridge mcast_snooping',
            before: '1',
            value: '0',
          },
        },
      ],
    }
  },
}
