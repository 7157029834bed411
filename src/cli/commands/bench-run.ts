import { randomInt } from 'node:crypto'
import packageJson from '../../../package.json' with { type: 'json' }
import { type Matrix, matrixSchema } from '../../bench/matrix.ts'
import { type CellSelection, type Plan, planCells } from '../../bench/plan.ts'
import { runPlan } from '../../bench/runner.ts'
import { cellLine } from '../../bench/verdict.ts'
import { findConfigFile } from '../../config/find-config-file.ts'
import { loadDomainDefinition } from '../../config/load-domain-definition.ts'
import { loadYaml } from '../../config/load-yaml.ts'
import { journalDirectory } from '../../config/paths.ts'
import type { Accelerator } from '../../domain/domain-xml.ts'
import { findNicMode, loadNicModes, type NicModes } from '../../domain/nic-modes.ts'
import { VmrError } from '../../errors/vmr-error.ts'
import { runReport } from '../../report/run-report.ts'
import { terminalTable } from '../../report/terminal-table.ts'
import { detectHostCapabilities } from '../../testbed/host-capabilities.ts'
import { loadTestbed } from '../../testbed/testbed.ts'
import { withConnection } from '../../vm/host.ts'
import { prepareGuest } from '../../vm/prepare-guest.ts'
import type { CommandContext, CommandStatus } from '../context.ts'
import { withProgress } from '../progress.ts'
import { type BenchSelectionOptions, readCosts, selectionOf, withOverrides } from './bench-selection.ts'

export interface BenchRunOptions extends BenchSelectionOptions {
  readonly json?: true | undefined
  readonly results: string
  readonly accel: 'auto' | Accelerator
  readonly connect: string
}

const testbedName = 'lab'

export async function benchRun(context: CommandContext, options: BenchRunOptions): Promise<CommandStatus> {
  const { signal } = context
  const matrix = withOverrides(await loadYaml(await findConfigFile('matrices', options.matrix), matrixSchema), options)
  const modes = await loadNicModes()
  const selection = selectionOf(options, modes)
  const capabilities = await detectHostCapabilities({ signal })
  const seed = randomInt(2 ** 31)
  const costs = await readCosts(options.results)
  const plan = planCells({ matrix, selection, capabilities, seed, costs })
  requireCells(plan, modes, options.matrix)
  return runAndShow(context, {
    ...options,
    matrixName: options.matrix,
    matrix,
    modes,
    selection,
    seed,
    plan,
    capabilities,
  })
}

export function requireCells(plan: Plan, modes: NicModes, matrixName: string): void {
  if (plan.cells.length === 0)
    throw new VmrError('USAGE', `no cell of the matrix ${matrixName} is left to measure`, {
      hint: 'Choose among the cases, modes, families and directions that the matrix has: `vmr bench plan`.',
    })
  for (const cell of plan.cells) if (cell.dut === 'vm') findNicMode(modes, cell.mode)
}

interface PreparedRun {
  readonly matrixName: string
  readonly matrix: Matrix
  readonly modes: NicModes
  readonly selection: CellSelection
  readonly seed: number
  readonly plan: Plan
  readonly capabilities: Awaited<ReturnType<typeof detectHostCapabilities>>
  readonly resume?: string
  readonly json?: true | undefined
  readonly results: string
  readonly accel: 'auto' | Accelerator
  readonly connect: string
}

export async function runAndShow({ terminal, signal }: CommandContext, run: PreparedRun): Promise<CommandStatus> {
  const definition = await loadDomainDefinition('lab-router')
  const testbed = await loadTestbed(testbedName)
  const finished = await withProgress(terminal, run.matrixName, async (report) => {
    let place = ''
    const onProgress = (activity: string) => report(`${place}${activity}`)
    const { image, accelerator } = await prepareGuest({ requested: run.accel, signal, onProgress })
    return withConnection(
      run.connect,
      (connection) =>
        runPlan({
          ...run,
          connection,
          definition,
          testbedName,
          testbed,
          image,
          accelerator,
          resultsDirectory: run.results,
          journalDirectory: journalDirectory(),
          vmrVersion: packageJson.version,
          signal,
          onProgress,
          onVisit: (_visit, { number, of }) => {
            place = `${number}/${of} `
          },
          onCell: (cell) => {
            // A person watches one line that changes; a log gets a line a cell.
            if (!terminal.interactive) terminal.notice(cellLine(cell))
          },
        }),
      signal,
    )
  })
  const report = runReport(finished, finished.folder)
  if (run.json) terminal.json(report)
  else {
    terminal.result(terminalTable(finished, { colour: terminal.colour }))
    const { perCellSeconds, cells } = report.overhead
    terminal.result(`overhead: ${perCellSeconds.toFixed(1)} s a cell beyond the seconds measured (${cells} cells)`)
    terminal.result(`results: ${finished.folder}`)
  }
  return report.exitStatus
}
