import assert from 'node:assert/strict'
import fc from 'fast-check'
import { domainFacts, readDomainFacts } from '../../../src/domain/domain-facts.ts'
import { loadNicModes, type NicModes } from '../../../src/domain/nic-modes.ts'
import { isAttachedAs } from '../../../src/domain/nic-switch.ts'
import { buildXml } from '../../../src/domain/xml/build.ts'
import { childElements, firstChild } from '../../../src/domain/xml/element.ts'
import { VmrError } from '../../../src/errors/vmr-error.ts'
import { loadTestbed, type Testbed } from '../../../src/testbed/testbed.ts'
import { planSwitch, type SwitchRequest } from '../../../src/vm/switch/plan-switch.ts'
import { uplinkUsesOf } from '../../../src/vm/uplink-uses.ts'

const macs = ['52:54:00:00:00:01', '52:54:00:00:00:02'] as const
const nicXml = (index: number, extra = '') =>
  `<interface type='bridge'><mac address='${macs[index]}'/><source bridge='vmr-br${index + 1}'/><model type='virtio'/>${extra}
   <address type='pci' domain='0x0000' bus='0x0${index + 1}' slot='0x00' function='0x0'/></interface>`
const domainXml = (nics: readonly string[]) => `<domain type='qemu'><name>r1</name>
  <uuid>7f5b0b5e-4f0c-4c53-8d2a-0a5f43c0a001</uuid>
  <metadata><other:note xmlns:other='urn:other'>mine</other:note>
    <vmr:vm xmlns:vmr='urn:vmr:domain:1' version='1' definition='lab-router' os='lab-router' testbed='lab'>
    ${macs.map((mac, index) => `<vmr:nic position='${index}' mac='${mac}' mode='bridge' role='test' uplink='vmr-up${index + 1}'/>`).join('')}
  </vmr:vm></metadata>
  <devices><emulator>/usr/bin/qemu-system-x86_64</emulator>${nics.join('')}<serial type='pty'/></devices></domain>`
const live = domainXml([0, 1].map((index) => nicXml(index, `<target dev='vnet${index}'/><alias name='net${index}'/>`)))

