import { isVmrError, VmrError } from '../errors/vmr-error.ts'
import type { Journal, JournalContent } from './journal.ts'
import { describeStep, type UndoKind, type UndoStep, type UndoStepOf, volatileKinds } from './steps.ts'

/**
 * What came of one step. `gone`: there was nothing left to take back. `shared`: somebody else uses it by now, and it
 * stays with them.
 */
export type UndoOutcome = 'undone' | 'gone' | 'shared'

/** How each kind of step is taken back; every one of them may be called again after a crash in its middle. */
export type UndoExecutors = {
  readonly [Kind in UndoKind]?: (step: UndoStepOf<Kind>) => Promise<UndoOutcome>
}

export interface UndoneStep {
  readonly step: UndoStep
  readonly outcome: UndoOutcome | 'failed'
  readonly error?: unknown
}

export interface UndoAllOptions {
  readonly executors: UndoExecutors
  readonly onStep?: (undone: UndoneStep) => void
  /** See {@link JournalContent.earlierBoot}. */
  readonly earlierBoot?: boolean
}

/**
 * Takes every pending step back, the last one first, always to the end: a step that fails stays in the journal and
 * does not keep the ones before it. Not to be interrupted, so it takes no signal.
 *
 * @throws VmrError CLEANUP_INCOMPLETE for the first step that failed, after all were tried.
 */
export async function undoAll(
  journal: Journal,
  { executors, onStep, earlierBoot = false }: UndoAllOptions,
): Promise<void> {
  const failures: { readonly step: UndoStep; readonly error: unknown }[] = []
  for (const { id, step } of [...journal.pending()].reverse()) {
    try {
      const outcome = earlierBoot && volatileKinds.has(step.kind) ? 'gone' : await execute(step, executors)
      // A full disk must not stop the clean-up: a step noted as pending is found gone the next time.
      await journal.undone(id).catch(() => undefined)
      onStep?.({ step, outcome })
    } catch (error) {
      failures.push({ step, error })
      onStep?.({ step, outcome: 'failed', error })
    }
  }
  const [first] = failures
  if (first === undefined) return
  const reason = first.error instanceof Error ? first.error.message : String(first.error)
  const more = failures.length > 1 ? ` (and ${failures.length - 1} more)` : ''
  throw new VmrError('CLEANUP_INCOMPLETE', `${describeStep(first.step)} could not be taken back: ${reason}${more}`, {
    hint: (isVmrError(first.error) ? first.error.hint : undefined) ?? 'Mend the cause, then run `vmr cleanup`.',
    cause: first.error,
  })
}

async function execute<Kind extends UndoKind>(step: UndoStepOf<Kind>, executors: UndoExecutors): Promise<UndoOutcome> {
  const executor: ((step: UndoStepOf<Kind>) => Promise<UndoOutcome>) | undefined = executors[step.kind as Kind]
  if (executor === undefined) throw new Error(`nothing here can take back a ${step.kind}`)
  return executor(step)
}

/**
 * Runs the task, then takes back what it journaled, also when it failed or was aborted; closes the journal. The
 * task's own error wins over one of the clean-up, which is then reported by `onStep` alone. A task that calls
 * `journal.keep()` and succeeds keeps its changes.
 *
 * Ending signals must reach the task as an abort: what it then rejects with is thrown after the clean-up.
 */
export async function withUndo<T>(
  journal: Journal,
  options: UndoAllOptions,
  task: (journal: Journal) => Promise<T>,
): Promise<T> {
  let kept = false
  const tracked: Journal = {
    ...journal,
    keep: async () => {
      await journal.keep()
      kept = true
    },
  }
  try {
    const result = await runTask()
    if (!kept) await undoAll(journal, options)
    return result
  } finally {
    // Whatever is still in it, the file says; `vmr cleanup` reads it.
    await journal.close().catch(() => undefined)
  }

  async function runTask(): Promise<T> {
    try {
      return await task(tracked)
    } catch (error) {
      await undoAll(journal, options).catch(() => undefined)
      throw error
    }
  }
}
