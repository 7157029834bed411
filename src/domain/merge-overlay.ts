import { isElement, withAttributes, withChildren, type XmlElement, type XmlNode } from './xml/element.ts'
import { parseXml, type XmlSource, xmlError } from './xml/parse.ts'

/** Elements that libvirt reads at most once in their parent: an overlay's changes the one that is there. */
const singletons = new Set(
  [
    'blkiotune acpi apic clock cpu cputune devices features hyperv iothreads kvm launchSecurity maxMemory',
    'memory memoryBacking memtune metadata name numatune on_crash on_poweroff on_reboot os perf pm resource seclabel',
    'sysinfo title description uuid vcpu currentMemory emulator type loader nvram kernel initrd cmdline bios bootmenu',
    'smbios memballoon vsock iommu model topology cache maxphysaddr hugepages nosharepages locked source access',
    'allocation discard smm pae hap viridian privnet pvspinlock gic ioapic vmcoreinfo',
  ].flatMap((line) => line.split(' ')),
)

/** What tells two elements of the same name apart where several may stand: the first of these attributes both have. */
const identities: Readonly<Record<string, readonly string[]>> = {
  timer: ['name'],
  feature: ['name'],
  vcpupin: ['vcpu'],
  iothreadpin: ['iothread'],
  boot: ['dev'],
  controller: ['type', 'index'],
}

/** What only vmr decides, because the rest of it relies on them. */
const reserved = new Set(['name', 'uuid', 'metadata'])

/**
 * Merges a definition's raw XML, a `<domain>` with only what shall be added or changed, into a domain: attributes win
 * over those there; an element that can stand once is merged with the one there, deeper down in the same way; one with an
 * identity (a timer's name, a controller's type and index) with the one of the same identity; every other is added.
 *
 * @throws VmrError CONFIG_INVALID naming line and column inside the overlay.
 */
export function mergeOverlay(domain: XmlElement, overlayText: string, name: string): XmlElement {
  const source: XmlSource = { name, code: 'CONFIG_INVALID' }
  const overlay = parseXml(overlayText, source)
  if (overlay.name !== 'domain') throw xmlError(source, overlay, `the overlay is one <domain>, not <${overlay.name}>`)
  if (overlay.attributes.type !== undefined)
    throw xmlError(source, overlay, 'the domain type follows from the accelerator, an overlay cannot set it')
  for (const child of overlay.children) {
    if (child.kind === 'element' && reserved.has(child.name))
      throw xmlError(source, child, `<${child.name}> is vmr's own, an overlay cannot set it`)
    if (child.kind === 'element' && child.name === 'devices') {
      const nic = child.children.find((node): node is XmlElement => isElement(node, 'interface'))
      if (nic !== undefined)
        throw xmlError(source, nic, 'NICs are declared under nics, where vmr can switch them, not in an overlay')
    }
  }
  return merge(domain, overlay)
}

function merge(base: XmlElement, overlay: XmlElement): XmlElement {
  const children: XmlNode[] = [...base.children]
  for (const node of overlay.children) {
    if (node.kind === 'comment') continue
    if (node.kind !== 'element') continue
    const index = children.findIndex((own) => isElement(own, node.name) && isSame(own, node))
    const own = children[index]
    if (own?.kind === 'element') children[index] = merge(own, node)
    else children.push(node)
  }
  const text = overlay.children.filter((node) => node.kind === 'text' || node.kind === 'cdata')
  return withChildren(
    withAttributes(base, { ...base.attributes, ...overlay.attributes }),
    text.length === 0 ? children : text,
  )
}

function isSame(own: XmlElement, node: XmlElement): boolean {
  const keys = identities[node.name]
  if (keys === undefined) return singletons.has(node.name)
  return keys.every((key) => own.attributes[key] === node.attributes[key])
}
