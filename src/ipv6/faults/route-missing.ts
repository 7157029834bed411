import { guestKey, lookUpRoute } from '../evidence/topology.ts'
import { type Fault, isOn, lostInside, machineName, type Situation, stateOf } from './fault.ts'

/** Machines that had to send something on, and were where the exchange ended. */
function senders(
  situation: Situation,
): readonly { readonly machine: string; readonly towards: string; readonly hop: string }[] {
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

export const routeMissing: Fault = {
  id: 'route-missing',
  title: 'a machine has no route to the other end',
  symptom: '"Network is unreachable", or the packet arrives and nothing comes back',
  cause: 'A packet needs a route there and one back. Often only one side was given one.',
  provenBy: 'the machine where the exchange ends has no route to where it had to send, or one that says unreachable',
  refutedBy: 'a route in `ip route get`',
  verify: 'add the route, ping',
  prove(situation) {
    for (const { machine, towards, hop } of senders(situation)) {
      const state = stateOf(situation, machine)
      if (state === undefined || /^fe80:/i.test(towards)) continue
      const route = lookUpRoute(state, situation.path.family, towards)
      if (route !== undefined && route.type === 'unicast') continue
      const { path } = situation
      // A link that is down takes its routes along.
      const own = [path.from, path.to].find((end) => end.machine === machine)?.link
      if (state.links.some(({ name, flags }) => name === own && !flags.includes('LOWER_UP'))) continue
      // Without any address there are no routes either, and the address is what is missing.
      const family = path.family
      if (
        !state.links.some(({ addresses }) =>
          addresses.some((each) => each.family === family && each.scope === 'global'),
        )
      )
        continue
      const isRouter = machine === guestKey && path.routed
      const key = family === 'ipv6' ? 'ipv6/conf/all/forwarding' : 'ipv4/ip_forward'
      if (isRouter && !isOn(state, key)) continue
      const on = machineName(situation.evidence, machine)
      const words = family === 'ipv6' ? 'ip -6 route' : 'ip route'
      return {
        hop,
        facts: [
          route === undefined
            ? `${on} has no route to ${towards}`
            : `${on} has a route of type ${route.type} for ${towards}`,
        ],
        fixes: [
          {
            what: 'give it a route through the VM',
            price: 'none',
            commands: [{ on, words: `${words} add ${towards} via …` }],
          },
        ],
      }
    }
    return undefined
  },
}
