import assert from 'node:assert/strict'
import { readDomainFacts } from '../../src/domain/domain-facts.ts'
import { buildXml } from '../../src/domain/xml/build.ts'
import { isVmrError } from '../../src/errors/vmr-error.ts'
import { planAdoption } from '../../src/vm/adopt.ts'
import { shippedModes } from '../domain/specs.ts'

const mac = '52:54:00:AA:BB:01'

const adoptionOf = (interfaceXml: string) =>
  planAdoption({
    facts: readDomainFacts(
      `<domain type='qemu'><name>theirs</name><os><type>hvm</type></os><devices>${interfaceXml}</devices></domain>`,
    ),
    modes: shippedModes,
    testbed: undefined,
    os: 'vyos',
    vmrVersion: '1.0.0',
  })

const refusal = (interfaceXml: string): string => {
  try {
    adoptionOf(interfaceXml)
  } catch (error) {
    assert.ok(isVmrError(error) && error.code === 'CONFIG_INVALID', String(error))
    assert.ok(error.hint)
    return error.message
  }
  return assert.fail('it was adopted')
}

describe('a VM that somebody else made', () => {
  for (const [name, mode] of shippedModes.modes)
    it(`is adopted with a NIC of mode ${name} as that`, () => {
      const xml = buildXml(mode.element).replace(/(<interface[^>]*>)/, `$1<mac address='${mac}'/>`)
      const [nic] = adoptionOf(xml).nics
      assert.equal(nic?.mode, name)
      assert.equal(nic.mac, mac.toLowerCase())
      assert.equal(nic.role, mode.managementOnly ? 'management' : 'test')
    })

  it('keeps the uplink that its macvtap names', () =>
    assert.equal(
      adoptionOf(`<interface type='direct'><mac address='${mac}'/><source dev='enp3s0' mode='bridge'/></interface>`)
        .nics[0]?.uplink,
      'enp3s0',
    ))

  it('is refused with a NIC that nothing tells from another, or of a kind that is no interface mode', () => {
    assert.match(refusal(`<interface type='user'/>`), /NIC 0 of theirs has no MAC address/)
    assert.match(
      refusal(`<interface type='hostdev'><mac address='${mac}'/></interface>`),
      /no interface mode is for a NIC of type hostdev/,
    )
  })
})
