import { journalDirectory } from '../config/paths.ts'
import { type LabUpOptions, labPurpose, labUp } from '../testbed/lab/lab.ts'
import type { Testbed } from '../testbed/testbed.ts'
import { openJournal } from '../undo/journal.ts'
import { withUndo } from '../undo/undo-all.ts'
import { undoExecutors } from './domain-undo.ts'

/** Makes what is missing of a lab that outlives this process, and says what was made. A failure takes that part back. */
export async function makeStandingLab(
  testbed: Testbed,
  options: Omit<LabUpOptions, 'journal'>,
): Promise<readonly string[]> {
  const journal = await openJournal({ directory: journalDirectory(), purpose: labPurpose(testbed) })
  return withUndo(journal, { executors: undoExecutors }, async (tracked) => {
    const made = await labUp(testbed, { ...options, journal: tracked })
    await tracked.keep()
    return made
  })
}
