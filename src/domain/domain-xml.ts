import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { DomainDefinition } from '../config/domain-definition.ts'
import { packageRoot } from '../config/package-root.ts'
import { checkVmName } from '../config/vm-name.ts'
import { VmrError } from '../errors/vmr-error.ts'
import { mergeOverlay } from './merge-overlay.ts'
import { metadataElement } from './metadata.ts'
import { type NicAttachment, nicElement } from './nic-element.ts'
import { buildXml } from './xml/build.ts'
import {
  append,
  childElements,
  element,
  firstChild,
  withAttributes,
  withChild,
  withChildren,
  withoutChildren,
  type XmlChild,
  type XmlElement,
} from './xml/element.ts'
import { parseXml, xmlError } from './xml/parse.ts'

/** KVM runs guest code on the CPU, TCG translates it. */
export type Accelerator = 'kvm' | 'tcg'

export interface BackingFile {
  readonly file: string
  readonly format: 'qcow2' | 'raw'
  /** As of {@link ResolvedDisk}. */
  readonly keepOwner?: boolean
}

/** A file with a disk's content, as it lies on the host. */
export interface ResolvedDisk {
  readonly file: string
  readonly format: 'qcow2' | 'raw'
  /** What an overlay was made on, nearest first, to the end of the chain; libvirt finds it out by itself without. */
  readonly backing?: readonly BackingFile[] | undefined
  readonly bus: DomainDefinition['disks'][number]['bus']
  readonly cache?: DomainDefinition['disks'][number]['cache']
  readonly serial?: string | undefined
  readonly readOnly?: boolean
  /**
   * QEMU may read the file as it is. libvirt otherwise gives every file to QEMU's user, and does not give one that is
   * only read back (virSecurityDACRestoreImageLabelInt in src/security/security_dac.c).
   */
  readonly keepOwner?: boolean
  readonly bootOrder?: number | undefined
}

export interface ResolvedCdrom {
  readonly file: string
  /** As of {@link ResolvedDisk}. */
  readonly keepOwner?: boolean
  /** Boot from it when no disk boots: an installer, not a cloud-init seed. */
  readonly bootable: boolean
}

export interface ResolvedNic extends NicAttachment {
  readonly role: 'test' | 'management'
  /** The host NIC that it shall reach; noted in the metadata. */
  readonly uplink?: string | undefined
}

export interface DirectKernel {
  readonly kernel: string
  readonly initrd?: string | undefined
  readonly cmdline?: string | undefined
}

/** Everything that a domain's XML is made of, all names and files resolved. Paths are absolute. */
export interface DomainSpec {
  /** From {@link loadDomainSkeleton}. */
  readonly skeleton: XmlElement
  readonly name: string
  readonly uuid: string
  readonly accelerator: Accelerator
  readonly definition: DomainDefinition
  /** What the metadata calls the definition: its name or file. */
  readonly definitionName: string
  readonly testbed?: string | undefined
  /** What the metadata calls what booted. */
  readonly image?: string | undefined
  readonly vmrVersion: string
  readonly kernel?: DirectKernel | undefined
  readonly disks?: readonly ResolvedDisk[]
  /** The definition's cdrom, a cloud-init seed. */
  readonly cdroms?: readonly ResolvedCdrom[]
  /** In guest order, the management NIC last. */
  readonly nics: readonly ResolvedNic[]
  /** File that virtlogd appends everything to which the guest prints on its console. */
  readonly serialLog?: string | undefined
  /** File for the UEFI variables; libvirt chooses one without it. */
  readonly nvram?: string | undefined
}

/**
 * Reads the skeleton that every domain starts from.
 *
 * @throws VmrError TEMPLATE_INVALID naming file and line.
 */
export async function loadDomainSkeleton(file = join(packageRoot(), 'templates', 'domain.xml')): Promise<XmlElement> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    throw new VmrError('TEMPLATE_INVALID', `${file}: cannot be read`, {
      hint: 'Install vmr again: its templates are missing.',
      cause: error,
    })
  }
  const source = { name: file, code: 'TEMPLATE_INVALID' } as const
  const root = parseXml(text, source)
  if (root.name !== 'domain') throw xmlError(source, root, `a skeleton is one <domain> element, not <${root.name}>`)
  const os = firstChild(root, 'os')
  if (os === undefined || firstChild(os, 'type') === undefined)
    throw xmlError(source, os ?? root, 'the skeleton has no <os> with a <type>')
  if (firstChild(root, 'devices') === undefined) throw xmlError(source, root, 'the skeleton has no <devices>')
  return withoutComments(root)
}

