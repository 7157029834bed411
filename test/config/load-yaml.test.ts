import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { stringify } from 'yaml'
import { z } from 'zod'
import { loadYaml, maxYamlBytes, parseYaml } from '../../src/config/load-yaml.ts'
import { isVmrError } from '../../src/errors/vmr-error.ts'
import { processorTime } from '../processor-time.ts'

const schema = z.strictObject({
  name: z.string(),
  nics: z.array(z.strictObject({ queues: z.number().int().min(1).optional(), mtu: z.number().optional() })).default([]),
  vlans: z.record(z.string(), z.strictObject({ mtu: z.number().optional() })).default({}),
  size: z.union([z.literal('all'), z.strictObject({ average: z.number() })]).optional(),
})

function refusal(text: string, options = {}): string {
  try {
    parseYaml(text, schema, 'vm.yaml', options)
  } catch (error) {
    assert.ok(isVmrError(error), String(error))
    assert.equal(error.code, 'CONFIG_INVALID')
    assert.ok(error.hint)
    return error.message
  }
  assert.fail('accepted')
}

describe('YAML configuration', () => {
  it('returns typed data with defaults filled in', () => {
    assert.deepEqual(parseYaml('name: r1\nvlans: { 10: {} }', schema, 'vm.yaml'), {
      name: 'r1',
      nics: [],
      vlans: { 10: {} },
    })
  })

  const wrong: readonly (readonly [string, string, RegExp])[] = [
    [
      'a wrong value',
      'name: r1\nnics:\n  - queues: 1\n  - queues: 0\n',
      /^vm\.yaml:4:13: nics\[1\]\.queues: too small/,
    ],
    ['a wrong type', 'name: 7\n', /^vm\.yaml:1:7: name: invalid input: expected string/],
    ['an unknown field', 'name: a\nnics:\n  - quues: 2\n', /^vm\.yaml:3:5: nics\[0\]\.quues: there is no such field/],
    ['a missing field', 'nics:\n  - queues: 1\n', /^vm\.yaml:1:1: name: /],
    ['a field under a numeric key', 'name: a\nvlans:\n  10:\n    mtu: big\n', /^vm\.yaml:4:10: vlans\.10\.mtu: /],
    ['a field inside one branch of a choice', 'name: a\nsize:\n  average: much\n', /^vm\.yaml:3:12: size\.average: /],
    [
      'a choice that fits no branch',
      'name: a\nsize: some\n',
      /^vm\.yaml:2:7: size: invalid input: expected "all", or /,
    ],
    [
      'a value behind an alias',
      'name: a\nnics: [&n {queues: 0}, *n]\n',
      /^vm\.yaml:2:20: nics\[0\]\.queues: .*\(and 1 more\)/,
    ],
    ['a duplicate key', 'name: a\nname: b\n', /^vm\.yaml:2:1: Map keys must be unique/],
    ['broken YAML', 'name: [a\n', /^vm\.yaml:2:1: /],
    ['a tab as indentation', 'name: a\nnics:\n\t- {}\n', /^vm\.yaml:3:1: /],
    ['an unknown tag', 'name: !!js/function "x"\n', /^vm\.yaml:1:7: Unresolved tag/],
    ['two documents', 'name: a\n---\nname: b\n', /^vm\.yaml:2:1: .*multiple documents/],
    ['an empty file', '', /^vm\.yaml:1:1: invalid input: expected object/],
    ['an unknown alias', 'name: *x\n', /^vm\.yaml:1:7: /],
  ]
  for (const [what, text, message] of wrong) {
    it(`says file, line, column and field for ${what}`, () => {
      assert.match(refusal(text), message)
    })
  }

  it('counts lines of the containing file when the YAML is part of one', () => {
    assert.match(refusal('name: 7\n', { firstLine: 12 }), /^vm\.yaml:12:7: /)
  })

  it('names the first of several problems and how many follow', () => {
    assert.match(
      refusal('nics:\n  - queues: 0\n    mtu: x\nname: 1\n'),
      /^vm\.yaml:2:13: nics\[0\]\.queues: .* \(and 2 more\)$/,
    )
  })

  it('refuses an alias bomb at once', () => {
    const levels = Array.from({ length: 12 }, (_, level) => {
      const items =
        level === 0
          ? '[x, x, x, x, x, x, x, x, x]'
          : `[${Array(9)
              .fill(`*l${level - 1}`)
              .join(', ')}]`
      return `l${level}: &l${level} ${items}`
    })
    const started = processorTime()
    assert.match(refusal(levels.join('\n')), /aliases: /)
    assert.ok(processorTime() - started < 1000)
  })

  it('never lets a key reach a prototype', () => {
    assert.match(refusal('name: a\n__proto__: { polluted: true }\n'), /__proto__: there is no such field/)
    assert.equal(Object.hasOwn(Object.prototype, 'polluted'), false)
  })

  it('reads what it is given back for any data that fits the schema', () => {
    const data = fc.record({
      name: fc.string(),
      nics: fc.array(fc.record({ queues: fc.integer({ min: 1 }), mtu: fc.integer() }, { requiredKeys: [] })),
      vlans: fc.dictionary(
        fc.string({ minLength: 1 }).filter((key) => key !== '__proto__'),
        fc.constant({}),
      ),
    })
    fc.assert(
      fc.property(data, (value) => {
        assert.deepEqual(parseYaml(stringify(value), schema, 'x.yaml'), JSON.parse(JSON.stringify(value)))
      }),
    )
  })

  it('accepts or refuses any text with one CONFIG_INVALID', () => {
    const pieces = fc.constantFrom(
      'a',
      ':',
      ' ',
      '\n',
      '-',
      '{',
      '}',
      '[',
      '&x',
      '*x',
      '!!',
      '"',
      "'",
      '#',
      '|',
      '\t',
      '0',
    )
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 30 }), (parts) => {
        try {
          parseYaml(parts.join(''), schema, 'vm.yaml')
        } catch (error) {
          assert.ok(isVmrError(error) && error.code === 'CONFIG_INVALID', String(error))
        }
      }),
      { numRuns: 300 },
    )
  })

  describe('from a file', () => {
    let directory: string
    before(async () => {
      directory = await mkdtemp(join(tmpdir(), 'vmr-yaml-'))
    })
    after(() => rm(directory, { recursive: true, force: true }))

    it('reads it', async () => {
      await writeFile(join(directory, 'ok.yaml'), 'name: r1\n')
      assert.equal((await loadYaml(join(directory, 'ok.yaml'), schema)).name, 'r1')
    })

    it('says that a file does not exist', async () => {
      await assert.rejects(loadYaml(join(directory, 'none.yaml'), schema), {
        code: 'CONFIG_NOT_FOUND',
        message: /none\.yaml: no such file/,
      })
    })

    it('refuses a directory, a file without end, one above the limit and one that is not text', async () => {
      await assert.rejects(loadYaml(directory, schema), { code: 'CONFIG_INVALID', message: /is a directory/ })
      await assert.rejects(loadYaml('/dev/zero', schema), { code: 'CONFIG_INVALID', message: /larger than the limit/ })
      await writeFile(join(directory, 'big.yaml'), `name: r1\n#${'x'.repeat(maxYamlBytes)}`)
      await assert.rejects(loadYaml(join(directory, 'big.yaml'), schema), { message: /larger than the limit of 1 MiB/ })
      await writeFile(join(directory, 'latin1.yaml'), Buffer.from([0x6e, 0xe4, 0x3a]))
      await assert.rejects(loadYaml(join(directory, 'latin1.yaml'), schema), { message: /not UTF-8 text/ })
    })
  })
})
