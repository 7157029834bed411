import { onAbort } from './abort.ts'
import { clientError } from './errors.ts'

/** Events one after the other. Leaving a `for await` loop, `return()` and the signal stop them. */
export interface Events<T> extends AsyncIterableIterator<T> {
  /** Stops the events and tells the daemon; what waits is dropped. */
  readonly return: () => Promise<IteratorResult<T>>
  readonly [Symbol.asyncIterator]: () => Events<T>
}

export interface EventQueue<T> {
  readonly events: Events<T>
  readonly push: (event: T) => void
  /** No more events; those that wait are still delivered, then the error is thrown or, without one, the loop ends. */
  readonly finish: (error?: unknown) => void
}

/**
 * A queue between events that come when they will and a reader who takes them one by one. More than `limit` waiting
 * events end it with an error: to drop some silently would be worse.
 *
 * @param onStop called once, when the reader stops, the signal aborts or the queue overflows.
 */
export function eventQueue<T>(
  limit: number,
  signal: AbortSignal | undefined,
  onStop: () => Promise<void>,
): EventQueue<T> {
  const waitingEvents: T[] = []
  const readers: { resolve: (result: IteratorResult<T>) => void; reject: (error: unknown) => void }[] = []
  let finished = false
  let failure: { readonly error: unknown } | undefined

  const takeFailure = () => {
    const taken = failure
    failure = undefined
    return taken
  }
  const finish = (error?: unknown) => {
    if (finished) return
    finished = true
    forgetAbort()
    if (error !== undefined) failure = { error }
    for (const reader of readers.splice(0)) {
      const taken = takeFailure()
      if (taken) reader.reject(taken.error)
      else reader.resolve({ done: true, value: undefined })
    }
  }
  const stop = async (error?: unknown) => {
    if (finished) return
    finish(error)
    await onStop()
  }
  const forgetAbort = onAbort(signal, () => {
    waitingEvents.length = 0
    void stop(signal?.reason)
  })

  const events: Events<T> = {
    next: () => {
      const event = waitingEvents.shift()
      if (event !== undefined) return Promise.resolve({ done: false, value: event })
      const taken = takeFailure()
      if (taken) return Promise.reject(taken.error)
      if (finished) return Promise.resolve({ done: true, value: undefined })
      return new Promise((resolve, reject) => readers.push({ resolve, reject }))
    },
    return: async () => {
      waitingEvents.length = 0
      await stop()
      return { done: true, value: undefined }
    },
    [Symbol.asyncIterator]: () => events,
  }

  return {
    events,
    push: (event) => {
      if (finished) return
      const reader = readers.shift()
      if (reader) reader.resolve({ done: false, value: event })
      else if (waitingEvents.length < limit) waitingEvents.push(event)
      else void stop(clientError('overflow', `more than ${limit} events wait to be read`))
    },
    finish,
  }
}
