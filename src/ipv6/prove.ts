import { runChecked } from '../shell/shell.ts'
import type { Journal } from '../undo/journal.ts'
import type { UndoStep } from '../undo/steps.ts'
import type { NamedFault } from './diagnosis.ts'
import { type ObservedMachine, probeOnce } from './evidence/observe.ts'
import type { Evidence } from './evidence/schema.ts'
import { isHost } from './evidence/topology.ts'
import type { LiveChange } from './faults/fault.ts'
import { guardGuest } from './guest-guard.ts'
import { proofSeconds, withinSeconds } from './time-limit.ts'

/** Broken, healed, broken again: what a cause has to show. */
export interface CureProof {
  readonly broken: boolean
  readonly healed: boolean
  readonly brokenAgain: boolean
  /** "allmulticast of host macvtap5: off -> on -> off" */
  readonly change: string
  readonly seconds: number
}

export interface ProveRequest {
  readonly evidence: Evidence
  readonly machines: ReadonlyMap<string, ObservedMachine & { readonly netns?: string }>
  readonly journal: Journal
  readonly signal: AbortSignal
}

/** The first fix that can be made and taken back while everything runs. */
function provableFix({ fixes }: NamedFault): LiveChange | undefined {
  return fixes.find(({ change }) => change !== undefined)?.change
}

/** Should vmr be killed, a guest, which nobody cleans up, takes the change back by itself. */
const guardSeconds = 40

/**
 * Proves a cause by its cure: the path is broken, the fix is applied, it is healed, the fix is taken back, it is broken.
 * Undefined where no fix can be taken back. Whatever happens, also when its time is over, the change is taken back.
 *
 * @throws VmrError TIMED_OUT.
 */
export function proveByCure(named: NamedFault, request: ProveRequest): Promise<CureProof | undefined> {
  const what = () => `the proof of ${named.fault.id} at ${named.hop}`
  return withinSeconds({ seconds: proofSeconds, what, signal: request.signal }, (signal) =>
    breakAndCure(named, { ...request, signal }),
  )
}

async function breakAndCure(named: NamedFault, request: ProveRequest): Promise<CureProof | undefined> {
  const { evidence, machines, journal, signal } = request
  const change = provableFix(named)
  const path = evidence.paths.find(({ id }) => id === named.paths[0])
  const machine = change === undefined ? undefined : machines.get(change.machine)
  if (change === undefined || path === undefined || machine === undefined) return undefined
  const startedAt = performance.now()
  const works = async () => (await probeOnce(path, machines, signal)).received > 0
  const broken = !(await works())
  const step = undoStep(change, machine.netns)
  const id = step === undefined ? undefined : await journal.before(step)
  const words = (value: string) => [...machine.asRoot, ...argvOf(change, value)]
  const callOff =
    step === undefined
      ? await guardGuest(machine, argvOf(change, change.before), { seconds: guardSeconds, signal })
      : undefined
  let healed = false
  try {
    await runChecked(machine.shell, words(change.value), { signal })
    healed = await works()
  } finally {
    // Also when the person pressed Ctrl-C: this one may not be aborted.
    await runChecked(machine.shell, words(change.before))
    if (id !== undefined) await journal.undone(id)
    // Else it would take back a fix that is applied next.
    await callOff?.()
  }
  const brokenAgain = !(await works())
  const what = change.kind === 'sysctl' ? change.key : `${change.attribute} of ${change.link}`
  return {
    ...{ broken, healed, brokenAgain },
    change: `${what}: ${change.before} -> ${change.value} -> ${change.before}`,
    seconds: (performance.now() - startedAt) / 1000,
  }
}

/** Words that set what a change is about. */
export function argvOf(change: LiveChange, value: string): readonly string[] {
  if (change.kind === 'sysctl') return ['sysctl', '-q', '-w', `${change.key}=${value}`]
  return ['ip', 'link', 'set', 'dev', change.link, ...change.attribute.split(' '), value]
}

function undoStep(change: LiveChange, netns: string | undefined): UndoStep | undefined {
  if (!isHost(change.machine) && netns === undefined) return undefined
  const where = netns === undefined ? {} : { netns }
  if (change.kind === 'sysctl') return { kind: 'sysctl', key: change.key, value: change.before, ...where }
  return { kind: 'link-attribute', name: change.link, attribute: change.attribute, value: change.before, ...where }
}
