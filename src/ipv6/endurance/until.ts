import { setTimeout as delay } from 'node:timers/promises'

const pollMs = 200

/** Asks again and again until it is so; false when the time is over. */
export async function until(
  isSo: () => Promise<boolean>,
  { seconds, signal }: { readonly seconds: number; readonly signal?: AbortSignal },
): Promise<boolean> {
  for (const deadline = performance.now() + seconds * 1000; ; ) {
    if (await isSo()) return true
    if (performance.now() >= deadline) return false
    await delay(pollMs, undefined, signal === undefined ? {} : { signal })
  }
}
