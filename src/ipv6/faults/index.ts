import { acceptRaForwarding } from './accept-ra-forwarding.ts'
import { addressMissing } from './address-missing.ts'
import { addressOnBridgePort } from './address-on-bridge-port.ts'
import { addressTentative } from './address-tentative.ts'
import { arpOff } from './arp-off.ts'
import { bridgeForwardingEntry } from './bridge-forwarding-entry.ts'
import { bridgePortFlag } from './bridge-port-flag.ts'
import { bridgePortState } from './bridge-port-state.ts'
import { bridgeSnooping } from './bridge-snooping.ts'
import { bridgeVlanFilter } from './bridge-vlan-filter.ts'
import { checksumWrong } from './checksum-wrong.ts'
import { dadFailed } from './dad-failed.ts'
import { duplicateAddress } from './duplicate-address.ts'
import { duplicateMac } from './duplicate-mac.ts'
import { echoIgnored } from './echo-ignored.ts'
import type { Fault } from './fault.ts'
import { firewallDrop } from './firewall-drop.ts'
import { forwardingOff } from './forwarding-off.ts'
import { hopLimit } from './hop-limit.ts'
import { ipv6Disabled } from './ipv6-disabled.ts'
import { linkDown } from './link-down.ts'
import { macvtapFilterNotSynced } from './macvtap-filter-not-synced.ts'
import { macvtapGuestIsolation } from './macvtap-guest-isolation.ts'
import { macvtapHostIsolation } from './macvtap-host-isolation.ts'
import { macvtapMulticastFilter } from './macvtap-multicast-filter.ts'
import { macvtapUnicastFilter } from './macvtap-unicast-filter.ts'
import { neighbourFixed } from './neighbour-fixed.ts'
import { neighbourStale } from './neighbour-stale.ts'
import { notOnOneBridge } from './not-on-one-bridge.ts'
import { pathMtu } from './path-mtu.ts'
import { prefixTooWide } from './prefix-too-wide.ts'
import { raGuard } from './ra-guard.ts'
import { reversePathFilter } from './reverse-path-filter.ts'
import { rogueRouter } from './rogue-router.ts'
import { routeElsewhere } from './route-elsewhere.ts'
import { routeMissing } from './route-missing.ts'
import { tunnelMtu } from './tunnel-mtu.ts'
import { wrongVlan } from './wrong-vlan.ts'

/** Every fault that vmr can name. The order decides nothing: each is proven by itself, or not at all. */
export const faults: readonly Fault[] = [
  macvtapMulticastFilter,
  macvtapFilterNotSynced,
  macvtapUnicastFilter,
  macvtapGuestIsolation,
  macvtapHostIsolation,
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
  dadFailed,
  addressTentative,
  addressOnBridgePort,
  duplicateAddress,
  duplicateMac,
  neighbourFixed,
  neighbourStale,
  forwardingOff,
  routeMissing,
  routeElsewhere,
  prefixTooWide,
  rogueRouter,
  acceptRaForwarding,
  raGuard,
  reversePathFilter,
  hopLimit,
  checksumWrong,
  echoIgnored,
  arpOff,
  wrongVlan,
  pathMtu,
  tunnelMtu,
]
