import assert from 'node:assert/strict'
import fc from 'fast-check'
import { readDomainFacts } from '../../src/domain/domain-facts.ts'
import { movedDomain, withNewIdentity } from '../../src/domain/moved-domain.ts'
import { buildXml } from '../../src/domain/xml/build.ts'

const uuid = '5e1b2ef3-31b5-4c55-9a4e-2f6f1f8b9d01'
const mac = '52:54:00:aa:bb:01'

const domainXml = (name: string, directory: string) => `<domain type='qemu'>
  <name>${name}</name>
  <uuid>${uuid}</uuid>
  <metadata><vmr:vm xmlns:vmr='urn:vmr:domain:1' version='1' definition='${directory}/mine.yaml' os='vyos'>
    <vmr:nic position='0' mac='${mac}' mode='macvtap' role='test' uplink='enp1s0'/></vmr:vm></metadata>
  <os><type arch='x86_64'>hvm</type><nvram>${directory}/nvram.fd</nvram></os>
  <devices>
    <disk type='file' device='disk'><source file='${directory}/disk0.qcow2'/>
      <backingStore type='file'><source file='/images${directory}/base.qcow2'/></backingStore><target dev='vda'/></disk>
    <interface type='direct'><mac address='${mac}'/><source dev='enp1s0' mode='bridge'/><target dev='mine0'/></interface>
    <serial type='pty'><log file='${directory}/serial.log' append='on'/></serial>
  </devices>
</domain>`

const name = fc.stringMatching(/^[a-z][a-z0-9-]{0,12}$/)
const domainOf = (of: string, directory: string) => readDomainFacts(domainXml(of, directory)).element
const directoryOf = (of: string) => `/var/lib/vmr/vms/${of}`

describe('a domain under another name', () => {
  it('has its own files there, others’ files and its notes as they were', () => {
    const moved = readDomainFacts(
      buildXml(movedDomain(domainOf('r1', '/vms/r1'), { name: 'r2', directory: { from: '/vms/r1', to: '/vms/r2' } })),
    )
    assert.equal(moved.name, 'r2')
    assert.equal(moved.nvram, '/vms/r2/nvram.fd')
    assert.equal(moved.disks[0]?.file, '/vms/r2/disk0.qcow2')
    assert.deepEqual(moved.disks[0]?.backingFiles, ['/images/vms/r1/base.qcow2'])
    assert.equal(moved.serial?.log, '/vms/r2/serial.log')
    assert.equal(moved.vmr?.definition, '/vms/r1/mine.yaml')
  })

  it('takes nothing of a VM whose name begins alike', () => {
    const moved = movedDomain(domainOf('r1', '/vms/r11'), { name: 'r2', directory: { from: '/vms/r1', to: '/vms/r2' } })
    assert.equal(readDomainFacts(buildXml(moved)).nvram, '/vms/r11/nvram.fd')
  })

  it('is what it was once it is renamed back', () =>
    fc.assert(
      fc.property(name, name, (from, to) => {
        const [there, back] = [directoryOf(from), directoryOf(to)]
        const before = domainOf(from, there)
        const moved = movedDomain(before, { name: to, directory: { from: there, to: back } })
        const again = movedDomain(moved, { name: from, directory: { from: back, to: there } })
        assert.equal(buildXml(again), buildXml(before))
      }),
    ))
})

describe('a twin of a domain', () => {
  it('shares neither UUID nor MAC address nor a device’s name with it, in the notes either', () => {
    const macs = new Map([[mac, '52:54:00:aa:bb:02']])
    const twin = readDomainFacts(
      buildXml(withNewIdentity(domainOf('r1', '/vms/r1'), { uuid: uuid.replace('5e', '6e'), macs })),
    )
    assert.equal(twin.uuid, uuid.replace('5e', '6e'))
    assert.equal(twin.nics[0]?.mac, '52:54:00:aa:bb:02')
    assert.equal(twin.vmr?.nics[0]?.mac, '52:54:00:aa:bb:02')
    assert.equal(twin.nics[0]?.target, undefined)
    assert.equal(twin.nics[0]?.source, 'enp1s0')
  })
})