describe('the plan of a switch', () => {
  let modes: NicModes
  let testbed: Testbed
  before(async () => {
    modes = await loadNicModes()
    testbed = await loadTestbed('lab')
  })

  const request = (mode: string, change: Partial<SwitchRequest> = {}): SwitchRequest => {
    const defined = readDomainFacts(domainXml([nicXml(0), nicXml(1)]))
    const [to, metadata] = [modes.modes.get(mode), defined.vmr]
    assert.ok(to !== undefined && metadata !== undefined)
    return { defined, live: readDomainFacts(live), metadata, modes, to, links: testbed.links, ...change }
  }

  it('attaches each NIC to its own uplink, and says what that needs', () => {
    const { nics } = planSwitch(request('macvtap-passthrough-trust'))
    assert.deepEqual(
      nics.map(({ name, from, to, uplink, device, alias, sameLink }) => ({
        name,
        from,
        to,
        uplink,
        device,
        alias,
        sameLink,
      })),
      [0, 1].map((index) => ({
        name: `eth${index}`,
        from: 'bridge',
        to: 'macvtap-passthrough-trust',
        uplink: { name: `vmr-up${index + 1}`, use: { kind: 'bare', exclusive: true } },
        device: `vnet${index}`,
        alias: `net${index}`,
        sameLink: true,
      })),
    )
    assert.deepEqual(
      nics.map(({ plan }) => plan?.kind),
      ['detachAttach', 'detachAttach'],
    )
  })

  it('knows that a NIC comes to another link, where somebody else may have its addresses', () => {
    assert.deepEqual(
      planSwitch(request('user')).nics.map(({ sameLink }) => sameLink),
      [false, false],
    )
  })

  it('changes the definition in the NICs that are meant, and notes their modes', () => {
    const plan = planSwitch(request('macvtap', { only: ['eth1'] }))
    const after = domainFacts(plan.definition)
    assert.deepEqual(
      after.nics.map(({ type, pciAddress }) => [type, pciAddress]),
      [
        ['bridge', '0000:01:00.0'],
        ['direct', '0000:02:00.0'],
      ],
    )
    assert.deepEqual(
      after.vmr?.nics.map(({ mode }) => mode),
      ['bridge', 'macvtap'],
    )
    const metadata = firstChild(plan.definition, 'metadata')
    assert.ok(metadata !== undefined)
    assert.deepEqual(
      childElements(metadata).map(({ name }) => name),
      ['other:note', 'vmr:vm'],
      'what others noted stays',
    )
  })

  it('only changes the definition of a VM that does not run', () => {
    const plan = planSwitch(request('macvtap', { live: undefined }))
    assert.equal(plan.running, false)
    assert.equal(plan.changesDefinition, true)
    assert.deepEqual(
      plan.nics.map(({ plan: how }) => how),
      [undefined, undefined],
    )
  })

  it('has nothing to do in the mode that the VM is in, but for the bridge that it wants', () => {
    assert.equal(planSwitch(request('bridge')).changesDefinition, false)
    const plan = planSwitch(request('bridge', { bridge: { multicastSnooping: true } }))
    assert.equal(plan.changesDefinition, true)
    assert.deepEqual(
      plan.nics.map(({ plan: how, uplink }) => [how?.kind, uplink?.use]),
      [1, 2].map((number) => ['nothingToDo', { kind: 'bridge', bridge: `vmr-br${number}`, multicastSnooping: true }]),
    )
  })

  it('notes how the bridge shall be, for the next start, until a switch without it', () => {
    const before = request('bridge', { bridge: { stp: true, multicastSnooping: true } })
    const wanted = planSwitch(before)
    const defined = domainFacts(wanted.definition)
    const uses = uplinkUsesOf(defined, wanted.metadata).map(({ use }) => use)
    assert.deepEqual(uses[0], { kind: 'bridge', bridge: 'vmr-br1', stp: true, multicastSnooping: true })
    const again = planSwitch({ ...request('bridge'), defined, metadata: wanted.metadata })
    assert.deepEqual(uplinkUsesOf(domainFacts(again.definition), again.metadata)[0]?.use, {
      kind: 'bridge',
      bridge: 'vmr-br1',
    })
  })

  it('goes in place from one bridge to another, which is its owner’s', () => {
    const { nics } = planSwitch(request('bridge', { source: 'br7', only: ['eth0'] }))
    assert.deepEqual([nics[0]?.plan?.kind, nics[0]?.uplink], ['inPlace', undefined])
  })

  const refuses = (change: SwitchRequest, code: string, pattern: RegExp) =>
    assert.throws(
      () => planSwitch(change),
      (error: unknown) => {
        assert.ok(error instanceof VmrError && error.code === code, String(error))
        assert.match(`${error.message} | ${error.hint}`, pattern)
        return true
      },
    )

  it('names the NICs there are when one is asked for that is not', () => {
    refuses(request('macvtap', { only: ['eth2'] }), 'USAGE', /no NIC "eth2".*eth0, eth1/)
  })

  it('does not guess what to attach to without a testbed', () => {
    refuses(request('bridge', { links: [] }), 'CONFIG_INVALID', /what to attach eth0 .*--source/)
  })

  it('says how a running VM came to lack a NIC', () => {
    const short = readDomainFacts(domainXml([nicXml(0)]))
    refuses(request('macvtap', { live: short }), 'CONFIG_INVALID', /running r1 has no eth1.*vmr cleanup/)
    refuses(request('macvtap', { defined: short }), 'CONFIG_INVALID', /r1 is defined without eth1/)
  })

  it('comes back to the first definition after any walk through the modes', () => {
    const names = [...modes.modes.keys()].filter((name) => name !== 'passt')
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...names), { maxLength: 6 }), (walk) => {
        let facts = readDomainFacts(domainXml([nicXml(0, "<mtu size='1400'/>"), nicXml(1)]))
        const first = facts
        for (const mode of [...walk, 'bridge']) {
          const to = modes.modes.get(mode)
          assert.ok(to !== undefined && facts.vmr !== undefined)
          const source = mode === 'ovs' ? 'ovs0' : undefined
          const next = planSwitch({
            ...{ defined: facts, live: undefined, metadata: facts.vmr, modes, to, source, links: testbed.links },
          })
          facts = readDomainFacts(buildXml(next.definition))
          assert.deepEqual(
            facts.vmr?.nics.map((nic) => nic.mode),
            [mode, mode],
          )
        }
        for (const [index, nic] of facts.nics.entries()) {
          const before = first.nics[index]
          assert.ok(before !== undefined && isAttachedAs(nic.element, before.element), buildXml(nic.element))
        }
      }),
      { numRuns: 60 },
    )
  })
})
