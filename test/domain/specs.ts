import type { DomainDefinition } from '../../src/config/domain-definition.ts'
import { domainDefinitionSchema } from '../../src/config/domain-definition.ts'
import { loadDomainDefinition } from '../../src/config/load-domain-definition.ts'
import { parseYaml } from '../../src/config/load-yaml.ts'
import { packageRoot } from '../../src/config/package-root.ts'
import { type Accelerator, type DomainSpec, loadDomainSkeleton } from '../../src/domain/domain-xml.ts'
import { assignMacs } from '../../src/domain/mac.ts'
import { findNicMode, loadNicModes } from '../../src/domain/nic-modes.ts'
import type { XmlElement } from '../../src/domain/xml/element.ts'
import { parseXml } from '../../src/domain/xml/parse.ts'

export const shippedModes = await loadNicModes([`${packageRoot()}/templates/nics`])
export const skeleton = await loadDomainSkeleton()

export function definitionFrom(yaml: string): DomainDefinition {
  return parseYaml(yaml, domainDefinitionSchema, 'test.yaml')
}

export function xml(text: string): XmlElement {
  return parseXml(text, { name: 'test XML', code: 'INTERNAL' })
}

/** What each mode is attached to in these tests; a mode that needs no source has none. */
export function sourceFor(mode: string): string | undefined {
  if (mode === 'user' || mode === 'passt') return undefined
  if (mode === 'network') return 'default'
  return mode.startsWith('macvtap') ? 'vmr-up0' : 'vmr-br0'
}

/** A spec as the VM module makes it, with files of which none has to exist. */
export function specOf(
  definition: DomainDefinition,
  { accelerator = 'tcg', mode = 'bridge' }: { readonly accelerator?: Accelerator; readonly mode?: string } = {},
): DomainSpec {
  const nics = [
    ...definition.nics.map((nic) => ({ nic, role: 'test' as const })),
    ...(definition.management === undefined ? [] : [{ nic: definition.management, role: 'management' as const }]),
  ]
  const macs = assignMacs({ vmName: 'r1', nics: nics.map(({ nic }) => nic), addresses: [] })
  const directory = '/var/lib/vmr/vms/r1'
  return {
    skeleton,
    name: 'r1',
    uuid: '6f1c2a0e-5d3b-4f8a-9c7e-1b2d3e4f5a6b',
    accelerator,
    definition,
    definitionName: 'test',
    testbed: 'lab',
    vmrVersion: '0.1.0',
    ...(definition.image === undefined ? {} : { image: `${definition.image}@sha256-0123` }),
    kernel:
      definition.image === undefined
        ? definition.kernel && {
            kernel: definition.kernel.file,
            initrd: definition.kernel.initrd,
            cmdline: definition.kernel.cmdline,
          }
        : { kernel: `${directory}/vmlinuz`, initrd: `${directory}/initramfs`, cmdline: 'console=ttyS0 quiet' },
    disks: definition.disks.map((disk, index) => ({
      ...disk,
      ...(disk.base === undefined
        ? { file: disk.file ?? '' }
        : {
            file: `${directory}/disk${index}.qcow2`,
            format: 'qcow2' as const,
            backing: [{ file: disk.base, format: disk.format, keepOwner: true }],
          }),
    })),
    cdroms: [
      ...(definition.cdrom === undefined ? [] : [{ file: definition.cdrom, bootable: true, keepOwner: true }]),
      ...(definition.cloudInit === undefined ? [] : [{ file: `${directory}/seed.iso`, bootable: false }]),
    ],
    serialLog: definition.serialLog ? `${directory}/serial.log` : undefined,
    nvram: definition.firmware === 'bios' ? undefined : `${directory}/nvram.fd`,
    nics: nics.map(({ nic, role }, index) => {
      const name = nic.mode ?? mode
      return {
        mode: findNicMode(shippedModes, name),
        mac: macs[index] ?? '',
        role,
        source: nic.source ?? sourceFor(name),
        uplink: nic.uplink,
        options: nic,
      }
    }),
  }
}

const everything = `
os: vyos
title: Everything that a definition can say
machine: q35
vcpus: 2
cpu: { mode: custom, model: Westmere, features: { aes: require, vmx: disable } }
pinning: { vcpus: { 0: "0", 1: "0-1" }, emulator: "0" }
memory: 2 GiB
hugepages: 2 MiB
firmware: { loader: /usr/share/OVMF/OVMF_CODE_4M.fd, nvramTemplate: /usr/share/OVMF/OVMF_VARS_4M.fd }
disks:
  - { base: /images/vyos.qcow2, cache: none, serial: VYOS0001 }
  - { file: /images/data.raw, format: raw, bus: scsi, readOnly: true }
cdrom: /images/vyos.iso
cloudInit: { userData: /images/user-data }
nics:
  - { mode: macvtap-trust, uplink: enp1s0, queues: 2, rxQueueSize: 1024, txQueueSize: 256, driver: qemu, bootOrder: 9,
      offloads: { host: { csum: true, gso: false, mrgRxbuf: true }, guest: { tso4: false, ufo: false } } }
  - { mode: bridge, mac: "52:54:00:AB:CD:EF", link: down, target: r1-eth1, mtu: 1500,
      bandwidth: { inbound: { average: 12500 }, outbound: { average: 12500, peak: 25000, burst: 1024 } } }
  - { mode: ovs, vlan: { trunk: [10, 20], native: 10 } }
  - { mode: network, model: e1000e, vlan: 7 }
management: { mode: user }
watchdog: { model: i6300esb, action: reset }
xml: |
  <domain>
    <features><vmport state='off'/></features>
    <clock><timer name='hpet' present='yes'/></clock>
    <devices>
      <memballoon model='virtio'/>
      <vsock model='virtio'><cid auto='yes'/></vsock>
    </devices>
  </domain>
`

const uefi = 'os: vyos\nmemory: 1 GiB\nfirmware: uefi\ncdrom: /images/vyos.iso\nnics: [{}, {}]\n'
const kernel =
  'os: vyos\nmemory: 64 MiB\nmachine: pc\nserialLog: false\nrng: false\nhugepages: true\nkernel: { file: /k/vmlinuz, cmdline: \'a="<b>&c"\' }\nnics: [{ mode: user }]\n'

/** Golden file -> the spec whose XML it holds. */
export const goldenSpecs: Readonly<Record<string, DomainSpec>> = {
  ...Object.fromEntries(
    await Promise.all(
      [...shippedModes.modes.keys()].map(async (mode) => [
        `lab-router-${mode}`,
        specOf((await loadDomainDefinition(`${packageRoot()}/domains/lab-router.yaml`)).definition, { mode }),
      ]),
    ),
  ),
  'vyos-kvm': specOf(
    definitionFrom('os: vyos\nmemory: 4 GiB\nvcpus: 2\ndisks: [{ base: /images/vyos.qcow2 }]\nnics: [{}, {}]\n'),
    {
      accelerator: 'kvm',
    },
  ),
  everything: specOf(definitionFrom(everything)),
  uefi: specOf(definitionFrom(uefi), { accelerator: 'kvm' }),
  kernel: specOf(definitionFrom(kernel)),
}
