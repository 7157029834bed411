import { isUnicastMac } from '../../domain/mac.ts'
import { guestKey } from '../evidence/topology.ts'
import { sighting } from '../hop-trace/loss.ts'
import { type Fault, isForThePath, linkAt, lostOnHost, nicsOnPath, stateOf } from './fault.ts'
import { keepsApart, macvtapsOfOneNic } from './macvtap-isolation.ts'

export const macvtapUnicastFilter: Fault = {
  id: 'macvtap-unicast-filter',
  title: 'the macvtap takes in unicast to its own MAC address only',
  symptom:
    'with a bridge in the VM one side reaches it and the other does not, over IPv4 too; ARP replies vanish on the host',
  cause:
    'Outside passthrough mode a macvtap hands a unicast frame on only if it is for the macvtap’s own MAC address (drivers/net/macvlan.c, macvlan_handle_frame). A bridge in the guest has one address, usually that of one port, and passes on frames for machines behind it: on the other NICs all of that is foreign. Promiscuous mode does not change it.',
  provenBy:
    'unicast frames are seen on the NIC and not on its macvtap, and are for another MAC address than the macvtap’s',
  refutedBy: 'passthrough mode, or frames that are for the macvtap’s MAC address, or for nobody of this path',
  verify: 'ping across the bridge in the VM, both ways, from cold caches',
  prove(situation) {
    const lost = lostOnHost(situation)
    if (situation.problem !== 'lost' || lost === undefined) return undefined
    const macvtap = linkAt(situation, lost.missing)
    const nic = nicsOnPath(situation).find(({ target }) => target === lost.missing.link)
    if (macvtap?.kind !== 'macvtap' || macvtap.mac === undefined || nic === undefined) return undefined
    if (macvtap.macvtapMode === 'passthru' || macvtap.lower !== lost.last.link) return undefined
    const pair = macvtapsOfOneNic(situation)
    if (pair !== undefined && keepsApart(pair)) return undefined
    const seen = sighting(situation.path, lost.last, lost.frame)
    if (seen === undefined || !isForThePath(situation, seen)) return undefined
    const destinations = seen.destinationMacs
    const foreign = destinations.filter((mac) => isUnicastMac(mac) && mac !== macvtap.mac)
    const [first] = foreign
    if (first === undefined || foreign.length !== destinations.length) return undefined
    const guestLink = stateOf(situation, guestKey)?.links.find(({ mac }) => mac === first)
    const changed = guestLink?.kind === undefined && guestLink?.name === nic.name
    const whose = guestLink === undefined ? 'not of this NIC' : `the address of ${guestLink.name} in the guest`
    return {
      hop: lost.missing.name,
      facts: [
        `frames for ${first} reach ${lost.last.name} and not ${lost.missing.name}`,
        `${macvtap.name} has the MAC address ${macvtap.mac} and mode ${macvtap.macvtapMode ?? 'unknown'}; ${first} is ${whose}`,
        ...(changed
          ? [`the guest changed the MAC address of ${nic.name}, which an untrusted macvtap does not follow`]
          : []),
      ],
      fixes: [
        {
          what: 'attach the VM to a Linux bridge on the host',
          price: 'the uplink becomes a port of the bridge, and an address of the host on it has to move there',
          commands: [{ on: 'host', words: `vmr vm switch ${situation.evidence.vm.name} --nic bridge` }],
        },
        {
          what: 'give the VM the whole NIC: macvtap in passthrough mode, trusted',
          price: 'one VM a NIC; it goes promiscuous and takes the guest’s MAC address',
          commands: [
            { on: 'host', words: `vmr vm switch ${situation.evidence.vm.name} --nic macvtap-passthrough-trust` },
          ],
        },
      ],
    }
  },
}