function withoutComments(from: XmlElement): XmlElement {
  const kept = from.children.filter((node) => node.kind !== 'comment')
  return withChildren(
    from,
    kept.map((node) => (node.kind === 'element' ? withoutComments(node) : node)),
  )
}

/**
 * Makes a domain's XML. The same spec gives the same text.
 *
 * @throws VmrError NAME_INVALID for a name that cannot be a VM's; CONFIG_INVALID for what XML, a mode or the
 * accelerator cannot do, and for a raw-XML overlay that cannot be merged.
 */
export function buildDomainXml(spec: DomainSpec): string {
  return buildXml(domainElement(spec))
}

/** {@link buildDomainXml} before it is written. */
export function domainElement(spec: DomainSpec): XmlElement {
  const { definition, skeleton } = spec
  const parts: readonly XmlElement[] = [
    element('name', {}, [checkVmName(spec.name)]),
    element('uuid', {}, [spec.uuid.toLowerCase()]),
    element('metadata', {}, [metadataOf(spec)]),
    element('memory', { unit: 'KiB' }, [String(definition.memory)]),
    element('vcpu', { placement: 'static' }, [String(definition.vcpus)]),
    osElement(spec),
  ]
  let domain = withAttributes(skeleton, { type: spec.accelerator === 'kvm' ? 'kvm' : 'qemu' })
  for (const part of parts) domain = withChild(domain, part)
  if (definition.title !== undefined) domain = insertAfter(domain, 'uuid', element('title', {}, [definition.title]))
  if (definition.hugepages !== false) domain = insertAfter(domain, 'memory', hugepagesElement(definition.hugepages))
  const pinning = pinningElement(definition)
  if (pinning !== undefined) domain = insertAfter(domain, 'vcpu', pinning)
  if (secureBoot(definition)) {
    const features = firstChild(domain, 'features') ?? element('features')
    domain = withChild(domain, withChild(features, element('smm', { state: 'on' })))
  }
  const cpu = cpuElement(spec)
  if (cpu !== undefined) domain = insertAfter(domain, 'features', cpu)
  domain = withChild(domain, devicesElement(spec))
  return definition.xml === undefined
    ? domain
    : mergeOverlay(domain, definition.xml, `${spec.definitionName}, field xml`)
}

function insertAfter(parent: XmlElement, name: string, child: XmlElement): XmlElement {
  const without = withoutChildren(parent, child.name)
  const index = without.children.findIndex((node) => node.kind === 'element' && node.name === name)
  return index === -1
    ? append(without, child)
    : { ...without, children: without.children.toSpliced(index + 1, 0, child) }
}

function metadataOf(spec: DomainSpec): XmlElement {
  return metadataElement({
    version: spec.vmrVersion,
    definition: spec.definitionName,
    os: spec.definition.os,
    ...(spec.testbed === undefined ? {} : { testbed: spec.testbed }),
    ...(spec.image === undefined ? {} : { image: spec.image }),
    nics: spec.nics.map((nic, position) => ({
      position,
      mac: nic.mac.toLowerCase(),
      mode: nic.mode.name,
      role: nic.role,
      setAside: [],
      ...(nic.uplink === undefined ? {} : { uplink: nic.uplink }),
    })),
  })
}

function secureBoot(definition: DomainDefinition): boolean {
  return typeof definition.firmware === 'object' && definition.firmware.secureBoot
}

