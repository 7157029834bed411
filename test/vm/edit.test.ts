import assert from 'node:assert/strict'
import fc from 'fast-check'
import { readDomainFacts } from '../../src/domain/domain-facts.ts'
import { buildXml } from '../../src/domain/xml/build.ts'
import { isVmrError } from '../../src/errors/vmr-error.ts'
import { planEdit } from '../../src/vm/edit.ts'

const domainXml = `<domain type='qemu'>
  <name>r1</name>
  <uuid>5e1b2ef3-31b5-4c55-9a4e-2f6f1f8b9d01</uuid>
  <metadata><vmr:vm xmlns:vmr='urn:vmr:domain:1' version='1' definition='r1.yaml' os='vyos'/></metadata>
  <memory unit='KiB'>524288</memory>
  <os><type arch='x86_64'>hvm</type></os>
</domain>
`
const before = readDomainFacts(domainXml)
const text = buildXml(before.element)

const refusal = (edited: string): string => {
  try {
    planEdit(before, edited, 'r1.xml')
  } catch (error) {
    assert.ok(isVmrError(error), String(error))
    assert.equal(error.code, 'CONFIG_INVALID')
    return error.message
  }
  return assert.fail('it was taken')
}

describe('an edited definition', () => {
  it('that says the same changes nothing', () => assert.equal(planEdit(before, text, 'r1.xml').diff, ''))

  it('shows what changes, and nothing else', () => {
    const { diff } = planEdit(before, text.replace('524288', '1048576'), 'r1.xml')
    assert.deepEqual(
      diff.split('\n').filter((line) => /^[+-] /.test(line)),
      [`-  <memory unit="KiB">524288</memory>`, `+  <memory unit="KiB">1048576</memory>`],
    )
  })

  for (const [what, edited] of [
    ['another name', text.replace('>r1<', '>r2<')],
    ['another UUID', text.replace('5e1b2ef3', '5e1b2ef4')],
    ['no name', text.replace(/ *<name>r1<\/name>\n/, '')],
  ] as const)
    it(`is refused with ${what}, by its line, with the command that does it`, () => {
      const message = refusal(edited)
      assert.match(message, /^r1\.xml:\d+:\d+: <(name|uuid)> must stay/)
      assert.match(message, /vmr vm rename/)
    })

  it('is refused without vmr’s notes, which make the VM its own', () =>
    assert.match(refusal(text.replace(/<vmr:vm[\s\S]*?\/>/, '')), /^r1\.xml:\d+:\d+: vmr’s own element/))

  it('of another kind is refused', () => assert.match(refusal('<network><name>r1</name></network>'), /<network>/))

  it('is taken or refused in one sentence that names the file, whatever was typed into it', () =>
    fc.assert(
      fc.property(fc.nat(text.length), fc.string({ maxLength: 8 }), fc.nat(8), (at, typed, overwritten) => {
        try {
          planEdit(before, text.slice(0, at) + typed + text.slice(at + overwritten), 'r1.xml')
        } catch (error) {
          assert.ok(isVmrError(error), String(error))
          assert.match(error.message, /^r1\.xml/)
        }
      }),
    ))
})
