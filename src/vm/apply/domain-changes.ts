import { buildXml } from '../../domain/xml/build.ts'
import { childElements, firstChild, textOf, type XmlElement } from '../../domain/xml/element.ts'

/** One thing that is otherwise in a domain than it is wanted. */
export interface DomainChange {
  /** "memory", "interface 52:54:00:aa:bb:01 source mode". */
  readonly what: string
  /** Undefined for what is not there yet. */
  readonly from: string | undefined
  /** Undefined for what is to go. */
  readonly to: string | undefined
  /** The MAC address of the interface that it is about. */
  readonly mac?: string
}

/**
 * What differs between a domain as vmr would write it and as libvirt has it. libvirt adds much of its own (addresses,
 * controllers, defaults): only what is wanted counts, and of the rest what a definition can ask for and no longer does.
 */
export function domainChanges(wanted: XmlElement, present: XmlElement): readonly DomainChange[] {
  return childChanges(wanted, present, [], undefined)
}

/** Notes, not settings; and the identity, which is no change of a VM but another VM. */
const left = new Set(['name', 'uuid', 'metadata'])

/** libvirt adds none of these, so one that is there and not wanted was wanted once. */
const removable: Readonly<Record<string, readonly string[]>> = {
  domain: ['title', 'memoryBacking', 'cputune', 'cpu'],
  os: ['kernel', 'initrd', 'cmdline', 'loader', 'nvram'],
  devices: ['disk', 'interface', 'rng', 'watchdog', 'hostdev'],
  interface: ['bandwidth', 'link', 'mtu', 'vlan', 'driver', 'tune', 'boot', 'virtualport', 'coalesce'],
  disk: ['readonly', 'boot'],
}

function childChanges(
  wanted: XmlElement,
  present: XmlElement,
  path: readonly string[],
  mac: string | undefined,
): readonly DomainChange[] {
  const matched = new Set<XmlElement>()
  const changes: DomainChange[] = []
  const about = (name: string) => [...path, name].join(' ')
  const of = mac === undefined ? {} : { mac }
  for (const child of childElements(wanted)) {
    if (path.length === 0 && left.has(child.name)) continue
    const other = childElements(present, child.name).find((each) => !matched.has(each) && isSame(child, each))
    const name = nameOf(child)
    const own = child.name === 'interface' ? key(child) : mac
    if (other === undefined) {
      changes.push({ what: about(name), from: undefined, to: shown(child), ...(own === undefined ? {} : { mac: own }) })
      continue
    }
    matched.add(other)
    changes.push(...elementChanges(child, other, [...path, name], own))
  }
  for (const child of childElements(present)) {
    if (matched.has(child) || !(removable[wanted.name] ?? []).includes(child.name) || isDefault(child)) continue
    const own = child.name === 'interface' ? key(child) : undefined
    changes.push({
      what: about(nameOf(child)),
      from: shown(child),
      to: undefined,
      ...of,
      ...(own === undefined ? {} : { mac: own }),
    })
  }
  return changes
}

function elementChanges(
  wanted: XmlElement,
  present: XmlElement,
  path: readonly string[],
  mac: string | undefined,
): readonly DomainChange[] {
  const of = mac === undefined ? {} : { mac }
  // libvirt writes what it was not asked for into attributes too, but never this one.
  const names = new Set([
    ...Object.keys(wanted.attributes),
    ...(present.attributes.trustGuestRxFilters === undefined ? [] : ['trustGuestRxFilters']),
  ])
  const attributes = [...names].flatMap((name): readonly DomainChange[] => {
    const [to, from] = [wanted.attributes[name], present.attributes[name]]
    if (
      to === from ||
      (name === 'machine' && isMachine(to, from)) ||
      (name === 'trustGuestRxFilters' && isNo(to) && isNo(from))
    )
      return []
    return [{ what: [...path, name].join(' '), from, to, ...of }]
  })
  const [to, from] = [textOf(wanted), textOf(present)]
  const text = to === '' || to === from ? [] : [{ what: path.join(' '), from, to, ...of }]
  return [...attributes, ...text, ...childChanges(wanted, present, path, mac)]
}

/** What makes two elements of one name the same thing; undefined where only its place does. */
function key(element: XmlElement): string | undefined {
  switch (element.name) {
    case 'interface':
      return firstChild(element, 'mac')?.attributes.address?.toLowerCase()
    case 'disk':
      return firstChild(element, 'target')?.attributes.dev
    case 'controller':
      return `${element.attributes.type} ${element.attributes.index ?? '0'}`
    case 'timer':
    case 'feature':
    case 'parameter':
      return element.attributes.name
    case 'vcpupin':
      return element.attributes.vcpu
    default:
      return undefined
  }
}

function isSame(wanted: XmlElement, present: XmlElement): boolean {
  return key(wanted) === key(present)
}

function nameOf(element: XmlElement): string {
  const own = element.name === 'interface' || element.name === 'disk' ? key(element) : undefined
  return own === undefined ? element.name : `${element.name} ${own}`
}

function shown(element: XmlElement): string {
  return buildXml(element)
    .trim()
    .split('\n')
    .map((line) => line.trim())
    .join('')
}

/** An alias of QEMU's, as q35, stands for the newest of its versions, which libvirt writes out. */
function isMachine(wanted: string | undefined, present: string | undefined): boolean {
  if (wanted === 'q35') return present?.startsWith('pc-q35-') === true
  return wanted === 'pc' && present?.startsWith('pc-i440fx-') === true
}

const isNo = (value: string | undefined) => value === undefined || value === 'no'

/** `<link state='up'/>` says what no element says; libvirt chooses a CPU where none was asked for. */
function isDefault({ name, attributes }: XmlElement): boolean {
  return (name === 'link' && attributes.state === 'up') || (name === 'cpu' && attributes.mode === 'custom')
}