function osElement({ skeleton, definition, kernel, nvram, cdroms = [] }: DomainSpec): XmlElement {
  const own = firstChild(skeleton, 'os') ?? element('os')
  const type = withAttributes(firstChild(own, 'type') ?? element('type', { arch: 'x86_64' }, ['hvm']), {
    machine: definition.machine,
  })
  const { firmware } = definition
  let os = withChild(own, type)
  if (firmware === 'uefi') {
    // Left to itself libvirt prefers images with Secure Boot and Microsoft's keys, which refuse what nobody signed.
    const without = ['enrolled-keys', 'secure-boot'].map((name) => element('feature', { enabled: 'no', name }))
    os = append(withAttributes(os, { firmware: 'efi' }), element('firmware', {}, without))
    if (nvram !== undefined) os = append(os, element('nvram', {}, [nvram]))
  } else if (typeof firmware === 'object') {
    os = append(
      os,
      element('loader', { readonly: 'yes', secure: firmware.secureBoot ? 'yes' : 'no', type: 'pflash' }, [
        firmware.loader,
      ]),
      element('nvram', { template: firmware.nvramTemplate }, nvram === undefined ? [] : [nvram]),
    )
  }
  // There is no screen: without this the menu of an installer's boot loader, and its wait for a key, is seen by nobody.
  if (kernel === undefined && firmware === 'bios' && cdroms.some(({ bootable }) => bootable))
    return append(os, element('bios', { useserial: 'yes' }))
  if (kernel === undefined) return os
  return append(
    os,
    element('kernel', {}, [kernel.kernel]),
    kernel.initrd === undefined ? undefined : element('initrd', {}, [kernel.initrd]),
    kernel.cmdline === undefined ? undefined : element('cmdline', {}, [kernel.cmdline]),
  )
}

function hugepagesElement(size: true | '2 MiB' | '1 GiB'): XmlElement {
  const page = size === true ? [] : [element('page', { size: size === '1 GiB' ? 1 : 2, unit: size.slice(2) })]
  return element('memoryBacking', {}, [element('hugepages', {}, page)])
}

function pinningElement({ pinning }: DomainDefinition): XmlElement | undefined {
  if (pinning === undefined) return undefined
  const vcpus = Object.entries(pinning.vcpus).sort(([left], [right]) => Number(left) - Number(right))
  if (vcpus.length === 0 && pinning.emulator === undefined) return undefined
  return element('cputune', {}, [
    ...vcpus.map(([vcpu, cpuset]) => element('vcpupin', { vcpu: Number(vcpu), cpuset })),
    pinning.emulator === undefined ? undefined : element('emulatorpin', { cpuset: pinning.emulator }),
  ])
}

/**
 * Under TCG no `<cpu>` unless asked for: measured with QEMU 7.2, `maximum` and Nehalem forward a third less than QEMU's
 * default CPU.
 */
function cpuElement({ definition, accelerator }: DomainSpec): XmlElement | undefined {
  const { mode, model, features } = definition.cpu
  const policies = Object.entries(features).map(([name, policy]) => element('feature', { policy, name }))
  switch (mode) {
    case 'auto':
      return accelerator === 'kvm' ? element('cpu', { mode: 'host-passthrough', check: 'none' }) : undefined
    case 'host-passthrough':
    case 'host-model':
      if (accelerator === 'tcg')
        throw new VmrError('CONFIG_INVALID', `cpu.mode ${mode} needs KVM, and this VM runs under TCG`, {
          hint: 'Use cpu.mode auto, maximum or custom.',
        })
      return element('cpu', { mode, check: mode === 'host-model' ? 'partial' : 'none' }, policies)
    case 'maximum':
      return element('cpu', { mode, check: 'none' }, policies)
    case 'custom':
      return element('cpu', { mode, match: 'exact', check: 'none' }, [
        element('model', { fallback: 'forbid' }, [model]),
        ...policies,
      ])
  }
}

function devicesElement(spec: DomainSpec): XmlElement {
  const { definition } = spec
  const own = firstChild(spec.skeleton, 'devices') ?? element('devices')
  const devices = spec.serialLog === undefined ? own : withSerialLog(own, spec.serialLog)
  const usesScsi = spec.cdroms?.length || spec.disks?.some(({ bus }) => bus === 'scsi')
  return append(
    devices,
    // libvirt's own choice is an LSI adapter, for which neither VyOS nor Debian's cloud kernel has a driver; the latter
    // has none for AHCI either, where a SATA drive would be.
    usesScsi ? element('controller', { type: 'scsi', index: 0, model: 'virtio-scsi' }) : undefined,
    ...diskElements(spec),
    ...spec.nics.map(nicElement),
    definition.rng
      ? element('rng', { model: 'virtio' }, [element('backend', { model: 'random' }, ['/dev/urandom'])])
      : undefined,
    definition.watchdog === undefined ? undefined : element('watchdog', definition.watchdog),
  )
}

