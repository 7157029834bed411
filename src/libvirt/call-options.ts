import { onAbort } from './abort.ts'

/** What every call takes. */
export interface CallOptions {
  /** Aborting it rejects the call with the signal's reason at once; what the daemon has begun it still completes. */
  readonly signal?: AbortSignal | undefined
  /** Milliseconds before the call fails with `VIR_ERR_OPERATION_TIMEOUT`; `Infinity` for none. */
  readonly timeoutMs?: number | undefined
}

/** setTimeout takes no longer delay: 2^31 - 1 ms, 24.8 days. */
const longestTimer = 2_147_483_647

/**
 * Calls `onEnd` once, when the signal aborts or the time is up, unless the returned function is called first.
 *
 * @param timedOut makes the error of a time limit.
 */
export function whenOverdue(
  { signal, timeoutMs = Number.POSITIVE_INFINITY }: CallOptions,
  timedOut: () => Error,
  onEnd: (error: unknown) => void,
): () => void {
  const timer =
    timeoutMs <= longestTimer
      ? setTimeout(() => {
          stop()
          onEnd(timedOut())
        }, timeoutMs)
      : undefined
  const forgetAbort = onAbort(signal, () => {
    stop()
    onEnd(signal?.reason)
  })
  const stop = () => {
    clearTimeout(timer)
    forgetAbort()
  }
  return stop
}
