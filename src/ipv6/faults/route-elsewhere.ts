import { guestKey, lookUpRoute } from '../evidence/topology.ts'
import { type Fault, machineName, stateOf } from './fault.ts'

export const routeElsewhere: Fault = {
  id: 'route-elsewhere',
  title: 'a machine sends the packet to another router',
  symptom: 'no router answers, or the packet takes a way that does not lead there',
  cause:
    'The route to the other end does not go through the VM. Where it came by router advertisement, somebody on that network advertises itself as router (RFC 6104).',
  provenBy: 'the next hop of the route is not an address of the VM, and it is where the exchange ends',
  refutedBy: 'a route through the VM',
  verify: 'correct the route, ping',
  prove(situation) {
    const { path, evidence, problem, loss } = situation
    if (problem !== 'lost' || !path.routed) return undefined
    const guest = stateOf(situation, guestKey)
    if (guest === undefined) return undefined
    const own = new Set(guest.links.flatMap(({ addresses }) => addresses.map(({ address }) => address)))
    for (const [end, other, frames] of [
      [path.from, path.to, ['request', 'answer', 'echo']],
      [path.to, path.from, ['echo', 'reverse-request', 'reverse-answer', 'reply']],
    ] as const) {
      const state = stateOf(situation, end.machine)
      const route = state === undefined ? undefined : lookUpRoute(state, path.family, other.address)
      if (route?.gateway === undefined || own.has(route.gateway)) continue
      const frame =
        loss.kind === 'between' || loss.kind === 'unanswered' || loss.kind === 'unsent' ? loss.frame : undefined
      if (frame === undefined || !frames.some((each) => each === frame)) continue
      // On the way there the loss must be on the first network, on the way back on the last.
      const segment =
        loss.kind === 'between'
          ? loss.last.segment
          : loss.kind === 'unanswered' || loss.kind === 'unsent'
            ? loss.at.segment
            : -1
      if (segment !== (end === path.from ? 0 : path.resolved.length - 1)) continue
      const on = machineName(evidence, end.machine)
      const advertised = route.protocol === 'ra'
      return {
        hop: `${on} ${end.link}`,
        facts: [
          `${on} sends packets for ${other.address} to ${route.gateway}, which is not an address of ${evidence.vm.name}`,
          ...(advertised ? ['that route came by router advertisement'] : []),
        ],
        fixes: [
          {
            what: advertised
              ? 'find who advertises itself as router there, and end it; or take no advertisements'
              : 'correct the route',
            price: 'none',
            commands: [{ on, words: `ip ${path.family === 'ipv6' ? '-6 ' : ''}route get ${other.address}` }],
          },
        ],
      }
    }
    return undefined
  },
}
