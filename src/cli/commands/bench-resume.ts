import { cellSelectionSchema, matrixSchema } from '../../bench/matrix.ts'
import { planCells } from '../../bench/plan.ts'
import { journalDirectory } from '../../config/paths.ts'
import { loadNicModes } from '../../domain/nic-modes.ts'
import { VmrError } from '../../errors/vmr-error.ts'
import { findRun } from '../../results/find-run.ts'
import { readRun } from '../../results/run-folder.ts'
import { detectHostCapabilities } from '../../testbed/host-capabilities.ts'
import { cleanUp } from '../../undo/clean-up.ts'
import { undoExecutors } from '../../vm/domain-undo.ts'
import type { CommandContext, CommandStatus } from '../context.ts'
import { runAndShow } from './bench-run.ts'

interface BenchResumeOptions {
  readonly json?: true | undefined
  readonly results: string
}

export async function benchResume(
  context: CommandContext,
  name: string,
  options: BenchResumeOptions,
): Promise<CommandStatus> {
  const { signal } = context
  const folder = await findRun(name, options.results)
  const { manifest } = await readRun(folder)
  const mismatch = (what: string) =>
    new VmrError('RESULTS_INVALID', `${manifest.run} cannot be resumed: ${what}`, {
      hint: 'Start it anew with `vmr bench run`.',
    })
  const matrix = matrixSchema.safeParse(manifest.matrix.definition)
  const selection = cellSelectionSchema.safeParse(manifest.selection)
  if (!matrix.success || !selection.success) throw mismatch('its matrix was written by another version of vmr')
  if (manifest.importedFrom !== undefined) throw mismatch(`it ran on another machine (${manifest.importedFrom})`)
  const capabilities = await detectHostCapabilities({ signal })
  const plan = planCells({ matrix: matrix.data, selection: selection.data, capabilities, seed: manifest.seed })
  if (plan.cells.map(({ id }) => id).join() !== manifest.planned.join())
    throw mismatch('this vmr plans other cells for it')
  // What the run that died left behind has the names of what comes now.
  await cleanUp({ directory: journalDirectory(), executors: undoExecutors, signal })
  return runAndShow(context, {
    json: options.json,
    results: options.results,
    matrixName: manifest.matrix.name,
    matrix: matrix.data,
    modes: await loadNicModes(),
    selection: selection.data,
    seed: manifest.seed,
    plan,
    capabilities,
    resume: folder,
    accel: manifest.accelerator ?? 'auto',
    connect: manifest.libvirt?.uri ?? 'qemu:///system',
  })
}
