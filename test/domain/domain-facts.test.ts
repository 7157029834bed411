import assert from 'node:assert/strict'
import { readDomainFacts } from '../../src/domain/domain-facts.ts'
import { metadataElement, readMetadata, type VmrMetadata } from '../../src/domain/metadata.ts'
import { buildXml } from '../../src/domain/xml/build.ts'
import { element } from '../../src/domain/xml/element.ts'
import { xml } from './specs.ts'

const live = `<domain type='kvm' id='7'>
  <name>foreign &amp; old</name>
  <uuid>6f1c2a0e-5d3b-4f8a-9c7e-1b2d3e4f5a6b</uuid>
  <memory unit='MiB'>2048</memory>
  <vcpu placement='static' current='1'>4</vcpu>
  <os firmware='efi'><type arch='x86_64' machine='pc-q35-7.2'>hvm</type><nvram>/var/n.fd</nvram></os>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/><source file='/i/top.qcow2' index='1'/>
      <backingStore type='file' index='3'><format type='qcow2'/><source file='/i/mid.qcow2'/>
        <backingStore type='file'><format type='raw'/><source file='/i/base.raw'/><backingStore/></backingStore>
      </backingStore>
      <target dev='vda' bus='virtio'/>
    </disk>
    <disk type='network' device='disk'><source protocol='rbd' name='p/x'/><target dev='vdb' bus='virtio'/></disk>
    <disk type='file' device='cdrom'><target dev='sda' bus='sata'/><readonly/></disk>
    <interface type='direct' trustGuestRxFilters='yes'>
      <mac address='52:54:00:AA:00:01'/><source dev='enp1s0' mode='passthrough'/><target dev='macvtap5'/>
      <model type='virtio'/><driver name='qemu' queues='4'/><link state='down'/><mtu size='1500'/><alias name='net0'/>
      <address type='pci' domain='0x0000' bus='0x01' slot='0x1f' function='0x2'/>
    </interface>
    <interface type='direct'><source dev='enp2s0'/></interface>
    <interface type='bridge'><source bridge='ovs0'/><virtualport type='openvswitch'/></interface>
    <interface type='bridge'><source network='lan' portid='77a0' bridge='br0'/></interface>
    <interface type='hostdev' managed='yes'><mac address='52:54:00:aa:00:02'/></interface>
    <serial type='pty'><source path='/dev/pts/9'/><log file='/l/2.log' append='on'/><target port='1'/></serial>
    <serial type='pty'><source path='/dev/pts/3'/><log file='/l/serial.log' append='on'/><target port='0'/></serial>
  </devices>
</domain>`

