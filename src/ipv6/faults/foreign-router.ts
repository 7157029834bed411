import type { MachineState, PathEvidence } from '../evidence/schema.ts'
import { guestKey, lookUpRoutes } from '../evidence/topology.ts'
import { sighting } from '../hop-trace/loss.ts'
import { machineName, type Situation, stateOf } from './fault.ts'

export interface ForeignRouter {
  readonly end: PathEvidence['from']
  /** Whom it sends to by that router. */
  readonly other: PathEvidence['to']
  readonly on: string
  readonly route: MachineState['routes']['ipv4'][number]
  readonly gateway: string
  /** By which it was sent to. */
  readonly mac: string | undefined
}

/** The end of a routed path that sends to a router that is not the VM, and is where the exchange ends. */
export function foreignRouter(situation: Situation): ForeignRouter | undefined {
  const { path, evidence, problem, loss } = situation
  const guest = stateOf(situation, guestKey)
  if (problem !== 'lost' || !path.routed || guest === undefined) return undefined
  const own = new Set(guest.links.flatMap(({ addresses }) => addresses.map(({ address }) => address)))
  const ownMacs = new Set(guest.links.flatMap(({ mac }) => (mac === undefined ? [] : [mac])))
  for (const [end, other, sent, frames] of [
    [path.from, path.to, 'echo', ['request', 'answer', 'echo']],
    [path.to, path.from, 'reply', ['echo', 'reverse-request', 'reverse-answer', 'reply']],
  ] as const) {
    const state = stateOf(situation, end.machine)
    const routes = state === undefined ? [] : lookUpRoutes(state, path.family, other.address)
    const route = routes.find(({ gateway }) => gateway !== undefined && !own.has(gateway))
    if (state === undefined || route?.gateway === undefined) continue
    const hop = path.hops.find(({ machine, link }) => machine === end.machine && link === end.link)
    const taken = hop === undefined ? [] : (sighting(path, hop, sent)?.destinationMacs ?? [])
    // Of two routes that are as good either may be taken, and which table is, a rule decides: the frame shows it.
    const isOpen =
      routes.some(({ gateway }) => gateway === undefined || own.has(gateway)) ||
      state.routes[path.family].some(({ table }) => table !== undefined)
    if (isOpen && (taken.length === 0 || taken.some((mac) => ownMacs.has(mac)))) continue
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
    const { gateway } = route
    const known = state.neighbours.find(({ address, link }) => address === gateway && link === end.link)?.mac
    const on = machineName(evidence, end.machine)
    return { end, other, on, route, gateway, mac: taken.find((mac) => !ownMacs.has(mac)) ?? known }
  }
  return undefined
}
