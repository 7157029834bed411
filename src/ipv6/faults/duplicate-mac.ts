import { guestKey } from '../evidence/topology.ts'
import { type Fault, machineName } from './fault.ts'

export const duplicateMac: Fault = {
  id: 'duplicate-mac',
  title: 'two machines on one network have the same MAC address',
  symptom: 'both families come and go, or unicast vanishes on the way while broadcast arrives',
  cause:
    'A switch or bridge sends frames for a MAC address where it last saw it; with two owners they go to the wrong one.',
  provenBy: 'both ends of the path have one MAC address, or a port of the bridge between them has that of an end',
  refutedBy: 'different MAC addresses everywhere on the network',
  verify: 'give one another MAC address, ping from cold caches',
  prove(situation) {
    const { path, evidence, problem } = situation
    if (problem !== 'lost') return undefined
    const onWay = path.hops.flatMap(({ machine, link, segment }) => {
      const mac = evidence.machines[machine]?.links.find(({ name }) => name === link)
      return mac?.mac === undefined ? [] : [{ machine, link, segment, mac: mac.mac, kind: mac.kind }]
    })
    for (const [index, one] of onWay.entries()) {
      // A macvtap has the guest's address on purpose, and what stands on an interface takes its address over.
      const other = onWay
        .slice(index + 1)
        .find(({ machine, mac, segment }) => mac === one.mac && machine !== one.machine && segment === one.segment)
      if (other === undefined) continue
      const pair = [one, other]
      if (pair.some(({ kind }) => kind === 'macvtap' || kind === 'macvlan')) continue
      // In passthrough mode libvirt gives the NIC the guest's address, and that is no fault.
      const passthrough = evidence.nics.some(
        ({ macvtapMode, uplink, source }) =>
          macvtapMode === 'passthrough' && pair.some(({ link }) => link === uplink || link === source),
      )
      if (passthrough && pair.some(({ machine }) => machine === guestKey)) continue
      const names = pair.map(({ machine, link }) => `${machineName(evidence, machine)} ${link}`)
      return {
        hop: names.join(' and '),
        facts: [`${names.join(' and ')} both have ${one.mac}`],
        fixes: [
          {
            what: 'give one of them another MAC address',
            price: 'none',
            commands: [{ on: machineName(evidence, one.machine), words: `ip link set dev ${one.link} address …` }],
          },
        ],
      }
    }
    return undefined
  },
}
