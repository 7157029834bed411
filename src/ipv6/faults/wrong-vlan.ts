import { sighting } from '../hop-trace/loss.ts'
import { type Fault, lostInside, machineName } from './fault.ts'

export const wrongVlan: Fault = {
  id: 'wrong-vlan',
  title: 'the two ends are in different VLANs',
  symptom: 'both families are lost; frames arrive at the NIC and not at the interface with the address',
  cause: 'A frame with an 802.1Q tag belongs to the VLAN interface of that number, one without to the NIC itself.',
  provenBy: 'the frame reaches the NIC with a tag, or without, that is not the one of the interface with the address',
  refutedBy: 'the same VLAN number on both sides',
  verify: 'use one VLAN on both sides, ping',
  prove(situation) {
    const { path, problem, evidence } = situation
    if (problem !== 'lost' || path.routed) return undefined
    const inside = lostInside(situation)
    if (inside === undefined || situation.loss.kind === 'unsent') return undefined
    const tags = sighting(path, inside.hop, inside.frame)?.vlans ?? []
    const [tag] = tags
    if (tag === undefined || tags.length !== 1) return undefined
    const end = [path.to, path.from].find(({ machine }) => machine === inside.machine)
    if (end === undefined) return undefined
    const wanted = evidence.machines[end.machine]?.links.find(({ name }) => name === end.link)?.vlanId ?? 0
    if (wanted === tag || inside.hop.link === end.link) return undefined
    const words = (vlan: number) => (vlan === 0 ? 'without a tag' : `in VLAN ${vlan}`)
    const on = machineName(evidence, end.machine)
    return {
      hop: inside.hop.name,
      facts: [
        `the frame arrives at ${inside.hop.name} ${words(tag)}`,
        `${end.address} is on ${end.link} of ${on}, which is ${words(wanted)}`,
      ],
      fixes: [
        {
          what: 'use one VLAN on both sides',
          price: 'none',
          commands: [{ on, words: `ip -details link show dev ${end.link}` }],
        },
      ],
    }
  },
}