describe('Facts of a domain', () => {
  it('are read from live XML that vmr did not make', () => {
    const { element: _element, nics, ...facts } = readDomainFacts(live)
    assert.deepEqual(facts, {
      name: 'foreign & old',
      uuid: '6f1c2a0e-5d3b-4f8a-9c7e-1b2d3e4f5a6b',
      id: 7,
      accelerator: 'kvm',
      machine: 'pc-q35-7.2',
      emulator: '/usr/bin/qemu-system-x86_64',
      vcpus: 4,
      memoryKiB: 2048 * 1024,
      firmware: 'uefi',
      nvram: '/var/n.fd',
      kernel: undefined,
      initrd: undefined,
      cmdline: undefined,
      disks: [
        {
          device: 'disk',
          target: 'vda',
          bus: 'virtio',
          file: '/i/top.qcow2',
          empty: false,
          format: 'qcow2',
          readOnly: false,
          backingFiles: ['/i/mid.qcow2', '/i/base.raw'],
        },
        {
          device: 'disk',
          target: 'vdb',
          bus: 'virtio',
          file: undefined,
          empty: false,
          format: undefined,
          readOnly: false,
          backingFiles: [],
        },
        {
          device: 'cdrom',
          target: 'sda',
          bus: 'sata',
          file: undefined,
          empty: true,
          format: undefined,
          readOnly: true,
          backingFiles: [],
        },
      ],
      serial: { type: 'pty', path: '/dev/pts/3', log: '/l/serial.log' },
      vmr: undefined,
      metadata: { kind: 'absent' },
    })
    const [first, second, third, networked, fourth] = nics.map(({ element: _nic, ...nic }) => nic)
    assert.deepEqual(first, {
      index: 0,
      mac: '52:54:00:aa:00:01',
      type: 'direct',
      source: 'enp1s0',
      macvtapMode: 'passthrough',
      openVSwitch: false,
      backend: undefined,
      trustGuestRxFilters: true,
      target: 'macvtap5',
      alias: 'net0',
      model: 'virtio',
      pciAddress: '0000:01:1f.2',
      link: 'down',
      mtu: 1500,
      queues: 4,
    })
    assert.equal(second?.macvtapMode, 'vepa')
    assert.equal(second?.mac, undefined)
    assert.deepEqual([third?.openVSwitch, third?.source, third?.link], [true, 'ovs0', 'up'])
    assert.deepEqual([networked?.type, networked?.source], ['network', 'lan'])
    assert.deepEqual([fourth?.type, fourth?.source], ['hostdev', undefined])
  })

  it('are read from the least that a domain can be', () => {
    const facts = readDomainFacts("<domain type='lxc'><name>x</name></domain>")
    assert.equal(facts.accelerator, undefined)
    assert.deepEqual([facts.nics, facts.disks, facts.serial], [[], [], undefined])
  })

  it('are refused when the XML is no domain or broken, saying which VM', () => {
    assert.throws(() => readDomainFacts('<network/>', 'XML of r1'), {
      code: 'LIBVIRT_FAILED',
      message: /^XML of r1:1:1: expected <domain>/,
    })
    assert.throws(() => readDomainFacts('<domain>', 'XML of r1'), { code: 'LIBVIRT_FAILED' })
  })
})

describe('vmr’s metadata', () => {
  const metadata: VmrMetadata = {
    version: '0.1.0',
    definition: 'my "router" <1>',
    os: 'vyos',
    testbed: 'lab',
    nics: [
      {
        position: 0,
        mac: '52:54:00:00:00:01',
        mode: 'macvtap',
        role: 'test',
        uplink: 'enp1s0',
        setAside: [element('mtu', { size: 9000 })],
      },
      { position: 1, mac: '52:54:00:00:00:02', mode: 'user', role: 'management', setAside: [] },
    ],
  }
  const domainWith = (inner: string) => xml(`<domain xmlns:o="urn:other"><metadata>${inner}</metadata></domain>`)

  it('comes back as it was written', () => {
    const reading = readMetadata(domainWith(buildXml(metadataElement(metadata))))
    assert.deepEqual(reading, { kind: 'valid', metadata })
  })

  it('is found by its namespace whatever the prefix, among others', () => {
    const own =
      '<vm xmlns="urn:vmr:domain:1" version="1" definition="d" os="vyos"><nic position="0" mac="52:54:00:00:00:01" mode="bridge" role="test"/></vm>'
    const reading = readMetadata(domainWith(`<o:vm version="9"/>${own}`))
    assert.equal(reading.kind === 'valid' && reading.metadata.nics[0]?.mode, 'bridge')
    assert.deepEqual(readMetadata(domainWith('<vmr:vm xmlns:vmr="urn:somebody:else" version="1"/>')), {
      kind: 'absent',
    })
  })

  it('that was tampered with makes the domain nobody’s, and says what is wrong', () => {
    const reading = readMetadata(
      domainWith('<vmr:vm xmlns:vmr="urn:vmr:domain:1" version="1" definition="d" os="beos"/>'),
    )
    assert.equal(reading.kind, 'invalid')
    assert.match(reading.kind === 'invalid' ? reading.problem : '', /^os: /)
  })
})
