import { hostKey } from '../evidence/topology.ts'
import { findDrop } from '../firewall.ts'
import { type Fault, linkAt, stateOf } from './fault.ts'
import { missedAdvertisement, takesAdvertisements } from './missed-advertisement.ts'

/** So many advertisements are not missed by chance, by who was there all the time. */
const certainly = 3

export const raGuard: Fault = {
  id: 'ra-guard',
  title: 'the VM’s router advertisements are dropped on the way',
  symptom: 'IPv6 works between neighbours and with addresses set by hand, and no machine gets a route by itself',
  cause:
    'A switch or a host with RA guard (RFC 6105) lets router advertisements in only by the ports where it knows a router, and the VM is not at one of those; a filter may drop ICMPv6 type 134 as well.',
  provenBy:
    'the VM has sent advertisements there, the machine would take them in, has none seen, and lacks the route; on a host’s bridge the rule that drops them is shown too',
  refutedBy: 'one advertisement seen by the machine, or a question of its own for a router that the VM never heard',
  verify: 'let type 134 through from the VM, then `ip -6 route` once it has advertised itself again',
  prove(situation) {
    const found = missedAdvertisement(situation)
    if (found === undefined || !takesAdvertisements(found) || found.seen.advertisementsSeen > 0) return undefined
    const { path, evidence } = situation
    const { end, on, towards, guestLink, sent, seen } = found
    const asked = seen.solicitationsSent > 0 && sent.solicitationsSeen > 0
    // Whose own question was lost waits for the next advertisement, which may be minutes away.
    if (!asked && (seen.solicitationsSent > 0 || sent.advertisementsSent < certainly)) return undefined
    const segment = end === path.from ? 0 : path.resolved.length - 1
    const hops = path.hops.filter((hop) => hop.segment === segment && hop.machine === hostKey)
    const [uplink, tap] = segment === 0 ? [hops[0], hops.at(-1)] : [hops.at(-1), hops[0]]
    const [outbound, inbound] = [uplink, tap].map((hop) => (hop === undefined ? undefined : linkAt(situation, hop)))
    const firewall = stateOf(situation, hostKey)?.firewall ?? []
    const frame = { family: 'ipv6', kind: 'router-advertisement' } as const
    const bridged = inbound?.master !== undefined && inbound.master === outbound?.master
    const drop = bridged
      ? (['prerouting', 'forward', 'postrouting'] as const)
          .map((hook) =>
            findDrop(
              firewall,
              { hook, families: ['bridge'] },
              {
                ...frame,
                ...(hook === 'postrouting' ? {} : { inbound: inbound.name }),
                ...(hook === 'prerouting' ? {} : { outbound: outbound?.name }),
              },
            ),
          )
          .find((each) => each !== undefined)
      : undefined
    const chain = drop === undefined ? undefined : `${drop.chain.family} ${drop.chain.table} ${drop.chain.name}`
    const vm = evidence.vm.name
    return {
      hop:
        drop === undefined
          ? `between ${vm} ${guestLink} and ${on} ${end.link}`
          : `host, between ${inbound?.name} and ${outbound?.name}`,
      facts: [
        `${vm} has sent ${sent.advertisementsSent} router advertisements on ${guestLink}, and ${on} has seen none on ${end.link}`,
        ...(asked ? [`${on} asked for a router, and ${vm} heard that`] : []),
        `${on} would take them in, and has no route to ${towards}`,
        ...(drop === undefined
          ? []
          : [`the chain ${chain} drops them${drop.rule === undefined ? ' by its policy' : `: ${drop.rule}`}`]),
      ],
      fixes: [
        {
          what: 'let router advertisements of the VM through, at its port alone',
          price: 'the VM is the router of that network: that is what it is for',
          commands:
            chain === undefined || inbound === undefined
              ? []
              : [
                  {
                    on: 'host',
                    words: `nft insert rule ${chain} iifname ${inbound.name} icmpv6 type nd-router-advert accept`,
                  },
                ],
        },
        {
          what: `set the route on ${on} by hand`,
          price: 'none, as long as it is kept up',
          commands: [{ on, words: 'ip -6 route add default via …' }],
        },
      ],
    }
  },
}
