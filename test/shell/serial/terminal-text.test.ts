import assert from 'node:assert/strict'
import fc from 'fast-check'
import { createTerminalText } from '../../../src/shell/serial/terminal-text.ts'
import { processorTime } from '../../processor-time.ts'
import { receivedBytes } from './recording.ts'

function read(bytes: Uint8Array, cuts: readonly number[] = []): string {
  const text = createTerminalText()
  let out = ''
  let start = 0
  for (const cut of [...cuts].map((cut) => cut % (bytes.length + 1)).toSorted((a, b) => a - b)) {
    out += text.write(bytes.subarray(start, cut))
    start = cut
  }
  return out + text.write(bytes.subarray(start))
}

describe('terminal text', () => {
  it('reads a recorded VyOS session the same however its bytes are cut', () => {
    const whole = read(receivedBytes)
    assert.match(whole, /┌── ┐\n/)
    assert.match(whole, /\[edit\]\nvyos@vyos# /)
    fc.assert(
      fc.property(
        fc.array(fc.nat(receivedBytes.length), { maxLength: 300 }),
        (cuts) => read(receivedBytes, cuts) === whole,
      ),
      { numRuns: 50 },
    )
    let byByte = ''
    const text = createTerminalText()
    for (const byte of receivedBytes) byByte += text.write(Uint8Array.of(byte))
    assert.equal(byByte, whole)
  })

  for (const [what, sent, seen] of [
    ['colours and erasing', 'a\x1b[1;31mb\x1b[m\x1b[Kc', 'abc'],
    ['a question for the cursor position', 'x\x1b[6ny', 'xy'],
    ['bracketed paste', '\x1b[?2004hvyos@vyos:~$ ', 'vyos@vyos:~$ '],
    ['a window title', '\x1b]0;title\x07ok \x1b]0;t\x1b\\ok', 'ok ok'],
    ['a character set', '\x1b(Bok', 'ok'],
    ['bells and backspaces', 'a\x07\bb', 'ab'],
  ] as const) {
    it(`leaves out ${what}`, () => assert.equal(read(Buffer.from(sent)), seen))
  }

  it('takes CR LF and CR CR LF for one line end, and keeps a CR that moves the cursor', () => {
    assert.equal(read(Buffer.from('a\r\nb\r\r\nc\rd\n\re')), 'a\nb\nc\rd\ne')
  })

  it('is back at text after a control sequence that never ends', () => {
    assert.match(read(Buffer.from(`\x1b[${'1'.repeat(1000)}\nlogin: `)), /\nlogin: $/)
  })

  it('takes any bytes without failing', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 2000 }), (bytes) => typeof read(bytes) === 'string'))
  })

  it('reads 8 MB of output in linear time', () => {
    const megabyte = Buffer.from('0123456789abcdef\r\n'.repeat(58_000))
    const timeOf = (bytes: Uint8Array) => {
      const start = processorTime()
      read(bytes)
      return processorTime() - start
    }
    timeOf(megabyte)
    const once = Math.max(timeOf(megabyte), 5)
    assert.ok(timeOf(Buffer.concat(Array(8).fill(megabyte))) < 40 * once)
  })
})
