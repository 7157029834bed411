import { VmrError } from '../../errors/vmr-error.ts'
import { readLinks } from '../../os/linux/ip-json.ts'
import { type RunOptions, runChecked } from '../../shell/shell.ts'
import type { UndoStep } from '../../undo/steps.ts'
import { isHost } from '../evidence/topology.ts'
import { guardGuest } from '../guest-guard.ts'
import type { ReachableMachine } from '../observe-vm.ts'
import { placeOf, type StressBench, type Timer } from './stress.ts'

/** A timer with the value that it had. */
export interface ReadTimer extends Timer {
  readonly value: number
}

export interface ShortenedTimers {
  /** Sets them back to what they were, and reads them again; some of them first, if so wanted. */
  restore(which?: (timer: Timer) => boolean): Promise<void>
}

/** Longer than a stress: should vmr be killed, a guest, which nobody cleans up, takes its changes back by itself. */
const guardSeconds = 300

/** @throws VmrError MEASUREMENT_FAILED for a timer that is not there. */
export async function readTimers(
  machines: StressBench['machines'],
  timers: readonly Timer[],
  options: Pick<RunOptions, 'signal'> = {},
): Promise<readonly ReadTimer[]> {
  return Promise.all(
    timers.map(async (timer): Promise<ReadTimer> => {
      const { machine, link, kind, setting } = timer
      const shell = machines.get(machine)?.shell
      let value = Number.NaN
      if (shell !== undefined && kind === 'bridge') {
        const [found] = await readLinks(shell, { name: link, ...options })
        // In what it prints ip abbreviates the word that it takes.
        value = Number(found?.linkinfo?.info_data?.[setting.replace('interval', 'intvl')])
      } else if (shell !== undefined) value = Number(await runChecked(shell, ['sysctl', '-n', setting], options))
      if (Number.isSafeInteger(value)) return { ...timer, value }
      throw new VmrError('MEASUREMENT_FAILED', `${setting} of ${link} cannot be read`)
    }),
  )
}

/** Sets the timers, each noted before; one that is as it shall be is left alone. */
export async function shorten(
  bench: StressBench,
  timers: readonly ReadTimer[],
  to: (timer: ReadTimer) => number,
): Promise<ShortenedTimers> {
  const { machines, journal, signal, evidence } = bench
  interface Change {
    readonly timer: ReadTimer
    readonly machine: ReachableMachine
    readonly value: number
    readonly note?: number
  }
  const made: Change[] = []
  const guards: (() => Promise<void>)[] = []

  // Also when the person pressed Ctrl-C: nothing in here may be aborted, and nothing keeps the rest.
  const restore: ShortenedTimers['restore'] = async (which = () => true) => {
    const failures: unknown[] = []
    for (const change of made.filter(({ timer }) => which(timer)).toReversed()) {
      const { timer, machine, note, value } = change
      made.splice(made.indexOf(change), 1)
      try {
        await set(machine, timer, timer.value)
        if (note !== undefined) await journal.undone(note)
        const [again] = await readTimers(machines, [timer])
        const { setting } = timer
        const on = placeOf(evidence, timer.machine, timer.link)
        bench.addShortened({ on, setting, before: timer.value, to: value, restored: again?.value === timer.value })
      } catch (error) {
        failures.push(error)
      }
    }
    if (made.length === 0) for (const callOff of guards.splice(0)) await callOff().catch(() => undefined)
    if (failures.length > 0) throw failures[0]
  }

  try {
    for (const timer of timers) {
      const machine = machines.get(timer.machine)
      if (machine === undefined || to(timer) === timer.value) continue
      const step = undoStep(timer, machine)
      if (step === undefined)
        guards.push(await guardGuest(machine, argvOf(timer, timer.value), { seconds: guardSeconds, signal }))
      const note = step === undefined ? undefined : await journal.before(step)
      made.push({ timer, machine, value: to(timer), ...(note === undefined ? {} : { note }) })
      await set(machine, timer, to(timer), { signal })
    }
  } catch (error) {
    await restore()
    throw error
  }
  return { restore }
}

async function set(
  { shell, asRoot }: ReachableMachine,
  timer: Timer,
  value: number,
  options: Pick<RunOptions, 'signal'> = {},
): Promise<void> {
  await runChecked(shell, [...asRoot, ...argvOf(timer, value)], options)
}

function argvOf({ kind, link, setting }: Timer, value: number): readonly string[] {
  if (kind === 'sysctl') return ['sysctl', '-q', '-w', `${setting}=${value}`]
  return ['ip', 'link', 'set', 'dev', link, 'type', 'bridge', setting, String(value)]
}

/** Undefined for a guest, whose changes no journal of this host can take back. */
function undoStep(
  { machine, kind, link, setting, value }: ReadTimer,
  { netns }: ReachableMachine,
): UndoStep | undefined {
  if (!isHost(machine) && netns === undefined) return undefined
  const where = netns === undefined ? {} : { netns }
  return kind === 'sysctl'
    ? { kind: 'sysctl', key: setting, value: String(value), ...where }
    : { kind: 'link-attribute', name: link, attribute: `type bridge ${setting}`, value: String(value), ...where }
}
