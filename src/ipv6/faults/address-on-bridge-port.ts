import { ends } from './ends-of-path.ts'
import { type Fault, lostInside, machineName } from './fault.ts'

export const addressOnBridgePort: Fault = {
  id: 'address-on-bridge-port',
  title: 'the address is on an interface that a bridge holds',
  symptom:
    'what was established goes on for half a minute, then the neighbour goes FAILED; from cold caches nothing works',
  cause:
    'A port hands every frame to its bridge. Solicitations arrive at the bridge, where the address is not, so nobody answers; ARP is answered, and then the machine’s own entry for the sender fails.',
  provenBy: 'the interface with the address is a port of a bridge, and the frame is lost inside that machine',
  refutedBy: 'the address on the bridge itself',
  verify: 'move the address to the bridge, ping from cold caches',
  prove(situation) {
    for (const { end, link, state } of ends(situation)) {
      if (link?.master === undefined || situation.problem !== 'lost') continue
      const master = state?.links.find(({ name }) => name === link.master)
      if (master?.kind !== 'bridge' || lostInside(situation)?.machine !== end.machine) continue
      const on = machineName(situation.evidence, end.machine)
      return {
        hop: `${on} ${end.link}`,
        facts: [`${end.address} is on ${end.link} of ${on}, which is a port of ${master.name}`],
        fixes: [
          {
            what: 'move the address to the bridge',
            price: 'none',
            commands: [
              {
                on,
                words: `ip address delete ${end.address} dev ${end.link}; ip address add ${end.address} dev ${master.name}`,
              },
            ],
          },
        ],
      }
    }
    return undefined
  },
}
