import type { Duplex } from 'node:stream'
import type { ErrorCode } from '../../errors/codes.ts'
import { isVmrError, VmrError } from '../../errors/vmr-error.ts'
import { abortError } from '../abort.ts'
import { createTerminalText } from './terminal-text.ts'
import type { Transcript } from './transcript.ts'

/** One line that the guest ended, or a piece of one too long to be held whole. */
export interface ConsoleLine {
  readonly text: string
  /** False for a piece: the line goes on in the next one. */
  readonly ended: boolean
}

/** What an expectation reacts to. The first function that returns something other than undefined ends it. */
interface Watch<T> {
  /** Each line in the order of its arrival, also those that came before the expectation. */
  readonly line?: (line: ConsoleLine) => T | undefined
  /** What stands in the last, unfinished line once nothing has followed for {@link settleMs}. */
  readonly prompt?: (tail: string) => T | undefined
  readonly settleMs?: number
  /** After this long without anything but messages of the kernel's, and again after as long. */
  readonly idle?: { readonly afterMs: number; readonly react: () => T | undefined }
}

interface ExpectOptions {
  /** For the error: "the login prompt of serial console of r1". */
  readonly what: string
  readonly timeoutMs: number
  readonly timeoutCode?: ErrorCode
  readonly hint?: string
  /** What the error says when the time is over, before the last lines; default: that `what` did not come, and the hint. */
  readonly late?: () => { readonly message: string; readonly hint: string }
  readonly signal?: AbortSignal | undefined
}

/** A serial line as a sequence of lines and prompts. One expectation at a time. */
export interface Console {
  readonly description: string
  readonly transcript: Transcript | undefined
  /** File of the transcript, for messages. */
  readonly record: string | undefined
  /** Resolves when the stream has taken the text. `secret` keeps it out of the transcript. */
  send(text: string, options?: { readonly secret?: boolean }): Promise<void>
  /** @throws VmrError `timeoutCode` (GUEST_COMMAND_TIMEOUT) with the last lines seen, GUEST_CONSOLE_LOST, or what the signal was aborted with. */
  expect<T>(watch: Watch<T>, options: ExpectOptions): Promise<T>
  /** Forgets lines that nobody has looked at. */
  drain(): void
  /** The last lines, for messages. */
  lastLines(count: number): readonly string[]
  /** Set once the stream has ended or failed. */
  lost(): VmrError | undefined
  /** Called with every whole line from now on, beside whatever expectation runs; returns its own removal. */
  onLine(listener: (text: string) => void): () => void
  /** Called once when the stream has ended or failed. */
  onLost(listener: (error: VmrError) => void): void
  /** Lets go of the stream without ending it. */
  detach(): void
}

export interface ConsoleOptions {
  /** For messages: "serial console of r1". */
  readonly description: string
  readonly transcript?: Transcript
  /** File of the transcript, for messages. */
  readonly record?: string
  /** What the guest said before: the last lines of it, for messages. */
  readonly earlierLines?: readonly string[]
}

/** A line is cut into pieces of this many characters: prompts are far shorter, and no rescan grows with the output. */
const maxTail = 4096
/** What the kernel writes to its console in the middle of anything (kernel/printk/printk.c, print_time). */
export const kernelMessage = /\[ *\d+\.\d{6}\](?:\[ *[TC]\d+\])? /
const kernelLineStart = new RegExp(`^${kernelMessage.source}`)
/** One that has not ended yet, at the end of a line. */
const startedKernelMessage = /\r*\[ *(?:\d+(?:\.\d{0,6}(?:\](?:\[ *[TC]?\d*\]?)?(?: .*)?)?)?)?$/
/** A longer last line is no prompt, and is not searched again with each byte. */
const maxSearched = 512
/** Lines kept for the next expectation while none runs. Older ones are dropped. */
const maxBacklog = 2000
const evidenceLines = 10
const maxEvidenceLine = 200
const defaultSettleMs = 50

interface Waiter {
  readonly onLines: () => void
  readonly onBytes: () => void
  readonly fail: (error: unknown) => void
}

