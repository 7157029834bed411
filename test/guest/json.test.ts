import assert from 'node:assert/strict'
import fc from 'fast-check'
import { type Engine, startEngine } from './engine.ts'

describe('JSON in the lab router', () => {
  let engine: Engine
  before(() => {
    engine = startEngine()
  })
  after(() => engine.stop())

  it('is read and written as others do, with any strings', async () => {
    const text = fc.string({ unit: 'binary' })
    const { tree } = fc.letrec((tie) => ({
      tree: fc.oneof(
        { depthSize: 'small' },
        text,
        fc.array(tie('tree')),
        fc.dictionary(text, tie('tree'), { noNullPrototype: true }),
      ),
    }))
    for (const value of fc.sample(tree, 100)) {
      for (const written of [JSON.stringify(value), JSON.stringify(value, null, 2), escaped(value)]) {
        const answer = await engine.call('json', written)
        const back: unknown = JSON.parse(String(answer))
        assert.deepEqual(back, value)
      }
    }
  })

  it('is refused where it is none', async () => {
    for (const text of [
      '',
      '{',
      '[1',
      '{"a"}',
      '{"a":1,}',
      '[1,]',
      '"a',
      '"\\x"',
      'nul',
      '1 2',
      '"\u0001"',
      '['.repeat(40),
    ])
      await assert.rejects(engine.call('json', text), /Expecting|nested|string|Extra/, JSON.stringify(text))
  })
})

/** The same with every character that is not ASCII escaped, as Python writes it. */
function escaped(value: unknown): string {
  return JSON.stringify(value).replaceAll(
    /[\u007f-\uffff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
