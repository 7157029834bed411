import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { isVmrError } from '../../../src/errors/vmr-error.ts'
import { attachConsole } from '../../../src/shell/serial/console.ts'
import { createFrameReader } from '../../../src/shell/serial/frame.ts'
import { openConsoleSession } from '../../../src/shell/serial/login.ts'
import { classifyPrompt } from '../../../src/shell/serial/prompts.ts'
import { createTerminalText } from '../../../src/shell/serial/terminal-text.ts'
import { createTranscript } from '../../../src/shell/serial/transcript.ts'
import { processorTime } from '../../processor-time.ts'
import { fakeGuest } from './fake-guest.ts'
import { fuzzRuns, mutated, mutatedTranscript, type Random, randomFrom } from './mutations.ts'

const description = 'serial console of r1'

/** Runs a check for each seed, so many at once, and names the seed of the one that failed. */
async function forSeeds(count: number, atOnce: number, check: (random: Random) => Promise<void> | void): Promise<void> {
  const seeds = Array(count).keys()
  const take = async () => {
    for (const seed of seeds) {
      try {
        await check(randomFrom(seed))
      } catch (error) {
        throw new Error(`seed ${seed}`, { cause: error })
      }
    }
  }
  await Promise.all(Array.from({ length: atOnce }, take))
}

/** In pieces as a serial line delivers them: single bytes, or a few hundred. */
function inChunks(random: Random, bytes: Buffer, take: (chunk: Buffer) => void): void {
  const most = random.oneOf([1, 7, 64, 1000])
  for (let start = 0; start < bytes.length; ) {
    const length = 1 + random.below(most)
    take(bytes.subarray(start, start + length))
    start += length
  }
}