/** Reads a Duplex that carries a terminal: a libvirt console stream, a UNIX socket of QEMU's. */
export function attachConsole(stream: Duplex, options: ConsoleOptions): Console {
  const { description, transcript, record } = options
  const text = createTerminalText()
  const listeners = new Set<(line: string) => void>()
  const lostListeners: ((error: VmrError) => void)[] = []
  const recent = (options.earlierLines ?? []).slice(-evidenceLines).map((line) => line.slice(0, maxEvidenceLine))
  let backlog: ConsoleLine[] = []
  let backlogStart = 0
  let tail = ''
  /** The last line as it was when a prompt in it ended an expectation: that prompt counts once. */
  let takenTail: string | undefined
  let tailIsPiece = false
  /** Lines that are not the kernel's. */
  let linesOfOthers = 0
  let failure: VmrError | undefined
  let waiter: Waiter | undefined

  /** What stands in the last line but for a message of the kernel's that is just coming. */
  const standing = () => (tail.length > maxSearched ? tail : tail.replace(startedKernelMessage, ''))

  const keepLine = (line: ConsoleLine) => {
    if (!kernelLineStart.test(line.text)) linesOfOthers += 1
    backlog.push(line)
    if (backlog.length - backlogStart > maxBacklog) backlogStart += 1
    if (backlogStart > maxBacklog) {
      backlog = backlog.slice(backlogStart)
      backlogStart = 0
    }
    recent.push(line.text.slice(0, maxEvidenceLine))
    if (recent.length > 4 * evidenceLines) recent.splice(0, recent.length - 2 * evidenceLines)
    if (line.ended) for (const listener of listeners) listener(line.text)
    if (backlog.length - backlogStart >= maxBacklog / 2) waiter?.onLines()
  }

  const take = (piece: string) => {
    let start = 0
    for (let end = piece.indexOf('\n'); end >= 0; end = piece.indexOf('\n', start)) {
      append(piece.slice(start, end))
      endLine()
      start = end + 1
    }
    append(piece.slice(start))
  }
  /** A kernel message that fell into a line is a line of its own, and the line that it fell into goes on. */
  const endLine = () => {
    const message = tailIsPiece ? -1 : tail.search(kernelMessage)
    if (message > 0) {
      // A CR there is the first half of a line end.
      const interrupted = tail.slice(0, message).replace(/\r+$/, '')
      keepLine({ text: tail.slice(message), ended: true })
      tail = interrupted
      return
    }
    keepLine({ text: tail, ended: true })
    tail = ''
    tailIsPiece = false
    takenTail = undefined
  }
  const append = (part: string) => {
    let rest = part
    while (tail.length + rest.length > maxTail) {
      const room = maxTail - tail.length
      keepLine({ text: tail + rest.slice(0, room), ended: false })
      tail = ''
      tailIsPiece = true
      rest = rest.slice(room)
    }
    tail += rest
  }

  const evidence = (count = evidenceLines) => {
    const lines = [...recent, tail.slice(-maxEvidenceLine)].filter((line) => line.trim() !== '')
    return lines.slice(-count)
  }

  const lose = (cause: unknown) => {
    if (failure !== undefined) return
    const last = evidence(3)
    failure = new VmrError(
      'GUEST_CONSOLE_LOST',
      `the ${description} ended${last.length === 0 ? '' : `; last seen: ${last.join(' | ')}`}`,
      {
        hint: 'The guest has stopped or was destroyed, or another client took its console. See its state with `vmr vm list`.',
        cause,
      },
    )
    transcript?.note('the console ended')
    transcript?.end()
    waiter?.fail(failure)
    for (const listener of lostListeners) listener(failure)
  }

  const onData = (chunk: Uint8Array | string) => {
    const piece = text.write(typeof chunk === 'string' ? Buffer.from(chunk, 'utf8') : chunk)
    if (piece !== '') {
      transcript?.received(piece)
      take(piece)
    }
    waiter?.onBytes()
  }
  const onEnd = () => lose(undefined)
  const onError = (error: unknown) => lose(error)
  stream.on('data', onData)
  stream.on('end', onEnd)
  stream.on('close', onEnd)
  stream.on('error', onError)

  return {
    description,
    transcript,
    record,
    lost: () => failure,
    lastLines: (count) => evidence(count),
    drain() {
      backlog = []
      backlogStart = 0
    },
    onLine(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    onLost(listener) {
      if (failure === undefined) lostListeners.push(listener)
      else listener(failure)
    },
    detach() {
      stream.off('data', onData)
      stream.off('end', onEnd)
      stream.off('close', onEnd)
      transcript?.end()
      failure ??= new VmrError('GUEST_CONSOLE_LOST', `the ${description} was let go of`)
      waiter?.fail(failure)
    },
    send(typed, { secret = false } = {}) {
      if (failure !== undefined) return Promise.reject(failure)
      transcript?.sent(typed, { secret })
      return new Promise((resolve, reject) => {
        const onClosed = () => reject(failure ?? new VmrError('GUEST_CONSOLE_LOST', `the ${description} ended`))
        stream.once('close', onClosed)
        stream.write(Buffer.from(typed, 'utf8'), (error) => {
          stream.off('close', onClosed)
          if (error) {
            lose(error)
            onClosed()
          } else {
            resolve()
          }
        })
      })
    },
    expect<T>(watch: Watch<T>, expectation: ExpectOptions) {
      return new Promise<T>((resolve, reject) => {
        const { signal } = expectation
        if (waiter !== undefined) throw new VmrError('INTERNAL', `two expectations at once on the ${description}`)
        if (signal?.aborted) return reject(abortError(signal, `waiting for ${expectation.what}`))

        let last = { standing: standing(), linesOfOthers }
        let idleTimer: NodeJS.Timeout | undefined
        let settleTimer: NodeJS.Timeout | undefined
        const stop = () => {
          waiter = undefined
          clearTimeout(deadline)
          clearTimeout(settleTimer)
          clearTimeout(idleTimer)
          signal?.removeEventListener('abort', onAbort)
        }
        const fail = (error: unknown) => {
          stop()
          reject(error)
        }
        const finish = (value: T) => {
          stop()
          resolve(value)
        }
        const onAbort = () => {
          if (signal !== undefined) fail(abortError(signal, `waiting for ${expectation.what} on the ${description}`))
        }
        /** Runs a reaction; whatever it throws ends the expectation. True when the expectation has ended. */
        const ends = (react: () => T | undefined): boolean => {
          try {
            const value = react()
            if (value === undefined) return waiter === undefined
            finish(value)
          } catch (error) {
            fail(error)
          }
          return true
        }
        const onSettled = () => {
          const text = standing()
          if (watch.prompt === undefined || text === takenTail || tailIsPiece || text === '') return
          const { prompt } = watch
          if (ends(() => prompt(text.slice(text.lastIndexOf('\r') + 1)))) takenTail = text
        }
        const onIdle = () => {
          const { idle } = watch
          if (idle === undefined || ends(idle.react)) return
          idleTimer?.refresh()
        }
        const onLines = () => {
          while (backlogStart < backlog.length) {
            const line = backlog[backlogStart]
            backlogStart += 1
            if (line === undefined || watch.line === undefined) continue
            const { line: react } = watch
            if (ends(() => react(line))) return
          }
          backlog = []
          backlogStart = 0
        }
        const onBytes = () => {
          onLines()
          if (waiter === undefined) return
          const now = { standing: standing(), linesOfOthers }
          // The kernel neither disturbs a prompt that stands before its messages nor is a sign that one will come.
          if (now.standing === last.standing && now.linesOfOthers === last.linesOfOthers) return
          last = now
          settleTimer?.refresh()
          idleTimer?.refresh()
        }
        const deadline = setTimeout(() => {
          const seen = evidence()
          const late = expectation.late?.() ?? {
            message: `${expectation.what} did not come within ${formatSeconds(expectation.timeoutMs)} on the ${description}`,
            hint: expectation.hint,
          }
          const message = `${late.message}${
            seen.length === 0 ? '; it stayed silent' : `; last lines:\n${seen.map((line) => `  ${line}`).join('\n')}`
          }`
          fail(
            new VmrError(
              expectation.timeoutCode ?? 'GUEST_COMMAND_TIMEOUT',
              message,
              late.hint === undefined ? {} : { hint: late.hint },
            ),
          )
        }, expectation.timeoutMs)

        waiter = { onLines, onBytes, fail }
        signal?.addEventListener('abort', onAbort, { once: true })
        onLines()
        if (waiter === undefined) return
        // Lines that came before the end are still worth reading; only then is the end the answer.
        if (failure !== undefined) return fail(failure)
        if (watch.prompt !== undefined) settleTimer = setTimeout(onSettled, watch.settleMs ?? defaultSettleMs)
        if (watch.idle !== undefined) idleTimer = setTimeout(onIdle, watch.idle.afterMs)
      })
    },
  }
}

/** The error of a guest, with a hint of where everything that was typed and shown can be read. */
export function withRecord(error: unknown, record: string | undefined): unknown {
  if (record === undefined || !isVmrError(error) || !/^(?:GUEST_|TIMED_OUT)/.test(error.code)) return error
  if (error.hint?.includes(record)) return error
  const hint = [error.hint, `All that was typed and shown is in ${record}`]
    .filter((text) => text !== undefined)
    .join('\n')
  return new VmrError(error.code, error.message, { hint, cause: error.cause ?? error })
}

export function formatSeconds(milliseconds: number): string {
  return milliseconds < 1000 ? `${Math.round(milliseconds)} ms` : `${Math.round(milliseconds / 100) / 10} s`
}
