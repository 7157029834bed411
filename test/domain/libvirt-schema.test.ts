import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import fc from 'fast-check'
import { buildDomainXml } from '../../src/domain/domain-xml.ts'
import { definitions } from './arbitraries.ts'
import { goldenSpecs, specOf } from './specs.ts'

/** What virt-xml-validate (of libvirt-clients) hands to xmllint; one process takes many files, it takes one. */
const domainSchema = '/usr/share/libvirt/schemas/domain.rng'

describe('libvirt’s schema', function () {
  this.timeout(60_000)
  let directory: string
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'vmr-schema-'))
  })
  after(() => rm(directory, { recursive: true, force: true }))

  const write = async (name: string, xml: string) => {
    const file = join(directory, `${name}.xml`)
    await writeFile(file, xml)
    return file
  }
  const validate = (file: string) => execa('virt-xml-validate', [file, 'domain'], { reject: false })

  it('accepts the XML of any valid definition', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(definitions, { minLength: 20, maxLength: 40 }), async (batch) => {
        const files = await Promise.all(
          batch.map((definition, index) => write(String(index), buildDomainXml(specOf(definition)))),
        )
        const { exitCode, stderr } = await execa('xmllint', ['--noout', '--relaxng', domainSchema, ...files], {
          reject: false,
        })
        assert.equal(exitCode, 0, stderr)
      }),
      { numRuns: 12 },
    )
  })

  for (const [name, spec] of Object.entries(goldenSpecs)) {
    it(`accepts ${name} by virt-xml-validate itself`, async () => {
      const { exitCode, stderr } = await validate(await write(name, buildDomainXml(spec)))
      assert.equal(exitCode, 0, stderr)
    })
  }

  it('is really asked: it refuses what libvirt does not know', async () => {
    const [spec] = Object.values(goldenSpecs)
    assert.ok(spec)
    const strange = buildDomainXml(spec).replace('<on_poweroff>', '<on_holiday/><on_poweroff>')
    assert.notEqual((await validate(await write('strange', strange))).exitCode, 0)
  })
})