describe('a console that says anything', function () {
  this.timeout(3_600_000)

  it('is read to its end, in lines and prompts of bounded length', async () => {
    await forSeeds(fuzzRuns(3000), 50, async (random) => {
      const guest = fakeGuest()
      const console = attachConsole(guest.stream, { description })
      const bytes = mutatedTranscript(random)
      const done = console.expect<true>(
        {
          line: ({ text }) => {
            assert.ok(text.length <= 4096)
            assert.doesNotMatch(text, /[\u0000-\u0008\u000e-\u001f\u007f]/)
            return text === 'the very end' ? true : undefined
          },
          prompt: (tail) => {
            classifyPrompt(tail)
            return undefined
          },
          settleMs: 0,
        },
        { what: 'the end', timeoutMs: 60_000 },
      )
      inChunks(random, bytes, guest.says)
      // Behind whatever control sequence the bytes ended in.
      guest.says(`${'\n\x07\n'.repeat(2)}${'.'.repeat(300)}\nthe very end\n`)
      await done
      guest.ends()
    })
  })

  const secret = 'secret-of-r1'
  it('ends a login in a session or in one clear error, and never gets the password but for a password prompt', async () => {
    let sessions = 0
    await forSeeds(fuzzRuns(400), 400, async (random) => {
      const parts = Array.from({ length: 1 + random.below(6) }, () => mutatedTranscript(random, 400))
      let earlier = ''
      let since = ''
      let typedElsewhere: string | undefined
      let silence: NodeJS.Timeout | undefined
      const next = () => {
        clearTimeout(silence)
        const part = parts.shift()
        if (part === undefined) return guest.ends()
        const prompt = random.oneOf(['', '\r\nvyos login: ', '\r\nPassword: ', '\r\nvyos@vyos:~$ ', '\r\nvyos@vyos# '])
        since += `${part.toString('latin1')}${prompt}`
        inChunks(random, Buffer.concat([part, Buffer.from(prompt)]), guest.says)
        silence = setTimeout(next, 150)
      }
      const guest = fakeGuest((typed) => {
        // Two keys can be typed at once: what came before the first one counts too.
        if (typed.includes(secret) && !/assword/.test(earlier + since)) typedElsewhere = earlier + since
        earlier = since
        since = ''
        // An echo of the name, and answers to the shell's questions, so that some get all the way.
        const echo = /^echo (vmr-)''(\w+)\r$/.exec(typed)
        if (echo !== null) guest.says(`${typed}\n${echo[1]}${echo[2]}\r\nvyos@vyos:~$ `)
        else if (typed.startsWith('set terminal')) guest.says(`${typed}\nvyos@vyos:~$ `)
        else next()
      })
      const written: string[] = []
      const transcript = createTranscript({ write: (line) => written.push(line), secrets: [secret] })
      const opening = openConsoleSession(guest.stream, {
        ...{ description, credentials: { user: 'vyos', password: secret }, timeoutMs: 30_000, transcript },
      })
      next()
      try {
        const session = await opening
        sessions += 1
        clearTimeout(silence)
        guest.ends()
        await session.close()
      } catch (error) {
        assert.ok(isVmrError(error) && /^GUEST_/.test(error.code), String(error))
      } finally {
        clearTimeout(silence)
      }
      assert.equal(typedElsewhere, undefined)
      assert.doesNotMatch(written.join(''), new RegExp(secret))
    })
    assert.ok(sessions > 0)
  })

  it('changes what a command wrote, and it is noticed', async () => {
    const word = 'vmr-0123456789abcdef01'
    const digest = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')
    let whole = 0
    await forSeeds(fuzzRuns(5000), 1, (random) => {
      const [stdout, stderr] = [mutatedTranscript(random, 300), mutatedTranscript(random, 100)]
      const encoding = random.oneOf<'plain' | 'base64'>(['plain', 'base64'])
      const encoded = (bytes: Buffer) =>
        encoding === 'plain' ? bytes : Buffer.from(bytes.toString('base64').replace(/.{76}/g, '$&\n'))
      const digests = `${digest(stdout)} ${digest(stderr)}`
      let frame: Buffer = Buffer.concat([
        Buffer.from(`\r\n${word} begin 7\r\n`),
        encoded(stdout),
        Buffer.from(`\r\n${word} middle 7\r\n`),
        encoded(stderr),
        Buffer.from(`\r\n${word} end 7 0 ${stdout.length} ${stderr.length} ${digests}\r\n`),
      ])
      for (let change = random.below(3); change > 0; change -= 1) frame = mutated(random, frame)
      const text = createTerminalText()
      const reader = createFrameReader(word, 7, encoding, 10_000)
      for (const line of text.write(frame).split('\n')) {
        const result = reader.line({ text: line, ended: true })
        if (result?.kind !== 'whole') continue
        whole += 1
        assert.equal(`${digest(result.stdout)} ${digest(result.stderr)}`, digests)
      }
    })
    assert.ok(whole > 0)
  })

  const awkward: Readonly<Record<string, string>> = {
    'a line without an end': 'x',
    'opening brackets': '[',
    'half control sequences': '\x1b[',
    'half strings': '\x1b]',
    'carriage returns': '\r',
    blanks: ' ',
    'half kernel messages': '[  12.3',
    'kernel messages on one line': '[   12.345678] x ',
    'kernel messages': 'x[   12.345678] y\r\n',
    'login prompts': 'vyos login: ',
    'password prompts': 'Password: \r\n',
    'lines of nothing': '\n',
    'broken UTF-8': '\xe2\x94',
  }
  for (const [what, piece] of Object.entries(awkward)) {
    it(`is read in time that grows with its length, whole or byte by byte: ${what}`, async () => {
      const timeOf = async (length: number, size: number) => {
        const guest = fakeGuest()
        const console = attachConsole(guest.stream, { description })
        const bytes = Buffer.from(piece.repeat(Math.ceil(length / piece.length)), 'latin1')
        const start = processorTime()
        const done = console.expect<true>(
          {
            line: ({ text }) => (text === 'the very end' ? true : undefined),
            prompt: (tail) => {
              classifyPrompt(tail)
              return undefined
            },
          },
          { what: 'the end', timeoutMs: 60_000 },
        )
        for (let at = 0; at < bytes.length; at += size) guest.says(bytes.subarray(at, at + size))
        guest.says(`\n\x07\n${'.'.repeat(300)}\nthe very end\n`)
        await done
        guest.ends()
        return processorTime() - start
      }
      for (const [length, size] of [
        [100_000, 4096],
        [5000, 1],
      ] as const) {
        await timeOf(length, size)
        const once = Math.min(await timeOf(length, size), await timeOf(length, size))
        const eightfold = Math.min(await timeOf(8 * length, size), await timeOf(8 * length, size))
        // Quadratic time would be 64 times as long.
        assert.ok(eightfold < 24 * Math.max(once, 8), `${once} ms, and ${eightfold} ms for eight times as much`)
      }
    })
  }
})
