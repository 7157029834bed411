import { type Fault, machineName } from './fault.ts'

export const neighbourStale: Fault = {
  id: 'neighbour-stale',
  title: 'the sender still knew an old MAC address of the target',
  symptom: 'lost after a NIC was replaced or an address moved, until the neighbour entry is forgotten',
  cause:
    'A neighbour entry lives on until it is verified: until then frames go to the MAC address that had the address before.',
  provenBy: 'lost with the old entry, reached at once when it was forgotten',
  refutedBy: 'the right MAC address in the entry',
  verify: 'probing forgot the entry: it works now',
  prove(situation) {
    const { path, evidence, problem } = situation
    if (problem !== 'stale' || path.warm === undefined) return undefined
    const on = machineName(evidence, path.from.machine)
    return {
      hop: `${on} ${path.from.link}`,
      facts: [
        `${on} knew ${path.to.address} as ${path.warm.mac}, and it is ${path.to.mac}`,
        'with that entry nothing came back; without it the first packet did',
      ],
      fixes: [{ what: 'nothing: the probe made it forget the entry', price: 'none', commands: [] }],
    }
  },
}
