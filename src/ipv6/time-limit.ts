import { setMaxListeners } from 'node:events'
import { VmrError } from '../errors/vmr-error.ts'

/** Seconds that a diagnosis may take: one direction of one family, or everything; a second VM doubles what is asked. */
export function diagnosisSeconds(wanted: {
  readonly family?: string | undefined
  readonly direction?: string | undefined
  readonly peer?: string | undefined
}): number {
  return wanted.peer === undefined && wanted.family !== undefined && wanted.direction !== undefined ? 30 : 90
}

/** What proving one cause by its cure may add. */
export const proofSeconds = 15

export interface TimeLimit {
  readonly seconds: number
  /** What is given up then, for the error. */
  readonly what: () => string
  readonly hint?: string
  /** The caller's. */
  readonly signal: AbortSignal
}

/**
 * Gives a task a signal that aborts it when its time is over, or when the caller's does.
 *
 * @throws VmrError TIMED_OUT naming what was given up; whatever the task throws.
 */
export async function withinSeconds<T>(
  { seconds, what, hint, signal }: TimeLimit,
  task: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const over = new AbortController()
  const giveUp = () => {
    const message = `${what()} was given up at its limit of ${seconds} s`
    over.abort(new VmrError('TIMED_OUT', message, hint === undefined ? {} : { hint }))
  }
  const timer = setTimeout(giveUp, seconds * 1000)
  const either = AbortSignal.any([signal, over.signal])
  // Every command listens for the abort, and they run many at a time.
  setMaxListeners(0, either)
  try {
    return await task(either)
  } finally {
    clearTimeout(timer)
  }
}
