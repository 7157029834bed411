import { type Fault, machineName, stateOf } from './fault.ts'

export const neighbourFixed: Fault = {
  id: 'neighbour-fixed',
  title: 'a neighbour entry set by hand has the wrong MAC address',
  symptom: 'one machine does not reach one address, everybody else does',
  cause: 'A permanent neighbour entry is never resolved anew: frames go to the MAC address that somebody wrote down.',
  provenBy: 'the entry is PERMANENT, and its MAC address is not the target’s',
  refutedBy: 'another state, or the right MAC address',
  verify: 'delete the entry, ping',
  prove(situation) {
    const { path, evidence, problem } = situation
    if (problem !== 'lost') return undefined
    for (const [end, other] of [
      [path.from, path.to],
      [path.to, path.from],
    ] as const) {
      if (path.routed || other.mac === undefined) continue
      const entry = stateOf(situation, end.machine)?.neighbours.find(
        ({ address, link, state }) => address === other.address && link === end.link && state === 'PERMANENT',
      )
      if (entry?.mac === undefined || entry.mac === other.mac) continue
      const on = machineName(evidence, end.machine)
      return {
        hop: `${on} ${end.link}`,
        facts: [`${on} has ${entry.mac} for ${other.address} set by hand; it is ${other.mac}`],
        fixes: [
          {
            what: 'delete the entry',
            price: 'none, unless it was set against spoofing: then correct it',
            commands: [{ on, words: `ip neighbour delete ${other.address} dev ${end.link}` }],
          },
        ],
      }
    }
    return undefined
  },
}
