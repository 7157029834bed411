import type { Fault } from './fault.ts'
import { missedAdvertisement, takesAdvertisements } from './missed-advertisement.ts'

export const acceptRaForwarding: Fault = {
  id: 'accept-ra-forwarding',
  title: 'a machine that forwards ignores the router’s advertisements',
  symptom:
    'the default route over IPv6 is gone, or never comes, since the machine forwards: since Docker or a VM runs on it, say',
  cause:
    'With forwarding on, Linux takes itself for a router, and with accept_ra = 1 takes no advertisements of others; accept_ra = 2 takes them all the same, and 0 never does.',
  provenBy:
    'the VM advertises itself there, the machine sees the advertisements, has no route, and its accept_ra and forwarding make it ignore them',
  refutedBy: 'accept_ra = 2, or 1 without forwarding; or a route that came by advertisement',
  verify: 'set accept_ra to 2, wait for the next advertisement, `ip -6 route`, ping',
  prove(situation) {
    const found = missedAdvertisement(situation)
    if (found === undefined || takesAdvertisements(found) || found.seen.advertisementsSeen === 0) return undefined
    const { end, on, towards, guestLink, seen, acceptRa, forwards } = found
    const key = `net.ipv6.conf.${end.link}`
    return {
      hop: `${on} ${end.link}`,
      facts: [
        `${on} has no route to ${towards}`,
        `${situation.evidence.vm.name} advertises itself as router on ${guestLink}, and ${on} has seen ${seen.advertisementsSeen} advertisements on ${end.link}`,
        `${key}.accept_ra = ${acceptRa} and ${key}.forwarding = ${forwards ? 1 : 0}: it takes none of them in`,
      ],
      fixes: [
        ...(forwards
          ? [
              {
                what: 'stop forwarding, if it is no router',
                price: 'containers and VMs behind it lose their way out over IPv6',
                commands: [{ on, words: `sysctl -w ${key}.forwarding=0` }],
              },
            ]
          : []),
        {
          what: 'take advertisements in',
          price: 'whoever advertises itself on that network becomes its router',
          commands: [{ on, words: `sysctl -w ${key}.accept_ra=${forwards ? 2 : 1}` }],
        },
      ],
    }
  },
}
