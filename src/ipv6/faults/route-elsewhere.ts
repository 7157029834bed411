import type { Fault } from './fault.ts'
import { foreignRouter } from './foreign-router.ts'

export const routeElsewhere: Fault = {
  id: 'route-elsewhere',
  title: 'a machine sends the packet to another router',
  symptom: 'no router answers, or the packet takes a way that does not lead there',
  cause: 'The route to the other end does not go through the VM.',
  provenBy: 'the next hop of the route is not an address of the VM, and it is where the exchange ends',
  refutedBy: 'a route through the VM, or one that came by router advertisement: then that is the cause',
  verify: 'correct the route, ping',
  prove(situation) {
    const found = foreignRouter(situation)
    if (found === undefined || found.route.protocol === 'ra') return undefined
    const { end, other, on, gateway } = found
    const { path, evidence } = situation
    return {
      hop: `${on} ${end.link}`,
      facts: [`${on} sends packets for ${other.address} to ${gateway}, which is not an address of ${evidence.vm.name}`],
      fixes: [
        {
          what: 'correct the route',
          price: 'none',
          commands: [{ on, words: `ip ${path.family === 'ipv6' ? '-6 ' : ''}route get ${other.address}` }],
        },
      ],
    }
  },
}
