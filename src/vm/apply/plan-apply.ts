import type { DomainFacts } from '../../domain/domain-facts.ts'
import { metadataElement, type VmrMetadata } from '../../domain/metadata.ts'
import {
  childElements,
  descend,
  firstChild,
  withChild,
  withChildren,
  type XmlElement,
} from '../../domain/xml/element.ts'
import { type DomainChange, domainChanges } from './domain-changes.ts'

export interface ApplyRequest {
  /** The domain as its definition makes it. */
  readonly wanted: DomainFacts
  readonly defined: DomainFacts
  /** Undefined for a VM that does not run. */
  readonly live: DomainFacts | undefined
}

/** When a change is felt, and what it costs. */
export type Effect =
  /** Now, and no traffic is lost. */
  | 'now'
  /** Now; the NIC is out for about a third of a second. */
  | 'now, interrupts'
  | 'at the next start'

export interface PlannedChange extends DomainChange {
  readonly effect: Effect
}

export interface ApplyPlan {
  readonly changes: readonly PlannedChange[]
  /** NICs to be attached in another way while the VM runs: mode by MAC address. */
  readonly switches: ReadonlyMap<string, string>
  /** NICs to be updated in place while the VM runs, by MAC address: their link state, their rate limits. */
  readonly updates: ReadonlySet<string>
  readonly definition: XmlElement
  readonly metadata: VmrMetadata
  readonly changesDefinition: boolean
}

/** What libvirt's update-device changes of a running NIC, measured with libvirt 9.0. */
const updatable = /^devices interface \S+ (?:link|bandwidth)(?: |$)/
/** What another way of attaching changes. */
const switchable = /^devices interface \S+ (?:type|trustGuestRxFilters|source|virtualport)(?: |$)/

/** Decides how to bring a VM to what its definition says. Pure; with nothing to do it changes nothing. */
export function planApply({ wanted, defined, live }: ApplyRequest): ApplyPlan {
  const metadata = withSetAside(wanted, defined)
  const ofDefinition = domainChanges(wanted.element, defined.element)
  const ofLive = live === undefined ? [] : domainChanges(wanted.element, live.element)
  const modeOf = (mac: string | undefined) => metadata.nics.find((nic) => nic.mac === mac)?.mode
  const running = ofLive.filter(({ mac }) => mac !== undefined && live?.nics.some((nic) => nic.mac === mac))
  const switches = new Map(
    running.flatMap(({ what, mac = '' }) => {
      const mode = modeOf(mac)
      return switchable.test(what) && mode !== undefined ? [[mac, mode] as const] : []
    }),
  )
  // A switch takes the NIC's settings along as they are, so one that is switched is updated as well.
  const updated = running.filter(({ what }) => updatable.test(what))
  const updates = new Set(updated.flatMap(({ mac }) => (mac === undefined ? [] : [mac])))
  const effectOf = ({ what }: DomainChange): Effect =>
    updated.some((each) => each.what === what) ? 'now' : 'at the next start'
  const all = new Map([...ofLive, ...ofDefinition].map((change) => [change.what, change]))
  const before = (mac: string) => defined.vmr?.nics.find((nic) => nic.mac === mac)?.mode
  const nameOf = (mac: string) => `eth${metadata.nics.find((nic) => nic.mac === mac)?.position}`
  // One change to a person, however much of the XML it takes.
  const switched = [...switches].map(([mac, mode]): PlannedChange => {
    const was = before(mac)
    return {
      what: `${nameOf(mac)} mode`,
      from: was === mode ? `${mode}, not as its file says` : was,
      to: mode,
      mac,
      effect: 'now, interrupts',
    }
  })
  const others = [...all.values()].filter(({ what, mac = '' }) => !(switches.has(mac) && switchable.test(what)))
  const changes = [
    ...switched,
    ...others.map((change) => ({ ...withUnit(change), what: inWords(change, nameOf), effect: effectOf(change) })),
  ]
  return {
    changes,
    switches,
    updates,
    definition: withChild(withPlaces(wanted.element, defined.element), elementOf(metadata)),
    metadata,
    changesDefinition: ofDefinition.length > 0,
  }
}

/** "eth0 link" for "devices interface 52:54:00:aa:bb:01 link". */
function inWords({ what, mac }: DomainChange, nameOf: (mac: string) => string): string {
  const words = what.replace(/^devices /, '')
  return mac === undefined ? words : words.replace(`interface ${mac}`, nameOf(mac))
}

/** vmr and libvirt write memory in KiB. */
function withUnit(change: DomainChange): DomainChange {
  if (change.what !== 'memory') return change
  const mebibytes = (text: string | undefined) => (text === undefined ? undefined : `${Number(text) / 1024} MiB`)
  return { ...change, from: mebibytes(change.from), to: mebibytes(change.to) }
}

const elementOf = (metadata: VmrMetadata): XmlElement => ({
  kind: 'element',
  name: 'metadata',
  attributes: {},
  children: [metadataElement(metadata)],
})

/** What switches noted stays: settings that a mode cannot have, kept for one that can, and how a bridge shall be. */
function withSetAside({ vmr, name }: DomainFacts, defined: DomainFacts): VmrMetadata {
  if (vmr === undefined) throw new RangeError(`${name} was made without vmr's notes`)
  return {
    ...vmr,
    nics: vmr.nics.map((nic) => {
      const before = defined.vmr?.nics.find(({ mac }) => mac === nic.mac)
      if (before === undefined) return nic
      const { stp, multicastSnooping } = before.mode === nic.mode ? before : {}
      return {
        ...nic,
        ...(stp === undefined ? {} : { stp }),
        ...(multicastSnooping === undefined ? {} : { multicastSnooping }),
        setAside: [...before.setAside],
      }
    }),
  }
}

/**
 * The wanted domain with its devices in the places that they have: the guest names NICs by them. On another machine type
 * libvirt chooses them anew.
 */
function withPlaces(wanted: XmlElement, present: XmlElement): XmlElement {
  const [devices, there] = [firstChild(wanted, 'devices'), firstChild(present, 'devices')]
  const machine = (domain: XmlElement) => descend(domain, 'os', 'type')?.attributes.machine ?? ''
  const family = (name: string) => (/q35/.test(name) ? 'q35' : /^pc/.test(name) ? 'pc' : name)
  if (devices === undefined || there === undefined || family(machine(wanted)) !== family(machine(present)))
    return wanted
  const addressOf = (device: XmlElement) =>
    childElements(there, device.name).find(
      (each) => identity(each) === identity(device) && identity(device) !== undefined,
    )
  const placed = devices.children.map((child) => {
    if (child.kind !== 'element') return child
    const other = addressOf(child)
    const address = other === undefined ? undefined : firstChild(other, 'address')
    return address === undefined || firstChild(child, 'address') !== undefined ? child : withChild(child, address)
  })
  const own = new Set(childElements(devices, 'controller').map(controllerKey))
  const controllers = childElements(there, 'controller').filter((each) => !own.has(controllerKey(each)))
  return withChild(wanted, withChildren(devices, [...placed, ...controllers]))
}

const controllerKey = ({ attributes }: XmlElement) => `${attributes.type} ${attributes.index ?? '0'}`

function identity(device: XmlElement): string | undefined {
  if (device.name === 'interface') return firstChild(device, 'mac')?.attributes.address?.toLowerCase()
  return device.name === 'disk' ? firstChild(device, 'target')?.attributes.dev : undefined
}
