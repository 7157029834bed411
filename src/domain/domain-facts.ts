import { type Accelerator, interfaceElements } from './domain-xml.ts'
import { type MetadataReading, readMetadata, type VmrMetadata } from './metadata.ts'
import { sourceAttribute } from './nic-modes.ts'
import { childElements, descend, firstChild, textOf, type XmlElement } from './xml/element.ts'
import { parseXml, type XmlSource, xmlError } from './xml/parse.ts'

/** One `<interface>` of a domain. What the XML does not say is undefined. */
export interface NicFacts {
  /**
   * Place among the domain's interfaces, from 0. Not the guest's: libvirt lists a NIC that was detached and attached again
   * last, in its old PCI slot. Match NICs by MAC address.
   */
  readonly index: number
  readonly mac: string | undefined
  /** libvirt's interface type as it is defined: bridge, direct, network, user … */
  readonly type: string
  /** The bridge, uplink or libvirt network, by type. */
  readonly source: string | undefined
  /** The source mode of type direct; libvirt's own default is vepa. */
  readonly macvtapMode: 'bridge' | 'vepa' | 'private' | 'passthrough' | undefined
  readonly openVSwitch: boolean
  /** What type user goes through: passt; undefined is QEMU's own. */
  readonly backend: string | undefined
  /** trustGuestRxFilters='yes', whether or not this type heeds it. */
  readonly trustGuestRxFilters: boolean
  /** The tap or macvtap on the host: live XML only, or where a definition fixes it. */
  readonly target: string | undefined
  /** Live XML only, such as net0. */
  readonly alias: string | undefined
  readonly model: string | undefined
  /** "0000:01:00.0" for a PCI address. */
  readonly pciAddress: string | undefined
  readonly link: 'up' | 'down'
  readonly mtu: number | undefined
  readonly queues: number
  readonly element: XmlElement
}

export interface DiskFacts {
  readonly device: 'disk' | 'cdrom' | 'floppy' | 'lun'
  readonly target: string | undefined
  readonly bus: string | undefined
  /** The file of type file; undefined for other types and for an empty drive. */
  readonly file: string | undefined
  /** True for a drive with nothing in it. */
  readonly empty: boolean
  readonly format: string | undefined
  readonly readOnly: boolean
  /** The chain below, nearest first, as far as the XML names files. */
  readonly backingFiles: readonly string[]
}

export interface DomainFacts {
  readonly name: string
  readonly uuid: string | undefined
  /** Only in live XML. */
  readonly id: number | undefined
  readonly accelerator: Accelerator | undefined
  readonly machine: string | undefined
  readonly emulator: string | undefined
  readonly vcpus: number | undefined
  readonly memoryKiB: number | undefined
  readonly firmware: 'bios' | 'uefi'
  readonly nvram: string | undefined
  readonly kernel: string | undefined
  readonly initrd: string | undefined
  readonly cmdline: string | undefined
  readonly nics: readonly NicFacts[]
  readonly disks: readonly DiskFacts[]
  /** The first serial port: how it is reached, and the file that keeps its output. */
  readonly serial:
    | { readonly type: string; readonly path: string | undefined; readonly log: string | undefined }
    | undefined
  /** vmr's own notes; undefined for a domain that vmr did not make, or whose notes it cannot read. */
  readonly vmr: VmrMetadata | undefined
  readonly metadata: MetadataReading
  readonly element: XmlElement
}

/**
 * Reads domain XML, live or persistent, made by vmr or not.
 *
 * @throws VmrError LIBVIRT_FAILED when it is not a domain's XML; a domain that is merely unusual is no error.
 */
export function readDomainFacts(xml: string, of = 'domain XML from libvirt'): DomainFacts {
  const source: XmlSource = {
    name: of,
    code: 'LIBVIRT_FAILED',
    hint: 'Look at the domain with `virsh dumpxml`: what libvirt returned is not what it documents.',
  }
  const root = parseXml(xml, source)
  if (root.name !== 'domain') throw xmlError(source, root, `expected <domain>, found <${root.name}>`)
  return domainFacts(root)
}

export function domainFacts(domain: XmlElement): DomainFacts {
  const os = firstChild(domain, 'os')
  const devices = firstChild(domain, 'devices')
  const metadata = readMetadata(domain)
  const loader = descend(domain, 'os', 'loader')
  const memory = firstChild(domain, 'memory')
  return {
    name: textAt(domain, 'name') ?? '',
    uuid: textAt(domain, 'uuid'),
    id: wholeNumber(domain.attributes.id),
    accelerator: acceleratorOf(domain.attributes.type),
    machine: descend(domain, 'os', 'type')?.attributes.machine,
    emulator: devices && textAt(devices, 'emulator'),
    vcpus: wholeNumber(textAt(domain, 'vcpu')),
    memoryKiB: memory && kibibytes(textOf(memory), memory.attributes.unit),
    firmware: os?.attributes.firmware === 'efi' || loader?.attributes.type === 'pflash' ? 'uefi' : 'bios',
    nvram: os && textAt(os, 'nvram'),
    kernel: os && textAt(os, 'kernel'),
    initrd: os && textAt(os, 'initrd'),
    cmdline: os && textAt(os, 'cmdline'),
    nics: interfaceElements(domain).map(nicFacts),
    disks: devices === undefined ? [] : childElements(devices, 'disk').map(diskFacts),
    serial: serialFacts(devices),
    vmr: metadata.kind === 'valid' ? metadata.metadata : undefined,
    metadata,
    element: domain,
  }
}

