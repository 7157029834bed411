import { type Fault, machineName } from './fault.ts'
import { foreignRouter } from './foreign-router.ts'

export const rogueRouter: Fault = {
  id: 'rogue-router',
  title: 'another router advertises itself, and takes the packets',
  symptom: 'IPv6 to other networks dies at once for everybody on the link, while neighbours and IPv4 go on',
  cause:
    'Whoever sends router advertisements becomes the default router of all that listen (RFC 4861 section 6.3.4): a PC that shares its connection, a second router, an attacker (RFC 6104). One of a higher preference, or one more beside the VM, is enough.',
  provenBy:
    'the sender’s best route came by router advertisement from an address that the VM does not have, and the packet is lost on the first network',
  refutedBy: 'a route that somebody set, or the VM as next hop',
  verify: 'end the advertisements, remove the route, `ip -6 route get`, ping',
  prove(situation) {
    const found = foreignRouter(situation)
    if (found?.route.protocol !== 'ra') return undefined
    const { end, other, on, gateway, route, mac } = found
    const { evidence } = situation
    const owners = Object.entries(evidence.machines).flatMap(([key, { links }]) =>
      links.flatMap(({ name, addresses }) =>
        key !== end.machine && addresses.some(({ address }) => address === gateway)
          ? [`${machineName(evidence, key)} ${name}`]
          : [],
      ),
    )
    return {
      hop: `${on} ${end.link}`,
      facts: [
        `${on} sends packets for ${other.address} to ${gateway}, which advertised itself as router${route.preference === 'high' ? ' of high preference' : ''}`,
        `${evidence.vm.name} has no address ${gateway}`,
        owners.length > 0
          ? `${gateway} is ${owners.join(', ')}`
          : `no machine that was looked into has ${gateway}${mac === undefined ? '' : `; its MAC address is ${mac}`}`,
      ],
      fixes: [
        {
          what: 'find who advertises itself, and end that',
          price: 'none, unless it is to be a router: then it needs a route to the other network',
          commands: [{ on, words: `tcpdump -p -n -e -i ${end.link} 'icmp6 and ip6[40] == 134'` }],
        },
        {
          what: 'let the switch drop advertisements that do not come by the VM’s port (RA guard, RFC 6105)',
          price: 'a router that is added later is not heard either',
          commands: [],
        },
        {
          what: `set the route on ${on} by hand, and take no advertisements there`,
          price: 'addresses and routes of this link no longer configure themselves',
          commands: [{ on, words: `sysctl -w net.ipv6.conf.${end.link}.accept_ra=0` }],
        },
      ],
    }
  },
}
