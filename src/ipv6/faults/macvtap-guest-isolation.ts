import { hostKey } from '../evidence/topology.ts'
import { type Fault, machineName } from './fault.ts'
import { keepsApart, macvtapsOfOneNic } from './macvtap-isolation.ts'

export const macvtapGuestIsolation: Fault = {
  id: 'macvtap-guest-isolation',
  title: 'two VMs on one NIC are kept apart by their macvtap mode',
  symptom: 'each VM reaches the network and is reached from it, and the two do not reach each other, in either family',
  cause:
    'The macvtaps of one NIC pass frames to each other only in mode bridge. In mode vepa every frame goes out to the switch, which has to send it back (reflective relay, IEEE 802.1Qbg), and few do; in mode private even what comes back is dropped (drivers/net/macvlan.c).',
  provenBy:
    'both VMs are on macvtaps of the same NIC, not both in mode bridge, and the request leaves the one and is not seen at the other',
  refutedBy: 'mode bridge on both, or the frame at the other’s macvtap: then the switch sends it back',
  verify: 'ping from VM to VM, in both directions, from cold caches',
  prove(situation) {
    const { loss, problem, path, evidence } = situation
    const pair = macvtapsOfOneNic(situation)
    if (problem !== 'lost' || loss.kind !== 'between' || loss.frame !== 'request' || pair === undefined)
      return undefined
    const { sender, receiver, receiverHop } = pair
    if (!keepsApart(pair) || loss.missing.name !== receiverHop.name || loss.last.machine !== hostKey) return undefined
    const isFor = (tap: string) => evidence.nics.find(({ target }) => target === tap)?.trust
    const trust = (isFor(sender.name) ?? isFor(receiver.name)) === true ? '-trust' : ''
    const [from, to] = [path.from, path.to].map(({ machine }) => machineName(evidence, machine))
    return {
      hop: `host, between ${sender.name} and ${receiver.name}`,
      facts: [
        `${sender.name} of ${from} has mode ${sender.macvtapMode}, ${receiver.name} of ${to} mode ${receiver.macvtapMode}, both on ${sender.lower}`,
        `what ${from} sends leaves by ${loss.last.link}, and ${receiver.name} does not get it`,
      ],
      fixes: [
        {
          what: 'for mode vepa: switch reflective relay (hairpin) on at the switch port',
          price: 'the switch sees and can filter what the VMs send each other; in mode private it does not help',
          commands: [],
        },
        {
          what: 'attach both VMs by macvtaps in mode bridge',
          price: 'the VMs of this NIC reach each other past the switch: that is what private and vepa are to prevent',
          commands: [from, to].map((name) => ({ on: 'host', words: `vmr vm switch ${name} --nic macvtap${trust}` })),
        },
      ],
    }
  },
}
