import assert from 'node:assert/strict'
import fc from 'fast-check'
import { checkVmName, vmNameSchema } from '../../src/config/vm-name.ts'

describe('VM name', () => {
  for (const name of ['r1', 'vyos-lab', 'R.2', 'a_b', '9', 'x'.repeat(63)]) {
    it(`accepts ${name.slice(0, 20)}`, () => {
      assert.equal(checkVmName(name), name)
    })
  }

  for (const name of [
    '',
    '../x',
    'a/b',
    'a..b',
    '..',
    '.',
    '-r',
    'a<b',
    'a b',
    'a\nb',
    'a.',
    'é',
    'r1\0',
    'x'.repeat(64),
  ]) {
    it(`refuses ${JSON.stringify(name.slice(0, 20))}, says why and what would do`, () => {
      assert.throws(() => checkVmName(name), {
        code: 'NAME_INVALID',
        hint: /such as r1/,
        message: /cannot be a VM name/,
      })
    })
  }

  it('never accepts a name that leaves its directory or needs quoting', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'ab1._-/\\ \n<>&"\'$`;|*') }), (name) => {
        if (!vmNameSchema.safeParse(name).success) return
        assert.match(name, /^[A-Za-z0-9._-]+$/)
        assert.ok(!name.includes('..') && !name.startsWith('.') && !name.startsWith('-'))
      }),
      { numRuns: 500 },
    )
  })
})
