import { isVmrError, VmrError } from '../errors/vmr-error.ts'

/**
 * Why an operation was aborted, as the error to reject with: the signal's own VmrError, TIMED_OUT for
 * `AbortSignal.timeout()`, INTERRUPTED for anything else.
 *
 * @param doing what was going on, as "ip link show on this host".
 */
export function abortError(signal: AbortSignal, doing: string): VmrError {
  const reason: unknown = signal.reason
  if (isVmrError(reason)) return reason
  if (reason instanceof DOMException && reason.name === 'TimeoutError')
    return new VmrError('TIMED_OUT', `${doing} did not finish in time`, { cause: reason })
  return new VmrError('INTERRUPTED', `${doing} was interrupted`, { cause: reason })
}

export function throwIfAborted(signal: AbortSignal | undefined, doing: string): void {
  if (signal?.aborted) throw abortError(signal, doing)
}

/**
 * Hands an abort on while the task lasts, and no longer: what it opened can then still be used to take changes back.
 */
export async function abortableUntilDone<T>(
  signal: AbortSignal,
  task: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController()
  const onAbort = () => controller.abort(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  if (signal.aborted) onAbort()
  try {
    return await task(controller.signal)
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
