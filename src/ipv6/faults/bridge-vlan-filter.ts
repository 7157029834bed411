import { type Fault, stateOf } from './fault.ts'
import { portsOf } from './two-ports.ts'

export const bridgeVlanFilter: Fault = {
  id: 'bridge-vlan-filter',
  title: 'the bridge’s VLAN table does not let the frame through',
  symptom: 'both families are lost between two ports of one bridge',
  cause:
    'A bridge with VLAN filtering puts untagged frames into the VLAN of the port they came by (its PVID) and passes a frame only to ports that are members of its VLAN (bridge(8)).',
  provenBy: 'VLAN filtering is on, and the port that misses the frame is not a member of the frame’s VLAN',
  refutedBy: 'the VLAN in `bridge vlan show` of both ports',
  verify: '`bridge vlan show`, then ping from cold caches',
  prove(situation) {
    const ports = portsOf(situation)
    if (ports === undefined) return undefined
    const { lost, on, seen, from, to } = ports
    const machine = stateOf(situation, lost.last.machine)
    const bridge = machine?.links.find(({ name }) => name === from.master)
    if (machine === undefined || bridge?.bridge?.vlanFiltering !== true) return undefined
    const tags = seen?.vlans
    const [tag] = tags ?? []
    if (tag === undefined || tags?.length !== 1) return undefined
    const vlan = tag === 0 ? machine.portVlans.find(({ link, pvid }) => link === from.name && pvid)?.vlan : tag
    const isMember = (link: string) => machine.portVlans.some((each) => each.link === link && each.vlan === vlan)
    const outside = vlan === undefined ? from.name : [from.name, to.name].find((link) => !isMember(link))
    if (outside === undefined) return undefined
    return {
      hop: `${on} ${outside}`,
      facts: [
        `${bridge.name} filters VLANs`,
        vlan === undefined
          ? `${from.name} has no VLAN for untagged frames`
          : `the frame is in VLAN ${vlan}, and ${outside} is not a member of it`,
      ],
      fixes: [
        {
          what: 'make the port a member of the VLAN',
          price: 'it then gets the traffic of that VLAN',
          commands: [
            {
              on,
              words: `bridge vlan add dev ${outside} vid ${vlan ?? 1}${tag === 0 ? ' pvid untagged' : ''}`,
            },
          ],
        },
      ],
    }
  },
}
