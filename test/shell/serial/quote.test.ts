import assert from 'node:assert/strict'
import { execa } from 'execa'
import fc from 'fast-check'
import { quoteArgvForTyping, quoteForScript, quoteForTyping } from '../../../src/shell/serial/quote.ts'

/** Everything an argument can hold. */
const word = fc
  .oneof(
    fc.string({ unit: 'binary', maxLength: 40 }),
    fc.string({
      unit: fc.constantFrom(
        "'",
        '"',
        '\\',
        '?',
        '!',
        '$',
        '`',
        '\n',
        '\t',
        ' ',
        'a',
        '1',
        '\r',
        ';',
        '|',
        '&',
        '~',
        '\x03',
        'é',
      ),
    }),
  )
  .map((text) => text.replaceAll('\0', ''))

/** One bash for all words: each line runs as it would when typed. */
async function asBashReadsIt(lines: readonly string[]): Promise<string[]> {
  const { stdout } = await execa('bash', ['--norc', '-s'], {
    input: lines.map((line) => `printf '%s\\0' ${line}`).join('\n'),
    stripFinalNewline: false,
  })
  return stdout.split('\0').slice(0, -1)
}

describe('quoting for a guest', () => {
  it('types only printable ASCII, and never a character that opens completion or history', () => {
    fc.assert(
      fc.property(word, (text) => /^[\x20-\x7e]+$/.test(quoteForTyping(text)) && !/[?!\t]/.test(quoteForTyping(text))),
    )
  })

  it('gives bash exactly the words that were meant, typed or in a script', async () => {
    const words = fc.sample(word, 400)
    assert.deepEqual(await asBashReadsIt(words.map(quoteForTyping)), words)
    assert.deepEqual(await asBashReadsIt(words.map(quoteForScript)), words)
  })

  it('keeps the words of an argv apart', async () => {
    const argv = ['a b', '', "it's", '$(reboot)', ';', '?', 'x!y']
    assert.deepEqual(await asBashReadsIt([quoteArgvForTyping(argv)]), argv)
  })

  it('refuses a NUL', () => {
    assert.throws(() => quoteForTyping('a\0b'), { code: 'USAGE' })
    assert.throws(() => quoteForScript('a\0b'), { code: 'USAGE' })
  })
})
