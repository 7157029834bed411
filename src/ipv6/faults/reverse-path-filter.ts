import { lookUpRoute } from '../evidence/topology.ts'
import { type Fault, lostInside, machineName, stateOf } from './fault.ts'

export const reversePathFilter: Fault = {
  id: 'reverse-path-filter',
  title: 'the reverse path filter drops the packet',
  symptom: 'IPv4 is lost one way though it arrives; IPv6 works',
  cause:
    'With rp_filter = 1 a packet is dropped when the way back to its source is not the interface it came by (RFC 3704).',
  provenBy: 'rp_filter of the interface is 1, the packet arrives there, and the route to its source leads elsewhere',
  refutedBy: 'a route back through that interface, or rp_filter = 0',
  verify: 'mend the route or set rp_filter = 2, ping',
  prove(situation) {
    const inside = lostInside(situation)
    const { path, problem, evidence } = situation
    if (problem !== 'lost' || path.family !== 'ipv4' || inside === undefined || situation.loss.kind === 'unsent')
      return undefined
    const state = stateOf(situation, inside.machine)
    if (state === undefined) return undefined
    const mode = Math.max(
      Number(state.sysctls['ipv4/conf/all/rp_filter'] ?? 0),
      Number(state.sysctls[`ipv4/conf/${inside.hop.link}/rp_filter`] ?? 0),
    )
    const source = inside.frame === 'echo' || inside.frame === 'request' ? path.from.address : path.to.address
    const back = lookUpRoute(state, 'ipv4', source)
    if (mode !== 1 && !(mode === 2 && back === undefined)) return undefined
    if (back !== undefined && (back.link === inside.hop.link || back.type !== 'unicast')) return undefined
    const on = machineName(evidence, inside.machine)
    return {
      hop: inside.hop.name,
      facts: [
        `rp_filter is ${mode} for ${inside.hop.link} of ${on}`,
        back === undefined
          ? `${on} has no route to ${source}`
          : `the route of ${on} to ${source} leads through ${back.link}`,
      ],
      fixes: [
        {
          what: 'give the machine a route to the source through that interface',
          price: 'none',
          commands: [{ on, words: `ip route get ${source}` }],
        },
        {
          what: 'accept packets whose source is reachable anywhere (loose mode)',
          price: 'spoofed sources of other networks get in',
          commands: [{ on, words: `sysctl -w net.ipv4.conf.${inside.hop.link}.rp_filter=2` }],
        },
      ],
    }
  },
}
