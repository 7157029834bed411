import { runChecked } from '../shell/shell.ts'
import type { ObservedMachine } from './evidence/observe.ts'

export interface GuardOptions {
  /** Longer than the change is meant to last. */
  readonly seconds: number
  readonly signal?: AbortSignal | undefined
}

/**
 * Has a guest run a command after a while by itself: should vmr be killed, nobody else takes back what it changed there,
 * since no journal of this host reaches into it.
 *
 * @returns what calls that off.
 */
export async function guardGuest(
  { shell, asRoot }: ObservedMachine,
  argv: readonly string[],
  { seconds, signal }: GuardOptions,
): Promise<() => Promise<void>> {
  const script = 'setsid sh -c \'sleep "$1"; shift; exec "$@"\' guard "$@" </dev/null >/dev/null 2>&1 & echo "$!"'
  const words = [String(seconds), ...asRoot, ...argv]
  const options = signal === undefined ? {} : { signal }
  const pid = (await runChecked(shell, ['bash', '-c', script, 'bash', ...words], options)).trim()
  return async () => {
    // Its process group, the sleep included.
    if (/^\d+$/.test(pid)) await shell.run(['kill', '--', `-${pid}`])
  }
}
