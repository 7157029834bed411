import { readdir, readFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { hasErrno } from '../errors/write-error.ts'

/** Environment variable that marks a process and, inherited, whatever it starts. */
export const markVariable = 'VMR_UNDO_MARK'

const graceMs = 2_000
const killMs = 2_000
const pollMs = 20

/**
 * Ends every process with the mark in its environment: TERM, and KILL after a grace period. True when there was one.
 *
 * The mark is known before the process is, so there is no moment in which it runs unrecorded; and it is random, so a
 * pid that was used again is never taken for it.
 */
export async function endMarkedProcesses(mark: string): Promise<boolean> {
  const first = await signalMarked(mark, 'SIGTERM')
  if (first === 0) return false
  if (await goneWithin(mark, graceMs)) return true
  await signalMarked(mark, 'SIGKILL')
  if (await goneWithin(mark, killMs)) return true
  throw new Error('the process is still there after SIGKILL')
}

async function goneWithin(mark: string, milliseconds: number): Promise<boolean> {
  for (const deadline = performance.now() + milliseconds; performance.now() < deadline; ) {
    if ((await markedProcesses(mark)).length === 0) return true
    await delay(pollMs)
  }
  return false
}

async function signalMarked(mark: string, signal: NodeJS.Signals): Promise<number> {
  const pids = await markedProcesses(mark)
  for (const pid of pids) {
    try {
      process.kill(pid, signal)
    } catch (error) {
      if (!hasErrno(error, 'ESRCH')) throw error
    }
  }
  return pids.length
}

async function markedProcesses(mark: string): Promise<readonly number[]> {
  const entry = `${markVariable}=${mark}`
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number)
  const marked = await Promise.all(
    pids.map(async (pid) => {
      try {
        return (await readFile(`/proc/${pid}/environ`, 'utf8')).split('\0').includes(entry)
      } catch {
        // Gone, a zombie, or another user's: not one that vmr started.
        return false
      }
    }),
  )
  return pids.filter((_pid, index) => marked[index])
}
