import { VmrError } from '../errors/vmr-error.ts'
import { inLibvirtOrder, withSource } from './nic-element.ts'
import { modeChildren, type NicMode } from './nic-modes.ts'
import { supportsChild } from './nic-support.ts'
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
  /** What earlier switches set aside, from the VM's metadata. */
  readonly setAside?: readonly XmlElement[]
}

export interface SwitchedInterface {
  readonly element: XmlElement
  /** Settings that the new mode cannot have, to be noted in the metadata: a later switch brings them back. */
  readonly setAside: readonly XmlElement[]
}

/**
 * How to get a running NIC into another mode. Measured with libvirt 9.0: an update from one Linux bridge to another works
 * in place; trustGuestRxFilters is answered with success and not changed; everything else is refused ("unable to change
 * config").
 */
export type NicSwitchPlan =
  | { readonly kind: 'nothingToDo' }
  | ({ readonly kind: 'inPlace' } & SwitchedInterface)
  | ({ readonly kind: 'detachAttach' } & SwitchedInterface)

/** @throws VmrError CONFIG_INVALID for a missing source or a NIC without MAC address. */
export function planNicSwitch(request: NicSwitch): NicSwitchPlan {
  const switched = switchedInterface(request)
  const before = withoutRuntimeState(request.live)
  if (sameElement(inLibvirtOrder(before), withoutRuntimeState(switched.element))) return { kind: 'nothingToDo' }
  return { kind: canUpdateInPlace(before, switched.element) ? 'inPlace' : 'detachAttach', ...switched }
}

/**
 * The `<interface>` element that attaches the same NIC in another mode. It keeps everything that makes it the same NIC
 * (MAC and PCI address, model, boot order) and every setting that the new mode can have, elements unknown to vmr
 * included; the others are set aside. What belongs to the old attachment goes.
 */
export function switchedInterface({ live, from, to, source, setAside = [] }: NicSwitch): SwitchedInterface {
  if (firstChild(live, 'mac') === undefined)
    throw new VmrError('CONFIG_INVALID', 'the interface to switch has no MAC address', {
      hint: 'Take the interface from the domain’s live XML.',
    })
  const target = withSource(to, source)
  const judged = (child: XmlElement) => ({ child, fate: fateOf(child, from, target) })
  const own = childElements(live).map(withoutCurrentAddress).map(judged)
  const present = new Set(own.flatMap(({ child, fate }) => (fate === 'replaced' ? [] : [child.name])))
  // Metadata is text that anyone may have edited: only settings that a mode's file could bring come back from it.
  const returning = setAside.filter((child) => modeChildren.has(child.name) && !present.has(child.name)).map(judged)
  const settings = [...own, ...returning]
  const withFate = (wanted: Fate) => settings.filter(({ fate }) => fate === wanted).map(({ child }) => child)
  const kept = withFate('kept')
  const keptNames = new Set(kept.map((child) => child.name))
  const brought = childElements(target).filter((child) => !keptNames.has(child.name))
  const { type, trustGuestRxFilters, managed, ...otherAttributes } = live.attributes
  const attached = withAttributes(target, { ...otherAttributes, ...target.attributes })
  return { element: inLibvirtOrder(withChildren(attached, [...kept, ...brought])), setAside: withFate('setAside') }
}

/** Whether a live NIC is attached as a definition says: the same but for what libvirt fills in when it starts a NIC. */
export function isAttachedAs(live: XmlElement, defined: XmlElement): boolean {
  return sameElement(inLibvirtOrder(withoutRuntimeState(live)), inLibvirtOrder(withoutRuntimeState(defined)))
}

type Fate =
  | 'kept'
  /** The old attachment itself; the new one has its own. */
  | 'replaced'
  /** A setting that the new kind of attachment cannot have. */
  | 'setAside'

/** libvirt names devices itself under these prefixes and ignores such names in a definition (virNetDevGenerateName). */
const generatedTarget = /^(?:vnet|vif|macvtap|macvlan)/

function fateOf(child: XmlElement, from: NicMode | undefined, target: XmlElement): Fate {
  const fixed = from === undefined ? undefined : firstChild(from.element, child.name)
  switch (child.name) {
    case 'source':
    case 'portForward':
      return 'replaced'
    case 'backend':
      // With a type it is another way of attaching (passt); without, it names the devices that any tap is made with.
      if (child.attributes.type !== undefined) return 'replaced'
      break
    case 'virtualport':
      // The parameters (an interfaceid that libvirt made up, say) stay good for a port of the same kind.
      return child.attributes.type === firstChild(target, 'virtualport')?.attributes.type ? 'kept' : 'replaced'
    case 'alias':
      // Only an alias with this prefix is the user's (formatdomain, "ua-"); others name the old device.
      return child.attributes.name?.startsWith('ua-') ? 'kept' : 'replaced'
    case 'target':
      if (child.attributes.dev === undefined || generatedTarget.test(child.attributes.dev)) return 'replaced'
      break
    default:
      // The model that a mode's file names is what the guest was given, and the guest's NIC stays the same.
      if (fixed !== undefined && child.name !== 'model' && sameElement(fixed, child)) return 'replaced'
  }
  return supportsChild(target, child.name) ? 'kept' : 'setAside'
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

/**
 * A live element without what libvirt fills in when it starts the NIC. One on a network that hands on to a bridge or uplink
 * of the host is shown with that type (virDomainNetDefFormat, "publicActual"), and its source still names the network.
 */
function withoutRuntimeState(live: XmlElement): XmlElement {
  const network = firstChild(live, 'source')?.attributes.network
  const children = childElements(live).flatMap((child) => {
    switch (child.name) {
      case 'alias':
        return child.attributes.name?.startsWith('ua-') ? [child] : []
      case 'target':
        return generatedTarget.test(child.attributes.dev ?? '') ? [] : [child]
      case 'source':
        return [
          network === undefined
            ? child
            : withAttributes(child, { portid: undefined, bridge: undefined, dev: undefined, mode: undefined }),
        ]
      default:
        return [withoutCurrentAddress(child)]
    }
  })
  return withChildren(network === undefined ? live : withAttributes(live, { type: 'network' }), children)
}
