import { VmrError } from '../errors/vmr-error.ts'
import { withHostLock } from './host-lock.ts'
import { type JournalContent, listJournals, reopenJournal } from './journal.ts'
import { volatileKinds } from './steps.ts'
import { type UndoExecutors, type UndoneStep, undoAll } from './undo-all.ts'

export interface CleanUpOptions {
  readonly directory: string
  readonly executors: UndoExecutors
  /** Also what is meant to stay, and what a running vmr works on. */
  readonly force?: boolean
  readonly onJournal?: (journal: JournalContent) => void
  readonly onStep?: (undone: UndoneStep) => void
  readonly signal?: AbortSignal
}

/** What {@link cleanUp} would take back: journals whose process died over them, newest first. */
export async function staleJournals(
  directory: string,
  { force = false }: { readonly force?: boolean } = {},
): Promise<readonly JournalContent[]> {
  const journals = await listJournals(directory)
  return journals.filter((journal) => force || journal.state === 'stale' || isEmptied(journal)).reverse()
}

/** A lab that was meant to stay did not survive the machine's restart. */
function isEmptied({ earlierBoot, steps }: JournalContent): boolean {
  return earlierBoot && steps.every(({ step }) => volatileKinds.has(step.kind))
}

/**
 * Takes back what killed runs left behind. Leaves alone what a running vmr works on, and what was meant to stay.
 *
 * @throws VmrError CLEANUP_INCOMPLETE for the first step that failed, after everything was tried; HOST_BUSY,
 * HOST_PERMISSION, INTERRUPTED (between two journals).
 */
export function cleanUp(options: CleanUpOptions): Promise<void> {
  const { directory, executors, force = false, onJournal, onStep, signal } = options
  return withHostLock({ name: 'cleanup', ...(signal === undefined ? {} : { signal }) }, async () => {
    const failures: unknown[] = []
    for (const content of await staleJournals(directory, { force })) {
      signal?.throwIfAborted()
      onJournal?.(content)
      const journal = await reopenJournal(content.path)
      try {
        const { earlierBoot } = content
        await undoAll(journal, { executors, earlierBoot, ...(onStep === undefined ? {} : { onStep }) })
      } catch (error) {
        failures.push(error)
      } finally {
        await journal.close()
      }
      const [damaged] = content.damagedLines
      if (damaged !== undefined)
        failures.push(
          new VmrError('CLEANUP_INCOMPLETE', `${content.path}:${damaged}: not readable, so not taken back`, {
            hint: 'Look at that line, take back by hand what it says, then delete the file.',
          }),
        )
    }
    if (failures.length > 0) throw failures[0]
  })
}
