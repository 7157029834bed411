import { guestKey } from '../evidence/topology.ts'
import { type Fault, machineName, stateOf, sysctlChange } from './fault.ts'
import { lostInRouter } from './lost-in-router.ts'

export const hopLimit: Fault = {
  id: 'hop-limit',
  title: 'packets leave with a hop limit that is too small',
  symptom: 'neighbours answer, and nothing behind a router does: "Time exceeded"',
  cause:
    'Every router takes one from the hop limit and drops the packet at zero. A router advertisement can set it too (RFC 4861 section 4.2).',
  provenBy:
    'the sender’s hop limit does not reach over the routers on the way, and a router says so or the packet ends there',
  refutedBy: 'a hop limit of 64',
  verify: 'set it back, ping',
  prove(situation) {
    const { path, evidence, problem } = situation
    if (problem !== 'lost' || !path.routed) return undefined
    const inside = lostInRouter(situation)
    // Who says that the hop limit is used up has got the packet, whatever a capture there missed.
    const said = path.trace?.probe.said ?? path.probe.said ?? ''
    const own = stateOf(situation, guestKey)?.links.flatMap(({ addresses }) => addresses) ?? []
    const told = /exceeded/i.test(said) && own.some(({ address }) => said.includes(`From ${address} `))
    if (inside === undefined && !told) return undefined
    const sender = inside?.frame === 'reply' ? path.to : path.from
    const state = stateOf(situation, sender.machine)
    const key = path.family === 'ipv6' ? `ipv6/conf/${sender.link}/hop_limit` : 'ipv4/ip_default_ttl'
    const value = state?.sysctls[key]
    if (value === undefined || Number(value) > 1) return undefined
    const on = machineName(evidence, sender.machine)
    return {
      hop: `${on} ${sender.link}`,
      facts: [`net.${key.replaceAll('/', '.')} = ${value} on ${on}`, ...(told ? [`ping was told: ${said}`] : [])],
      fixes: [
        {
          what: 'set it to 64',
          price: 'none',
          commands: [{ on, words: `sysctl -w net.${key.replaceAll('/', '.')}=64` }],
          change: sysctlChange(sender.machine, key, value, '64'),
        },
      ],
    }
  },
}
