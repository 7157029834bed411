import { randomBytes } from 'node:crypto'
import { VmrError } from '../../errors/vmr-error.ts'
import type { Console } from './console.ts'
import { classifyPrompt } from './prompts.ts'

/** Ctrl-C */
export const interrupt = '\x03'
/** Ctrl-Z, for a program that ignores Ctrl-C */
export const suspend = '\x1a'
const repeatMs = 5000
/** Behind an answer of the shell's only its prompt can come. */
const promptSettleMs = 5

export interface StepOptions {
  readonly timeoutMs: number
  readonly signal?: AbortSignal | undefined
}

/** Waits until an operational prompt stands in the last line. A login prompt there means that the session is gone. */
export async function awaitShellPrompt(
  console: Console,
  options: StepOptions & { readonly what: string; readonly settleMs?: number },
): Promise<void> {
  await console.expect<true>(
    {
      prompt: (tail) => shellPromptOrThrow(console, tail),
      ...(options.settleMs === undefined ? {} : { settleMs: options.settleMs }),
    },
    options,
  )
}

/** Reads past everything that is still under way, until the shell has answered a command of this moment. */
export async function synchronise(console: Console, { timeoutMs, signal }: StepOptions): Promise<void> {
  const word = randomBytes(6).toString('hex')
  // The echo shows the quotes, the answer does not: the one is never taken for the other.
  const command = `echo vmr-''${word}\r`
  await console.send(command)
  await console.expect<true>(
    {
      line: ({ text }) => {
        requireLoggedIn(console, text)
        return text === `vmr-${word}` ? true : undefined
      },
      // Lost among kernel messages, or thrown away by a shell that was just starting: asked again.
      idle: {
        afterMs: repeatMs,
        react: () => {
          // A stream that has ended fails the expectation itself.
          console.send(command).catch(() => {})
          return undefined
        },
      },
      prompt: (tail) => {
        shellPromptOrThrow(console, tail)
        return undefined
      },
    },
    { what: 'an answer of the shell', timeoutMs, signal },
  )
  await awaitShellPrompt(console, { what: 'the prompt of the shell', timeoutMs, signal, settleMs: promptSettleMs })
}

export function loggedOutError(console: Console): VmrError {
  return new VmrError(
    'GUEST_CONSOLE_LOST',
    `the guest on the ${console.description} is back at its login prompt: it was restarted, or somebody logged out`,
  )
}

/**
 * For lines among which no output of a command can be.
 *
 * @throws VmrError GUEST_CONSOLE_LOST when what was typed went to a login prompt
 */
export function requireLoggedIn(console: Console, line: string): void {
  if (/^[\w.-]+ login: /.test(line)) throw loggedOutError(console)
}

/** @throws VmrError GUEST_CONSOLE_LOST at a login prompt */
export function shellPromptOrThrow(console: Console, tail: string): true | undefined {
  const kind = classifyPrompt(tail)?.kind
  if (kind === 'login') throw loggedOutError(console)
  return kind === 'shell' ? true : undefined
}
