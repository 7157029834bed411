import { randomBytes } from 'node:crypto'
import { VmrError } from '../../errors/vmr-error.ts'
import { abortError, throwIfAborted } from '../abort.ts'
import { withRecord } from './console.ts'
import { createFrameReader, type Frame } from './frame.ts'
import { guestProgram } from './guest-program.ts'
import type { ConsoleSession } from './login.ts'
import { classifyPrompt } from './prompts.ts'
import { quoteArgvForTyping, quoteForScript } from './quote.ts'
import { interrupt, loggedOutError, requireLoggedIn, suspend, synchronise } from './synchronise.ts'
import { upload } from './upload.ts'

/**
 * Typed lines stay shorter than the terminal is wide, so that readline never breaks their echo, and far below the
 * 4096 bytes that a Linux terminal holds of a line nobody has read (N_TTY_BUF_SIZE).
 */
const maxTypedLength = 440
/** How often a frame is asked for: first as plain text, which a person can read in the record, then as base64. */
const maxSendings = 6
/** A shell prompt that stands for this long without the end of the frame: the end was lost on the way. */
const lostFrameMs = 1500
const promptSettleMs = 5
const lostPromptMs = 500
const resyncTimeoutMs = 4000
/** Ends the job that Ctrl-Z stopped, what of it belongs to root included. bash itself ignores SIGQUIT. */
const killSuspended = 'p=$(jobs -p %%); kill -KILL -- -$p; sudo -n kill -KILL -- -$p'

/** What a command left, before decoding. The exit code is undefined while a background command runs. */
interface GuestOutcome {
  readonly exitCode: number | undefined
  readonly stdout: Buffer
  readonly stderr: Buffer
}

interface GuestRunOptions {
  readonly timeoutMs: number
  readonly maxOutputBytes: number
  readonly signal?: AbortSignal | undefined
  /** A file that is put into the session's folder first. */
  readonly file?: { readonly name: string; readonly content: Uint8Array }
  /** Name of the file that is the command's standard input; without it the input is empty. */
  readonly input?: string
}

/** One guest's shell behind its console: commands in the order of the calls, each with its own frame. */
export interface GuestRunner {
  readonly console: ConsoleSession['console']
  /** Path of the program in the guest; its subcommands can be run like any other command. */
  readonly program: string
  run(argv: readonly string[], options: GuestRunOptions): Promise<GuestOutcome>
  /** The files of a background command as they are now. */
  collect(name: string, options: GuestRunOptions): Promise<GuestOutcome>
  /** True for the line with which the guest tells that a background command has ended. */
  isEndOf(name: string, line: string): boolean
  /** Removes the folder in the guest. */
  remove(): Promise<void>
}

interface Step {
  readonly signal: AbortSignal | undefined
  /** Milliseconds that remain of the call's time. */
  readonly left: () => number
}

