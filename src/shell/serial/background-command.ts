import { setTimeout as delay } from 'node:timers/promises'
import { isVmrError } from '../../errors/vmr-error.ts'
import type { RunningCommand, RunResult } from '../shell.ts'
import type { GuestRunner } from './guest-runner.ts'

const maxOutputBytes = 4 * 1024 * 1024
const callTimeoutMs = 60_000
const sliceBytes = 256 * 1024
/** Between two looks at the output, while somebody waits for its lines and only then: looking costs the guest CPU. */
const pollMs = 500
/** The guest tells the end on the console; in case a kernel message fell into that line, it is also asked, seldom. */
const endCheckMs = 30_000
/** What the shell gives a command whose status nobody can know any more. */
const unknownStatus = 255

/**
 * Follows a command that the guest's program runs in the background under this name.
 *
 * @param launch starts it; by then its end is already listened for, since a short command ends before this returns
 */
export async function startBackground(
  runner: GuestRunner,
  name: string,
  signal: AbortSignal | undefined,
  launch: () => Promise<unknown>,
): Promise<RunningCommand> {
  const startedAt = performance.now()
  const limits = { timeoutMs: callTimeoutMs, maxOutputBytes }
  let stopping: Promise<RunResult> | undefined
  let settled = false
  let settle: (result: RunResult) => void = () => {}
  const ended = new Promise<RunResult>((resolve) => {
    settle = resolve
  })

  const finish = (exitCode: number, stdout: string, stderr: string) => {
    if (settled) return
    settled = true
    clearInterval(check)
    removeListener()
    signal?.removeEventListener('abort', onAbort)
    settle({ exitCode, stdout, stderr, durationMs: performance.now() - startedAt })
  }
  const giveUp = (error: unknown) => finish(unknownStatus, '', error instanceof Error ? error.message : String(error))
  let collecting: Promise<void> | undefined
  /** Both the guest's word that the command has ended and whoever ends it ask for its output: it is fetched once. */
  const collect = () => {
    collecting ??= fetchOutput().finally(() => {
      collecting = undefined
    })
    return collecting
  }
  const fetchOutput = async () => {
    if (settled) return
    try {
      const outcome = await runner.collect(name, limits)
      if (outcome.exitCode !== undefined) finish(outcome.exitCode, outcome.stdout.toString(), outcome.stderr.toString())
    } catch (error) {
      // Only an answer that never comes is final; a time-out may pass.
      if (!isVmrError(error) || error.code !== 'TIMED_OUT') giveUp(error)
    }
  }
  const stop = () => {
    stopping ??= (async () => {
      if (!settled) {
        try {
          await runner.run(['bash', runner.program, 'stop', name], limits)
          await collect()
          // What was being fetched may have been asked for before the end.
          if (!settled) await collect()
        } catch (error) {
          giveUp(error)
        }
        if (!settled) giveUp(`the command on the ${runner.console.description} could not be stopped`)
      }
      return ended
    })()
    return stopping
  }

  const onAbort = () => void stop()
  const check = setInterval(() => void collect(), endCheckMs)
  check.unref()
  const removeListener = runner.console.onLine((line) => {
    if (runner.isEndOf(name, line)) void collect()
  })
  runner.console.onLost(giveUp)
  try {
    await launch()
  } catch (error) {
    giveUp(error)
    throw error
  }
  if (signal?.aborted) onAbort()
  else signal?.addEventListener('abort', onAbort, { once: true })

  async function* readLines(): AsyncGenerator<string> {
    let offset = 0
    let rest = Buffer.alloc(0)
    for (;;) {
      const wasOver = settled
      let slice: Buffer
      try {
        slice = (await runner.run(['bash', runner.program, 'slice', name, String(offset), String(sliceBytes)], limits))
          .stdout
      } catch {
        // The end of the command tells what happened.
        break
      }
      offset += slice.length
      rest = Buffer.concat([rest, slice])
      let start = 0
      for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10, start)) {
        yield rest.toString('utf8', start, end)
        start = end + 1
      }
      rest = rest.subarray(start)
      if (slice.length > 0) continue
      if (wasOver) break
      await Promise.race([delay(pollMs), ended])
    }
    if (rest.length > 0) yield rest.toString('utf8')
  }

  return { ended, lines: { [Symbol.asyncIterator]: readLines }, stop }
}