export function nicFacts(nic: XmlElement, index: number): NicFacts {
  const source = firstChild(nic, 'source')
  // Live XML shows what a libvirt network hands on to (virDomainNetDefFormat, "publicActual"): bridge, direct …
  const type = source?.attributes.network === undefined ? (nic.attributes.type ?? '') : 'network'
  const attribute = sourceAttribute(type)
  const virtualPort = firstChild(nic, 'virtualport')?.attributes.type
  return {
    index,
    mac: firstChild(nic, 'mac')?.attributes.address?.toLowerCase(),
    type,
    source: attribute && source?.attributes[attribute],
    macvtapMode: type === 'direct' ? macvtapMode(source?.attributes.mode) : undefined,
    openVSwitch: virtualPort === 'openvswitch',
    backend: firstChild(nic, 'backend')?.attributes.type,
    trustGuestRxFilters: nic.attributes.trustGuestRxFilters === 'yes',
    target: firstChild(nic, 'target')?.attributes.dev,
    alias: firstChild(nic, 'alias')?.attributes.name,
    model: firstChild(nic, 'model')?.attributes.type,
    pciAddress: pciAddress(firstChild(nic, 'address')),
    link: firstChild(nic, 'link')?.attributes.state === 'down' ? 'down' : 'up',
    mtu: wholeNumber(firstChild(nic, 'mtu')?.attributes.size),
    queues: wholeNumber(firstChild(nic, 'driver')?.attributes.queues) ?? 1,
    element: nic,
  }
}

function macvtapMode(mode: string | undefined): NicFacts['macvtapMode'] {
  switch (mode) {
    case undefined:
      // libvirt: the default of virNetDevMacVLanMode is its first, vepa.
      return 'vepa'
    case 'bridge':
    case 'vepa':
    case 'private':
    case 'passthrough':
      return mode
    default:
      return undefined
  }
}

/** As in /sys/bus/pci/devices: "domain:bus:slot.function", all hexadecimal; undefined for another kind of address. */
export function pciAddress(address: XmlElement | undefined): string | undefined {
  if (address?.attributes.type !== 'pci') return undefined
  const part = (name: string, width: number) => {
    const value = Number(address.attributes[name] ?? '0')
    return Number.isInteger(value) && value >= 0 ? value.toString(16).padStart(width, '0') : undefined
  }
  const parts = [part('domain', 4), part('bus', 2), part('slot', 2), part('function', 1)]
  if (parts.includes(undefined)) return undefined
  return `${parts[0]}:${parts[1]}:${parts[2]}.${parts[3]}`
}

function diskFacts(disk: XmlElement): DiskFacts {
  const target = firstChild(disk, 'target')
  const { device } = disk.attributes
  return {
    device: device === 'cdrom' || device === 'floppy' || device === 'lun' ? device : 'disk',
    target: target?.attributes.dev,
    bus: target?.attributes.bus,
    file: firstChild(disk, 'source')?.attributes.file,
    empty: firstChild(disk, 'source') === undefined,
    format: firstChild(disk, 'driver')?.attributes.type,
    readOnly: firstChild(disk, 'readonly') !== undefined,
    backingFiles: backingFiles(disk),
  }
}

function backingFiles(disk: XmlElement): readonly string[] {
  const files: string[] = []
  for (let at = firstChild(disk, 'backingStore'); at !== undefined; at = firstChild(at, 'backingStore')) {
    const file = firstChild(at, 'source')?.attributes.file
    if (file !== undefined) files.push(file)
  }
  return files
}

function serialFacts(devices: XmlElement | undefined): DomainFacts['serial'] {
  if (devices === undefined) return undefined
  const serials = childElements(devices, 'serial')
  const serial = serials.find((each) => firstChild(each, 'target')?.attributes.port === '0') ?? serials[0]
  if (serial === undefined) return undefined
  return {
    type: serial.attributes.type ?? 'pty',
    path: firstChild(serial, 'source')?.attributes.path,
    log: firstChild(serial, 'log')?.attributes.file,
  }
}

function textAt(parent: XmlElement, name: string): string | undefined {
  const child = firstChild(parent, name)
  const text = child === undefined ? '' : textOf(child)
  return text === '' ? undefined : text
}

function wholeNumber(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined
}

function acceleratorOf(type: string | undefined): Accelerator | undefined {
  return type === 'kvm' ? 'kvm' : type === 'qemu' ? 'tcg' : undefined
}

/** libvirt's memory units (formatdomain, "Memory Allocation"); KiB is the default. */
const bytesPerUnit: Readonly<Record<string, number>> = {
  b: 1,
  bytes: 1,
  KB: 1000,
  k: 1024,
  KiB: 1024,
  MB: 1000 ** 2,
  M: 1024 ** 2,
  MiB: 1024 ** 2,
  GB: 1000 ** 3,
  G: 1024 ** 3,
  GiB: 1024 ** 3,
  TB: 1000 ** 4,
  T: 1024 ** 4,
  TiB: 1024 ** 4,
}

function kibibytes(text: string, unit = 'KiB'): number | undefined {
  const amount = wholeNumber(text)
  const bytes = bytesPerUnit[unit]
  return amount === undefined || bytes === undefined ? undefined : Math.ceil((amount * bytes) / 1024)
}
