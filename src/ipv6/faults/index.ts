import {
  bridgeForwardingEntry,
  bridgePortFlag,
  bridgePortState,
  bridgeVlanFilter,
  notOnOneBridge,
} from './bridge-port.ts'
import { bridgeSnooping } from './bridge-snooping.ts'
import { duplicateAddress, duplicateMac } from './duplicates.ts'
import type { Fault } from './fault.ts'
import { firewallDrop } from './firewall-drop.ts'
import {
  addressDuplicate,
  addressMissing,
  addressOnBridgePort,
  addressTentative,
  ipv6Disabled,
  neighbourFixed,
  neighbourStale,
} from './guest-address.ts'
import { linkDown } from './link-down.ts'
import { macvtapFilterNotSynced } from './macvtap-filter-not-synced.ts'
import { macvtapMulticastFilter } from './macvtap-multicast-filter.ts'
import { macvtapUnicastFilter } from './macvtap-unicast-filter.ts'
import {
  arpOff,
  echoIgnored,
  forwardingOff,
  hopLimit,
  reversePathFilter,
  routeElsewhere,
  routeMissing,
} from './routing.ts'
import { pathMtu, wrongVlan } from './vlan-mtu.ts'

/** Every fault that vmr can name. The order decides nothing: each is proven by itself, or not at all. */
export const faults: readonly Fault[] = [
  macvtapMulticastFilter,
  macvtapFilterNotSynced,
  macvtapUnicastFilter,
  bridgeSnooping,
  bridgePortFlag,
  bridgePortState,
  bridgeVlanFilter,
  bridgeForwardingEntry,
  notOnOneBridge,
  linkDown,
  firewallDrop,
  ipv6Disabled,
  addressMissing,
  addressDuplicate,
  addressTentative,
  addressOnBridgePort,
  duplicateAddress,
  duplicateMac,
  neighbourFixed,
  neighbourStale,
  forwardingOff,
  routeMissing,
  routeElsewhere,
  reversePathFilter,
  hopLimit,
  echoIgnored,
  arpOff,
  wrongVlan,
  pathMtu,
]
