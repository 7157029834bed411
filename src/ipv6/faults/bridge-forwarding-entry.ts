import { type Fault, stateOf } from './fault.ts'
import { portsOf } from './two-ports.ts'

export const bridgeForwardingEntry: Fault = {
  id: 'bridge-forwarding-entry',
  title: 'a fixed entry of the bridge sends the frame to another port',
  symptom: 'requests pass, and unicast to one MAC address is lost; both families',
  cause:
    'A static or local entry of the forwarding database decides where frames for a MAC address go, whatever was learned.',
  provenBy: 'the lost frames are unicast, and the bridge has a fixed entry for their MAC address on another port',
  refutedBy: '`bridge fdb show`',
  verify: 'remove the entry and ping from cold caches',
  prove(situation) {
    const ports = portsOf(situation)
    if (ports === undefined) return undefined
    const { lost, on, seen, from, to } = ports
    const destinations = seen?.destinationMacs
    const entry = stateOf(situation, lost.last.machine)?.forwardingDatabase.find(
      ({ mac, link, master, state }) =>
        destinations?.length === 1 &&
        destinations[0] === mac &&
        link !== to.name &&
        (master === from.master || link === from.master) &&
        /static|permanent|noarp/.test(state),
    )
    if (entry === undefined) return undefined
    const whose = entry.state === 'permanent' ? 'it is the machine’s own address' : 'it was set by hand'
    return {
      hop: `${on} ${from.master}`,
      facts: [
        `${from.master} has an entry for ${entry.mac} at ${entry.link} (${entry.state}: ${whose}), not at ${to.name}`,
      ],
      fixes: [
        {
          what: entry.state === 'permanent' ? 'give one of the two another MAC address' : 'remove the entry',
          price: 'none',
          commands: [
            {
              on,
              words:
                entry.state === 'permanent'
                  ? `ip link set dev ${entry.link} address …`
                  : `bridge fdb delete ${entry.mac} dev ${entry.link} master`,
            },
          ],
        },
      ],
    }
  },
}
