import { journalDirectory } from '../../config/paths.ts'
import { cleanUp, staleJournals } from '../../undo/clean-up.ts'
import { describeStep } from '../../undo/steps.ts'
import type { UndoneStep } from '../../undo/undo-all.ts'
import { undoExecutors } from '../../vm/domain-undo.ts'
import type { CommandContext, CommandStatus } from '../context.ts'

interface CleanupOptions {
  readonly json?: true | undefined
  readonly dryRun?: true | undefined
}

export async function cleanup(
  { terminal, signal }: CommandContext,
  { json, dryRun }: CleanupOptions,
): Promise<CommandStatus> {
  const directory = journalDirectory()
  if (dryRun) {
    const journals = await staleJournals(directory)
    const leftovers = journals.flatMap(({ purpose, steps }) =>
      [...steps].reverse().map(({ step }) => ({ of: purpose, what: describeStep(step) })),
    )
    if (json) terminal.json<'cleanup'>({ wouldRemove: leftovers })
    else if (leftovers.length === 0) terminal.result('nothing is left behind')
    else for (const { of, what } of leftovers) terminal.result(`would remove ${what} (${of})`)
    return undefined
  }
  const undone: UndoneStep[] = []
  await cleanUp({ directory, executors: undoExecutors, signal, onStep: (step) => undone.push(step) })
  const removed = undone.map(({ step, outcome }) => ({ what: describeStep(step), outcome }))
  if (json) terminal.json<'cleanup'>({ removed })
  else if (removed.length === 0) terminal.result('nothing is left behind')
  else
    for (const { what, outcome } of removed) terminal.result(`${outcome === 'undone' ? 'removed' : outcome}: ${what}`)
  return undefined
}
