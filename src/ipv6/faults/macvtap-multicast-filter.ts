import { isIPv6 } from 'node:net'
import { low24 } from '../../domain/mac.ts'
import type { LinkState, NicEvidence, PathHop } from '../evidence/schema.ts'
import { guestKey } from '../evidence/topology.ts'
import {
  type Fault,
  type Fix,
  linkAt,
  lostOnHost,
  nicsOnPath,
  type Situation,
  solicitedNodeMac,
  stateOf,
} from './fault.ts'
import { keepsApart, macvtapsOfOneNic } from './macvtap-isolation.ts'

export interface FilteredSolicitation {
  readonly nic: NicEvidence
  readonly macvtap: LinkState
  readonly hop: PathHop
  readonly group: string
  /** Who asked for what. */
  readonly target: string
}

/** A solicitation that reached a macvtap's NIC and not the macvtap, whose filter has not got its group. */
export function filteredSolicitation(situation: Situation): FilteredSolicitation | undefined {
  const lost = lostOnHost(situation)
  const { path, problem } = situation
  if (problem !== 'lost' || lost === undefined || path.family !== 'ipv6') return undefined
  if (lost.frame !== 'request' && lost.frame !== 'reverse-request') return undefined
  const macvtap = linkAt(situation, lost.missing)
  const nic = nicsOnPath(situation).find(({ target }) => target === lost.missing.link)
  if (macvtap?.kind !== 'macvtap' || nic === undefined || macvtap.lower !== lost.last.link) return undefined
  // What never came back from the wire met no filter.
  const pair = macvtapsOfOneNic(situation)
  if (pair !== undefined && keepsApart(pair)) return undefined
  if (macvtap.promiscuity > 0 || macvtap.allMulticast > 0) return undefined
  const asked = path.resolved[lost.missing.segment]
  const target = lost.frame === 'request' ? asked?.to : asked?.from
  if (target === undefined || !isIPv6(target)) return undefined
  // Were the address nowhere in the guest, nobody would answer behind an open filter either.
  const owned = stateOf(situation, guestKey)?.links.some(({ addresses }) =>
    addresses.some(({ address, duplicate }) => address === target && !duplicate),
  )
  const routedOn = path.hops.some(({ machine }) => machine === guestKey) && path.to.machine !== guestKey && !path.routed
  if (owned !== true && !routedOn) return undefined
  const group = solicitedNodeMac(low24(target))
  const groups = stateOf(situation, lost.missing.machine)?.groups[macvtap.name]?.link
  if (groups === undefined || groups.includes(group)) return undefined
  return { nic, macvtap, hop: lost.missing, group, target }
}

export function openingFixes(vmName: string, { nic, macvtap, hop }: FilteredSolicitation): readonly Fix[] {
  const { macvtapMode = 'bridge' } = nic
  const trusted = macvtapMode === 'bridge' ? 'macvtap-trust' : `macvtap-${macvtapMode}-trust`
  return [
    {
      what: 'let libvirt copy the guest’s groups into the filter: trustGuestRxFilters="yes"',
      price:
        'the guest decides which multicast and MAC address its macvtap takes in; it already sees what is sent to it',
      commands: [{ on: 'host', words: `vmr vm switch ${vmName} --nic ${trusted} --only ${nic.name}` }],
      switchTo: { nic: nic.name, mode: trusted },
    },
    {
      what: 'let the macvtap take in all multicast, until the VM stops',
      price: 'the guest sees the multicast of everybody on that network',
      commands: [{ on: 'host', words: `ip link set dev ${macvtap.name} allmulticast on` }],
      change: {
        kind: 'link',
        machine: hop.machine,
        link: macvtap.name,
        attribute: 'allmulticast',
        before: 'off',
        value: 'on',
      },
    },
    {
      what: 'attach the NIC to a Linux bridge, which floods multicast',
      price: 'the uplink becomes a port of the bridge, and an address of the host on it has to move there',
      commands: [{ on: 'host', words: `vmr vm switch ${vmName} --nic bridge --only ${nic.name}` }],
    },
  ]
}

export const macvtapMulticastFilter: Fault = {
  id: 'macvtap-multicast-filter',
  title: 'the macvtap’s multicast filter drops the neighbour solicitation',
  symptom:
    'IPv4 works; IPv6 works once the VM spoke first, or while tcpdump runs, or at fe80::, and else not; a session dies midway, since the VM verifies its neighbours from its link-local address, and the entry that the PC has for its other one grows old',
  cause:
    'A macvtap lets in multicast of groups that the host’s own device joined. IPv6 asks for an address by multicast to the group of its last 24 bits; the guest joined that group, and without trustGuestRxFilters nobody tells the host: `virsh update-device` to set it on a running VM says that it is done, and does nothing. ARP is broadcast, which always passes.',
  provenBy: 'the solicitation is seen on the NIC and not on its macvtap, whose filter lacks the group and is not open',
  refutedBy: 'the group in `ip maddress show` of the macvtap, or the macvtap promiscuous or allmulticast',
  verify: 'flush the PC’s neighbour cache and ping a static address of the VM',
  prove(situation) {
    const found = filteredSolicitation(situation)
    if (found === undefined || found.nic.trust) return undefined
    const { macvtap, group, target, nic, hop } = found
    return {
      hop: hop.name,
      facts: [
        `${macvtap.name} is a macvtap on ${macvtap.lower}, neither promiscuous nor allmulticast`,
        `its filter lacks ${group}, the group of ${target}`,
        `${nic.name} has trustGuestRxFilters="no", so the guest’s groups never reach it`,
        ...(nic.definedTrust === true
          ? [
              `its definition says "yes": to change it of a running NIC, libvirt’s update-device reports success and changes nothing`,
            ]
          : []),
      ],
      fixes: openingFixes(situation.evidence.vm.name, found),
    }
  },
}