export function guestRunner(session: ConsoleSession): GuestRunner {
  const { console } = session
  const word = `vmr-${randomBytes(9).toString('hex')}`
  const folder = `/tmp/.vmr-${randomBytes(6).toString('hex')}`
  const program = `${folder}/program`
  let turn: Promise<void> = Promise.resolve()
  let frameNumber = 0
  let installed = false
  let broken: VmrError | undefined

  /** Runs the task after those before it; an abort while it queues ends the call at once. */
  const inTurn = <T>(doing: string, signal: AbortSignal | undefined, task: () => Promise<T>): Promise<T> =>
    new Promise((resolve, reject) => {
      const onAbort = () => {
        if (signal !== undefined) reject(abortError(signal, doing))
      }
      signal?.addEventListener('abort', onAbort, { once: true })
      const mine = turn.then(() => {
        signal?.removeEventListener('abort', onAbort)
        throwIfAborted(signal, doing)
        if (broken !== undefined) throw withRecord(broken, console.record)
        return task()
      })
      turn = mine.then(
        () => {},
        () => {},
      )
      mine.then(resolve, reject)
    })

  /** Brings the shell back to its prompt, or marks the session as lost. */
  const recover = async (): Promise<void> => {
    for (const keys of [[interrupt], [suspend, `${killSuspended}\r`]]) {
      try {
        for (const typed of keys) {
          await console.send(typed)
          await synchronise(console, { timeoutMs: resyncTimeoutMs })
        }
        return
      } catch {
        // Suspending works where Ctrl-C is ignored; behind it the session is given up.
      }
    }
    broken =
      console.lost() ??
      new VmrError('GUEST_CONSOLE_LOST', `the ${console.description} does not answer any more`, {
        hint: 'Look at it with `vmr vm console`, or restart the guest.',
      })
  }

  const guarded = async <T>(
    argv: readonly string[],
    options: GuestRunOptions,
    task: (step: Step) => Promise<T>,
  ): Promise<T> => {
    const limit = performance.now() + options.timeoutMs
    try {
      return await task({ signal: options.signal, left: () => Math.max(1, limit - performance.now()) })
    } catch (error) {
      if (error instanceof VmrError && error.code === 'GUEST_CONSOLE_LOST') {
        broken = error
        throw withRecord(error, console.record)
      }
      if (error instanceof VmrError && error.code === 'HOST_COMMAND_FAILED') throw error
      await recover()
      if (error instanceof VmrError && error.code === 'GUEST_COMMAND_TIMEOUT') {
        const late = new VmrError(
          'TIMED_OUT',
          `${shown(argv)} did not end within ${options.timeoutMs / 1000} s on the ${console.description}, and was ended`,
          { cause: error },
        )
        throw withRecord(late, console.record)
      }
      throw error
    }
  }

  const put = (path: string, content: Uint8Array, step: Step) =>
    upload(console, folder, path, content, { timeoutMs: step.left(), signal: step.signal })

  const install = async (step: Step): Promise<void> => {
    if (installed) return
    await console.send(`mkdir -m 700 ${folder}; tty >${folder}/tty\r`)
    await synchronise(console, { timeoutMs: step.left(), signal: step.signal })
    await put(program, Buffer.from(guestProgram(word)), step)
    installed = true
  }

  const receive = async (
    typed: string,
    name: string,
    maxBytes: number,
    frame: number,
    step: Step,
  ): Promise<GuestOutcome> => {
    let command = typed
    for (let sending = 1; sending <= maxSendings; sending += 1) {
      console.drain()
      await console.send(`${command}\r`)
      const reader = createFrameReader(word, frame, sending === 1 ? 'plain' : 'base64', maxBytes)
      const result = await console.expect<Frame>(
        {
          line: (line) => {
            if (!reader.inside()) requireLoggedIn(console, line.text)
            return reader.line(line)
          },
          prompt: (tail) => {
            const kind = classifyPrompt(tail)?.kind
            if (kind === 'login') throw loggedOutError(console)
            return kind === 'shell' ? { kind: 'damaged' } : undefined
          },
          settleMs: lostFrameMs,
        },
        { what: 'the end of the command', timeoutMs: step.left(), signal: step.signal },
      )
      if (result.kind === 'whole') {
        await settle(step)
        return result
      }
      if (result.kind === 'tooLarge') {
        throw new VmrError(
          'HOST_COMMAND_FAILED',
          `the command on the ${console.description} wrote more than the allowed ${maxBytes} bytes: ${result.stdoutBytes} to standard output, ${result.stderrBytes} to standard error`,
        )
      }
      command = `bash ${program} emit ${name} ${frame} ${maxBytes} base64`
    }
    throw new VmrError(
      'GUEST_CONSOLE_LOST',
      `the ${console.description} changed the same output ${maxSendings} times`,
      {
        hint: 'Something else writes to it: another client, or the kernel without pause (see `dmesg -n 1` in the guest).',
      },
    )
  }

  /** Waits for the prompt behind a frame, so that the next line is typed at it; one lost in noise is not missed. */
  const settle = async (step: Step): Promise<void> => {
    try {
      await console.expect<true>(
        { prompt: (tail) => (classifyPrompt(tail)?.kind === 'shell' ? true : undefined), settleMs: promptSettleMs },
        { what: 'the prompt behind the command', timeoutMs: lostPromptMs, signal: step.signal },
      )
    } catch (error) {
      if (!(error instanceof VmrError && error.code === 'GUEST_COMMAND_TIMEOUT')) throw error
    }
  }

  return {
    console,
    program,
    isEndOf: (name, line) => line === `${word} ended ${name}`,
    run: (argv, options) => {
      if (argv.length === 0) throw new VmrError('USAGE', `no command was given for the ${console.description}`)
      const words = quoteArgvForTyping(argv)
      frameNumber += 1
      const frame = frameNumber
      const start = `bash ${program} run ${frame} ${options.maxOutputBytes} `
      const input = options.input ?? '-'
      const short = start.length + input.length + 1 + words.length <= maxTypedLength
      return inTurn(shown(argv), options.signal, () =>
        guarded(argv, options, async (step) => {
          await install(step)
          if (options.file !== undefined) await put(`${folder}/${options.file.name}`, options.file.content, step)
          if (!short) await put(`${folder}/words`, Buffer.from(`set -- ${argv.map(quoteForScript).join(' ')}\n`), step)
          const typed = short ? `${start}${input} ${words}` : `${start}@${input}`
          return receive(typed, 'r', options.maxOutputBytes, frame, step)
        }),
      )
    },
    collect: (name, options) => {
      frameNumber += 1
      const frame = frameNumber
      return inTurn('collecting output', options.signal, () =>
        guarded(['collect', name], options, (step) =>
          receive(
            `bash ${program} emit ${name} ${frame} ${options.maxOutputBytes} plain`,
            name,
            options.maxOutputBytes,
            frame,
            step,
          ),
        ),
      )
    },
    remove: () =>
      inTurn('cleaning up', undefined, async () => {
        if (!installed) return
        installed = false
        await console.send(`rm -rf ${folder}\r`)
        await synchronise(console, { timeoutMs: resyncTimeoutMs })
      }),
  }
}

function shown(argv: readonly string[]): string {
  return argv.join(' ').slice(0, 200)
}