function withSerialLog(devices: XmlElement, file: string): XmlElement {
  const log = element('log', { file, append: 'on' })
  return {
    ...devices,
    // libvirt keeps one log for the serial port and the console that stands for it.
    children: devices.children.map((node) =>
      node.kind === 'element' && (node.name === 'serial' || node.name === 'console') ? withChild(node, log) : node,
    ),
  }
}

const targetPrefixes = { virtio: 'vd', scsi: 'sd', sata: 'sd', ide: 'hd', usb: 'sd' } as const

function diskElements(spec: DomainSpec): readonly XmlChild[] {
  const { disks = [], cdroms = [] } = spec
  const used = new Map<string, number>()
  const nextTarget = (prefix: string) => {
    const index = used.get(prefix) ?? 0
    used.set(prefix, index + 1)
    return `${prefix}${String.fromCharCode('a'.charCodeAt(0) + index)}`
  }
  const nextBootOrder = bootOrders(spec)
  return [
    ...disks.map((disk) =>
      diskElement(disk, nextTarget(targetPrefixes[disk.bus]), disk.bootOrder ?? nextBootOrder?.()),
    ),
    ...cdroms.map(({ file, bootable, keepOwner = false }) =>
      element('disk', { type: 'file', device: 'cdrom' }, [
        element('driver', { name: 'qemu', type: 'raw' }),
        sourceElement({ file, keepOwner }),
        element('target', { dev: nextTarget(targetPrefixes.scsi), bus: 'scsi' }),
        element('readonly'),
        bootElement(bootable ? nextBootOrder?.() : undefined),
      ]),
    ),
  ]
}

/**
 * Boot orders for disks and installer, after those that the definition fixes. Without any, libvirt has QEMU boot from
 * the first disk and nothing else (`-boot strict=on`), so an installer behind an empty disk would never start.
 */
function bootOrders({ definition, kernel, disks = [] }: DomainSpec): (() => number) | undefined {
  if (kernel !== undefined) return undefined
  const devices = [
    ...disks,
    ...definition.nics,
    ...(definition.management === undefined ? [] : [definition.management]),
  ]
  let last = Math.max(0, ...devices.map(({ bootOrder = 0 }) => bootOrder))
  return () => {
    last += 1
    return last
  }
}

function bootElement(order: number | undefined): XmlElement | undefined {
  return order === undefined ? undefined : element('boot', { order })
}

function diskElement(disk: ResolvedDisk, target: string, bootOrder: number | undefined): XmlElement {
  const { backing } = disk
  return element('disk', { type: 'file', device: 'disk' }, [
    element('driver', { name: 'qemu', type: disk.format, cache: disk.cache }),
    sourceElement(disk),
    backing === undefined ? undefined : backingStore(backing),
    element('target', { dev: target, bus: disk.bus }),
    disk.readOnly ? element('readonly') : undefined,
    disk.serial === undefined ? undefined : element('serial', {}, [disk.serial]),
    bootElement(bootOrder),
  ])
}

function sourceElement({ file, keepOwner }: Pick<BackingFile, 'file' | 'keepOwner'>): XmlElement {
  return element('source', { file }, [keepOwner ? element('seclabel', { model: 'dac', relabel: 'no' }) : undefined])
}

/** The whole chain, closed by an empty element, so that libvirt believes no file about what stands below it. */
function backingStore([first, ...rest]: readonly BackingFile[]): XmlElement {
  if (first === undefined) return element('backingStore')
  return element('backingStore', { type: 'file' }, [
    element('format', { type: first.format }),
    sourceElement(first),
    backingStore(rest),
  ])
}

/** The NICs' elements of a domain or its skeleton, in document order, which is the guest's. */
export function interfaceElements(domain: XmlElement): readonly XmlElement[] {
  const devices = firstChild(domain, 'devices')
  return devices === undefined ? [] : childElements(devices, 'interface')
}
