import { guestKey, lookUpRoute } from '../evidence/topology.ts'
import { isOn, lostInside, machineName, type Situation, stateOf } from './fault.ts'

interface Sender {
  readonly machine: string
  readonly towards: string
  readonly hop: string
}

/** Machines that had to send something on, and were where the exchange ended. */
function senders(situation: Situation): readonly Sender[] {
  const { path, loss, evidence } = situation
  const inside = lostInside(situation)
  const own = {
    machine: path.from.machine,
    towards: path.to.address,
    hop: `${machineName(evidence, path.from.machine)} ${path.from.link}`,
  }
  if (situation.problem !== 'lost') return []
  if (loss.kind === 'unsent' || (loss.kind === 'unwatched' && path.probe.sent === 0)) return [own]
  if (inside === undefined || situation.loss.kind === 'unsent') return []
  const towards = inside.frame === 'echo' && inside.machine !== path.to.machine ? path.to.address : path.from.address
  return inside.frame === 'echo' || inside.frame === 'reply'
    ? [{ machine: inside.machine, towards, hop: inside.hop.name }]
    : []
}

/** Those of them that have no route to where they had to send, or one that says unreachable. */
export function withoutRoute(
  situation: Situation,
): readonly (Sender & { readonly route: ReturnType<typeof lookUpRoute> })[] {
  const { path } = situation
  const { family } = path
  return senders(situation).flatMap((sender) => {
    const { machine, towards } = sender
    const state = stateOf(situation, machine)
    if (state === undefined || /^fe80:/i.test(towards)) return []
    const route = lookUpRoute(state, family, towards)
    if (route !== undefined && route.type === 'unicast') return []
    // A link that is down takes its routes along.
    const own = [path.from, path.to].find((end) => end.machine === machine)?.link
    if (state.links.some(({ name, flags }) => name === own && !flags.includes('LOWER_UP'))) return []
    // Without any address there are no routes either, and the address is what is missing.
    if (
      !state.links.some(({ addresses }) => addresses.some((each) => each.family === family && each.scope === 'global'))
    )
      return []
    const isRouter = machine === guestKey && path.routed
    const key = family === 'ipv6' ? 'ipv6/conf/all/forwarding' : 'ipv4/ip_forward'
    return isRouter && !isOn(state, key) ? [] : [{ ...sender, route }]
  })
}
