import { createHash } from 'node:crypto'
import { isVmrError, VmrError } from '../../errors/vmr-error.ts'
import type { Console } from './console.ts'
import { interrupt, requireLoggedIn, type StepOptions, shellPromptOrThrow, synchronise } from './synchronise.ts'

/** With the `> ` before it the echo of a line fits a terminal of 500 columns: readline never breaks it. */
const lineLength = 480
/** Lines typed and not yet echoed: two kilobytes, of the four that a Linux terminal holds (N_TTY_BUF_SIZE). */
const window = 4
const stallMs = 10_000
const maxAttempts = 3
/** A guest without KVM starts a process in a tenth of a second on a busy host, and reads 500 bytes of base64 in a millisecond. */
const askAgainMs = (bytes: number) => 4000 + bytes / 500

/**
 * Types bytes into a file of the guest: base64 in a here-document with a quoted delimiter, so that no character of the
 * content is ever typed, paced by the echo, and verified by SHA-256. The shell must be at its prompt, and is again.
 *
 * @param folder a folder of the guest that belongs to this session; the encoded text is left there as `typed`
 * @param path of the guest, from characters that need no quoting
 */
export async function upload(
  console: Console,
  folder: string,
  path: string,
  content: Uint8Array,
  options: StepOptions,
): Promise<void> {
  const deadline = performance.now() + options.timeoutMs
  const left = () => Math.max(1, deadline - performance.now())
  const digest = createHash('sha256').update(content).digest('hex')
  const encoded = Buffer.from(content).toString('base64')
  const lines: string[] = []
  for (let start = 0; start < encoded.length; start += lineLength) lines.push(encoded.slice(start, start + lineLength))

  // Secrets can be in it, and nobody reads base64.
  const unrecorded = <T>(task: () => Promise<T>) =>
    console.transcript?.leaveOut(`${content.length} bytes typed into ${path}`, task) ?? task()
  for (let attempt = 1; attempt <= maxAttempts; attempt += 1) {
    const typed = [`cat >${folder}/typed <<'.'`, ...lines, '.']
    if (await unrecorded(() => typeLines(console, typed, { ...options, timeoutMs: left() }))) {
      const stored = await storedDigest(console, `base64 -d <${folder}/typed >${path}; sha256sum <${path}`, {
        ...options,
        timeoutMs: left(),
        askAgainMs: askAgainMs(content.length),
      })
      if (stored === digest) return
    }
    await console.send(interrupt)
    await synchronise(console, { ...options, timeoutMs: left() })
  }
  throw new VmrError(
    'GUEST_CONSOLE_LOST',
    `the ${console.description} changes what is typed: ${content.length} bytes arrived damaged ${maxAttempts} times`,
  )
}

/** False when the echo stopped coming: something typed was lost. */
async function typeLines(console: Console, lines: readonly string[], options: StepOptions): Promise<boolean> {
  let echoed = 0
  for (const [index, line] of lines.entries()) {
    await console.send(`${line}\r`)
    const needed = index === lines.length - 1 ? lines.length : index + 1 - window
    if (echoed >= needed) continue
    const flows = await console.expect<boolean>(
      {
        line: ({ text, ended }) => {
          requireLoggedIn(console, text)
          if (ended) echoed += 1
          return echoed >= needed ? true : undefined
        },
        prompt: loggedOutOnly(console),
        idle: { afterMs: stallMs, react: () => false },
      },
      { ...options, what: 'the echo of what was typed' },
    )
    if (!flows) return false
  }
  return true
}

/**
 * Asks again where the answer was lost: on a console that others write to all the time, no silence ever tells that it was.
 * Undefined when no answer came.
 */
async function storedDigest(
  console: Console,
  command: string,
  { askAgainMs, ...options }: StepOptions & { readonly askAgainMs: number },
): Promise<string | undefined> {
  const deadline = performance.now() + options.timeoutMs
  for (let asked = 1; asked <= maxAttempts; asked += 1) {
    await console.send(`${command}\r`)
    const timeoutMs =
      asked === maxAttempts ? deadline - performance.now() : Math.min(askAgainMs, deadline - performance.now())
    try {
      return await console.expect<string | undefined>(
        {
          line: ({ text }) => {
            requireLoggedIn(console, text)
            // What others wrote can stand before it on its line.
            return /([0-9a-f]{64}) {2}-$/.exec(text)?.[1]
          },
          prompt: loggedOutOnly(console),
          idle: { afterMs: stallMs, react: () => undefined },
        },
        { ...options, timeoutMs: Math.max(1, timeoutMs), what: 'the digest of what was typed' },
      )
    } catch (error) {
      if (!isVmrError(error) || error.code !== 'GUEST_COMMAND_TIMEOUT' || asked === maxAttempts) throw error
    }
  }
  return undefined
}

/** A shell prompt may stand there for a moment; a login prompt ends the upload. */
function loggedOutOnly(console: Console): (tail: string) => undefined {
  return (tail) => {
    shellPromptOrThrow(console, tail)
    return undefined
  }
}
