import { lookUpRoutes } from '../evidence/topology.ts'
import { type Fault, machineName, stateOf } from './fault.ts'

export const prefixTooWide: Fault = {
  id: 'prefix-too-wide',
  title: 'a machine takes the other end for a neighbour',
  symptom: 'the machine reaches its own network and what is far away, and not the network beside its own',
  cause:
    'The prefix of an address, or a route without a router, says that the other end is on the same link. The machine asks for it there, where it is not, and never asks the router: a /48 that should be a /64, or a prefix that an advertisement calls on-link (RFC 4861 section 4.6.2).',
  provenBy:
    'the machine’s best route to the other end has no next hop, the other end is beyond the VM, and the question for it is not answered on the machine’s own network',
  refutedBy: 'a next hop in `ip route get`, or an answer: then somebody answers in its place (proxy)',
  verify: 'correct the prefix, or add a route through the VM, ping',
  prove(situation) {
    const { path, loss, problem, evidence } = situation
    if (problem !== 'lost' || !path.routed || (loss.kind !== 'between' && loss.kind !== 'unanswered')) return undefined
    const { segment } = loss.kind === 'between' ? loss.last : loss.at
    for (const [end, other, frame, where] of [
      [path.from, path.to, 'request', 0],
      [path.to, path.from, 'reverse-request', path.resolved.length - 1],
    ] as const) {
      const state = stateOf(situation, end.machine)
      if (state === undefined || loss.frame !== frame || segment !== where) continue
      const routes = lookUpRoutes(state, path.family, other.address)
      const [route] = routes
      const isOnLink = (each: typeof route) =>
        each?.type === 'unicast' && each.gateway === undefined && each.link === end.link && each.table === undefined
      if (route === undefined || !routes.every(isOnLink)) continue
      const on = machineName(evidence, end.machine)
      const words = path.family === 'ipv6' ? 'ip -6' : 'ip'
      return {
        hop: `${on} ${end.link}`,
        facts: [
          `${on} has a route to ${route.destination} by ${end.link} without a router, and ${other.address} is in that`,
          `${other.address} is beyond ${evidence.vm.name}, and nobody answers for it on the network of ${on}`,
        ],
        fixes: [
          {
            what: 'give the address the prefix length of its network',
            price: 'none',
            commands: [{ on, words: `${words} address show dev ${end.link}` }],
          },
          {
            what: 'give the machine a route through the VM, which is more specific',
            price: 'none, as long as it is kept up',
            commands: [{ on, words: `${words} route add ${other.address} via …` }],
          },
        ],
      }
    }
    return undefined
  },
}
