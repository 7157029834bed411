import { VmrError } from '../errors/vmr-error.ts'
import { inLibvirtOrder, withSource } from './nic-element.ts'
import type { NicMode } from './nic-modes.ts'
import {
  childElements,
  firstChild,
  sameElement,
  withAttributes,
  withChild,
  withChildren,
  type XmlElement,
} from './xml/element.ts'

export interface NicSwitch {
  /** The NIC's `<interface>` as it is, from live XML. */
  readonly live: XmlElement
  /** The mode it has, if known: what that mode's file brought, and nobody changed since, goes with it. */
  readonly from?: NicMode | undefined
  readonly to: NicMode
  /** The bridge, uplink or libvirt network to attach to, as in nicElement. */
  readonly source?: string | undefined
}

/**
 * How to get a running NIC into another mode. Measured with libvirt 9.0: an update from one Linux bridge to another works
 * in place; trustGuestRxFilters is answered with success and not changed; everything else is refused ("unable to change
 * config").
 */
export type NicSwitchPlan =
  | { readonly kind: 'nothingToDo' }
  | { readonly kind: 'inPlace'; readonly element: XmlElement; readonly dropped: readonly string[] }
  | { readonly kind: 'detachAttach'; readonly element: XmlElement; readonly dropped: readonly string[] }

/** @throws VmrError CONFIG_INVALID for a missing source or a NIC without MAC address. */
export function planNicSwitch(request: NicSwitch): NicSwitchPlan {
  const { element, dropped } = switchedInterface(request)
  const before = withoutRuntimeState(request.live)
  if (sameElement(inLibvirtOrder(before), inLibvirtOrder(withoutRuntimeState(element)))) return { kind: 'nothingToDo' }
  return { kind: canUpdateInPlace(before, element) ? 'inPlace' : 'detachAttach', element, dropped }
}

/**
 * The `<interface>` element that attaches the same NIC in another mode. It keeps everything that makes it the same NIC
 * (MAC and PCI address, model, boot order) and every setting that the new mode can have, elements unknown to vmr
 * included. What belongs to the old attachment goes; `dropped` names the settings among it that a person may miss.
 */
export function switchedInterface({ live, from, to, source }: NicSwitch): {
  readonly element: XmlElement
  readonly dropped: readonly string[]
} {
  if (firstChild(live, 'mac') === undefined)
    throw new VmrError('CONFIG_INVALID', 'the interface to switch has no MAC address', {
      hint: 'Take the interface from the domain’s live XML.',
    })
  const target = withSource(to, source)
  const dropped: string[] = []
  const kept = childElements(live)
    .filter((child) => {
      const fate = fateOf(child, live, from, target)
      if (fate === 'dropped') dropped.push(child.name)
      return fate === 'kept'
    })
    .map(withoutCurrentAddress)
  const { type, trustGuestRxFilters, managed, ...otherAttributes } = live.attributes
  const base: XmlElement = {
    ...target,
    attributes: { ...target.attributes, ...otherAttributes },
    children: [],
  }
  const names = new Set(kept.map((child) => child.name))
  const brought = childElements(target).filter((child) => !names.has(child.name))
  return { element: inLibvirtOrder(withChildren(base, [...kept, ...brought])), dropped }
}

type Fate =
  | 'kept'
  /** The old attachment itself; the new one has its own. */
  | 'replaced'
  /** A setting that the new kind of attachment cannot have. */
  | 'dropped'

/** libvirt names devices itself under these prefixes and ignores such names in a definition (virNetDevGenerateName). */
const generatedTarget = /^(?:vnet|vif|macvtap|macvlan)/

function fateOf(child: XmlElement, live: XmlElement, from: NicMode | undefined, target: XmlElement): Fate {
  const { type } = target.attributes
  const fixed = from === undefined ? undefined : firstChild(from.element, child.name)
  switch (child.name) {
    case 'source':
    case 'backend':
    case 'portForward':
      return 'replaced'
    case 'virtualport':
      // The parameters (an interfaceid that libvirt made up, say) stay good for a port of the same kind.
      return child.attributes.type === firstChild(target, 'virtualport')?.attributes.type ? 'kept' : 'replaced'
    case 'alias':
      // Only an alias with this prefix is the user's (formatdomain, "ua-"); others name the old device.
      return child.attributes.name?.startsWith('ua-') ? 'kept' : 'replaced'
    case 'target':
      if (child.attributes.dev === undefined || generatedTarget.test(child.attributes.dev)) return 'replaced'
      return hasHostDevice(type) ? 'kept' : 'dropped'
    case 'script':
    case 'downscript':
      return type === 'ethernet' || type === live.attributes.type ? 'kept' : 'dropped'
    case 'vlan':
      return canTag(target) ? 'kept' : 'dropped'
    case 'port':
      return hasBridge(type) && !isSwitch(target) ? 'kept' : 'dropped'
    case 'filterref':
      // virDomainNetDefValidate: filterref is for types bridge, network and ethernet.
      return hasBridge(type) || type === 'ethernet' ? 'kept' : 'dropped'
    case 'bandwidth':
      return hasHostDevice(type) ? 'kept' : 'dropped'
    default:
      // The model that a mode's file names is what the guest was given, and the guest's NIC stays the same.
      return fixed !== undefined && child.name !== 'model' && sameElement(fixed, child) ? 'replaced' : 'kept'
  }
}

function hasHostDevice(type: string | undefined): boolean {
  return type === 'bridge' || type === 'direct' || type === 'network' || type === 'ethernet'
}

function hasBridge(type: string | undefined): boolean {
  return type === 'bridge' || type === 'network'
}

function isSwitch(target: XmlElement): boolean {
  return firstChild(target, 'virtualport')?.attributes.type === 'openvswitch'
}

function canTag(target: XmlElement): boolean {
  const { type } = target.attributes
  return isSwitch(target) || type === 'network' || type === 'hostdev'
}

function canUpdateInPlace(before: XmlElement, after: XmlElement): boolean {
  const isPlainBridge = (nic: XmlElement) =>
    nic.attributes.type === 'bridge' && firstChild(nic, 'virtualport') === undefined
  if (!isPlainBridge(before) || !isPlainBridge(after)) return false
  // All else must stay, or the update would be refused, or answered with success and not made.
  const otherwise = withBridge(after, firstChild(before, 'source')?.attributes.bridge)
  return sameElement(inLibvirtOrder(before), inLibvirtOrder(withoutRuntimeState(otherwise)))
}

function withBridge(nic: XmlElement, bridge: string | undefined): XmlElement {
  const source = firstChild(nic, 'source')
  return source === undefined ? nic : withChild(nic, withAttributes(source, { bridge }))
}

/** Newer libvirt reports in live XML what a trusted guest changed its MAC to; a definition cannot have it. */
function withoutCurrentAddress(child: XmlElement): XmlElement {
  return child.name === 'mac' ? withAttributes(child, { currentAddress: undefined }) : child
}

/** A live element without what libvirt fills in when it starts the NIC. */
function withoutRuntimeState(live: XmlElement): XmlElement {
  const children = childElements(live).flatMap((child) => {
    switch (child.name) {
      case 'alias':
        return child.attributes.name?.startsWith('ua-') ? [child] : []
      case 'target':
        return generatedTarget.test(child.attributes.dev ?? '') ? [] : [child]
      case 'source':
        return [
          live.attributes.type === 'network'
            ? withAttributes(child, { portid: undefined, bridge: undefined, dev: undefined })
            : child,
        ]
      default:
        return [withoutCurrentAddress(child)]
    }
  })
  return withChildren(live, children)
}
