import assert from 'node:assert/strict'
import fc from 'fast-check'
import { attachConsole, type Console } from '../../../src/shell/serial/console.ts'
import { classifyPrompt } from '../../../src/shell/serial/prompts.ts'
import { processorTime } from '../../processor-time.ts'
import { type FakeGuest, fakeGuest } from './fake-guest.ts'
import { receivedBytes } from './recording.ts'

const settleMs = 1

function attached(): { guest: FakeGuest; console: Console } {
  const guest = fakeGuest()
  return { guest, console: attachConsole(guest.stream, { description: 'serial console of r1' }) }
}

describe('console', () => {
  it('gives the lines of a recorded session the same however it is cut', async () => {
    const linesOf = async (sizes: readonly number[]) => {
      const { guest, console } = attached()
      const seen: string[] = []
      let start = 0
      for (let index = 0; start < receivedBytes.length; index += 1) {
        const size = sizes[index % sizes.length] ?? 1
        guest.says(receivedBytes.subarray(start, start + size))
        start += size
      }
      guest.says('\r\nthe end\r\n')
      await console.expect<true>(
        {
          line: ({ text }) => {
            seen.push(text)
            return text === 'the end' ? true : undefined
          },
        },
        { what: 'the end', timeoutMs: 5000 },
      )
      return seen
    }
    const whole = await linesOf([receivedBytes.length])
    assert.ok(whole.includes('  Configuration path: interfaces ethernet eth0 [adress] is not valid'))
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 2000 }), { minLength: 1, maxLength: 20 }), async (sizes) => {
        assert.deepEqual(await linesOf(sizes), whole)
      }),
      { numRuns: 30 },
    )
  })

  it('waits for a prompt to stand still: a pause in the middle of a line is none', async () => {
    const { guest, console } = attached()
    const prompt = console.expect(
      { prompt: (tail) => classifyPrompt(tail)?.kind, settleMs: 20 },
      { what: 'a prompt', timeoutMs: 2000 },
    )
    guest.says('vyos@vyos:~$ ')
    setImmediate(() => guest.says('is not the prompt\r\nvyos@vyos# '))
    assert.equal(await prompt, 'configure')
  })

  it('takes a kernel message out of the line and the prompt that it fell into', async () => {
    const { guest, console } = attached()
    const seen: string[] = []
    const prompt = console.expect(
      {
        line: ({ text }) => {
          seen.push(text)
          return undefined
        },
        prompt: (tail) => classifyPrompt(tail)?.kind,
        settleMs: 5,
      },
      { what: 'a prompt', timeoutMs: 2000 },
    )
    guest.says(
      'one li[   12.345678] eth0: link up\r\nne\r\n[   13.000000] alone\r\nvyos login: [   14.000000][    T1] late\r\n',
    )
    assert.equal(await prompt, 'login')
    assert.deepEqual(seen, [
      '[   12.345678] eth0: link up',
      'one line',
      '[   13.000000] alone',
      '[   14.000000][    T1] late',
    ])
  })

  it('sees a prompt, and that nothing else comes, through endless kernel messages, however they are cut', async () => {
    const { guest, console } = attached()
    let number = 0
    const message = `[  123.123456][   T12] noise\r\n`
    let pending = ''
    const noise = setInterval(() => {
      pending ||= message
      number += 1
      const length = 1 + (number % 7)
      guest.says(pending.slice(0, length))
      pending = pending.slice(length)
    }, 2)
    try {
      guest.says('vyos login: ')
      const prompt = { prompt: (tail: string) => classifyPrompt(tail)?.kind, settleMs: 30 }
      assert.equal(await console.expect(prompt, { what: 'a prompt', timeoutMs: 2000 }), 'login')
      const idle = { idle: { afterMs: 50, react: () => 'idle' } }
      assert.equal(await console.expect(idle, { what: 'silence', timeoutMs: 2000 }), 'idle')
    } finally {
      clearInterval(noise)
    }
  })

  it('reads 4 MB without a line end as fast as with them, in bounded memory', async () => {
    const timeOf = async (piece: string) => {
      const { guest, console } = attached()
      const start = processorTime()
      let length = 0
      const done = console.expect<true>(
        {
          line: ({ text }) => {
            assert.ok(text.length <= 4096)
            length += text.length
            return text.endsWith('the end') ? true : undefined
          },
        },
        { what: 'the end', timeoutMs: 9000 },
      )
      for (let index = 0; index < 4096; index += 1) guest.says(piece)
      guest.says('\r\nthe end\r\n')
      await done
      assert.ok(length > 4_000_000)
      return processorTime() - start
    }
    const withLines = Math.max(await timeOf(`${'x'.repeat(1022)}\r\n`), 20)
    assert.ok((await timeOf('x'.repeat(1024))) < 20 * withLines)
  })

  it('times out with the last lines as evidence', async () => {
    const { guest, console } = attached()
    guest.says('one\r\ntwo\r\nKernel panic - not syncing')
    await assert.rejects(
      console.expect(
        { line: () => undefined },
        { what: 'a login prompt', timeoutMs: 30, timeoutCode: 'GUEST_BOOT_TIMEOUT' },
      ),
      {
        code: 'GUEST_BOOT_TIMEOUT',
        message:
          'a login prompt did not come within 30 ms on the serial console of r1; last lines:\n  one\n  two\n  Kernel panic - not syncing',
      },
    )
  })

  it('ends an expectation, and every later one, when the stream ends', async () => {
    const { guest, console } = attached()
    const waiting = console.expect({ line: () => undefined }, { what: 'anything', timeoutMs: 2000 })
    guest.says('reboot: Power down\r\n')
    guest.ends()
    await assert.rejects(waiting, {
      code: 'GUEST_CONSOLE_LOST',
      message: 'the serial console of r1 ended; last seen: reboot: Power down',
    })
    await assert.rejects(console.send('x'), { code: 'GUEST_CONSOLE_LOST' })
    await assert.rejects(console.expect({ line: () => undefined }, { what: 'x', timeoutMs: 1000 }), {
      code: 'GUEST_CONSOLE_LOST',
    })
  })

  it('ends an expectation when it is aborted', async () => {
    const { console } = attached()
    const controller = new AbortController()
    const waiting = console.expect(
      { line: () => undefined },
      { what: 'anything', timeoutMs: 2000, signal: controller.signal },
    )
    controller.abort()
    await assert.rejects(waiting, { code: 'INTERRUPTED' })
  })

  it('survives 100,000 mutated pieces of a recorded session', async () => {
    const { guest, console } = attached()
    let lines = 0
    const done = console.expect<true>(
      {
        line: ({ text }) => {
          lines += 1
          classifyPrompt(text)
          return text === 'the very end' ? true : undefined
        },
        prompt: (tail) => {
          classifyPrompt(tail)
          return undefined
        },
        settleMs,
      },
      { what: 'the end', timeoutMs: 9000 },
    )
    let state = 20261123
    const random = (limit: number) => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0
      return state % limit
    }
    for (let index = 0; index < 100_000; index += 1) {
      const start = random(receivedBytes.length)
      const piece = Buffer.from(receivedBytes.subarray(start, start + random(60)))
      for (let change = random(4); change > 0 && piece.length > 0; change -= 1)
        piece[random(piece.length)] = random(256)
      guest.says(piece)
      if (index % 5000 === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    guest.says('\n\x1b[m\nthe very end\r\n')
    await done
    assert.ok(lines > 1000)
  })
})
