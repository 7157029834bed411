import { randomInt } from 'node:crypto'
import { basename } from 'node:path'
import packageJson from '../../../package.json' with { type: 'json' }
import { compareRuns } from '../../bench/compare.ts'
import { type CellSelection, type Matrix, matrixSchema } from '../../bench/matrix.ts'
import { type Plan, planCells } from '../../bench/plan.ts'
import { type FinishedRun, runPlan } from '../../bench/runner.ts'
import {
  type FailureKind,
  failureKinds,
  judgedExitStatus,
  overheadLines,
  runExitStatus,
  tally,
} from '../../bench/verdict.ts'
import { findConfigFile } from '../../config/find-config-file.ts'
import { loadDomainDefinition } from '../../config/load-domain-definition.ts'
import { loadYaml } from '../../config/load-yaml.ts'
import { journalDirectory } from '../../config/paths.ts'
import type { Accelerator } from '../../domain/domain-xml.ts'
import { findNicMode, loadNicModes, type NicModes } from '../../domain/nic-modes.ts'
import { VmrError } from '../../errors/vmr-error.ts'
import { runReport } from '../../report/run-report.ts'
import { terminalTable } from '../../report/terminal-table.ts'
import { findRun } from '../../results/find-run.ts'
import { readRun } from '../../results/run-folder.ts'
import { listRuns } from '../../results/run-index.ts'
import type { Run } from '../../results/schema.ts'
import { detectHostCapabilities } from '../../testbed/host-capabilities.ts'
import { loadTestbed } from '../../testbed/testbed.ts'
import { withConnection } from '../../vm/host.ts'
import { prepareGuest } from '../../vm/prepare-guest.ts'
import { benchProgress } from '../bench-progress.ts'
import type { CommandContext, CommandStatus } from '../context.ts'
import { withProgress } from '../progress.ts'
import {
  type BenchSelectionOptions,
  choice,
  readCosts,
  selectionOf,
  type Words,
  withOverrides,
} from './bench-selection.ts'

export interface BenchRunOptions extends BenchSelectionOptions {
  readonly json?: true | undefined
  readonly results: string
  readonly accel: 'auto' | Accelerator
  readonly connect: string
  readonly failOn?: Words
  readonly baseline?: string | undefined
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
  const failOn = choice('--fail-on', options.failOn, failureKinds)
  return runAndShow(context, {
    ...options,
    failOn,
    matrixName: matrixNameOf(options.matrix),
    matrix,
    modes,
    selection,
    seed,
    plan,
    capabilities,
  })
}

/** A file of one's own goes by its name without folder and ending. */
function matrixNameOf(nameOrPath: string): string {
  return basename(nameOrPath).replace(/\.ya?ml$/, '')
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
  readonly failOn?: readonly FailureKind[] | undefined
  readonly baseline?: string | undefined
  readonly json?: true | undefined
  readonly results: string
  readonly accel: 'auto' | Accelerator
  readonly connect: string
}

export async function runAndShow({ terminal, signal }: CommandContext, run: PreparedRun): Promise<CommandStatus> {
  const definition = await loadDomainDefinition('lab-router')
  const testbed = await loadTestbed(testbedName)
  const finished = await withProgress(terminal, run.matrixName, async (report) => {
    const progress = benchProgress({
      matrix: run.matrix,
      capabilities: run.capabilities,
      visits: run.plan.visits,
      costs: await readCosts(run.results),
      terminal,
      report,
    })
    const onProgress = progress.activity
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
          onVisit: (visit, { number }) => progress.visit(visit, number),
          onCell: progress.cell,
        }),
      signal,
    )
  })
  const judged = await judge(finished, run)
  const report = { ...runReport(finished, finished.folder), exitStatus: judged.exitStatus }
  if (run.json)
    terminal.json<'bench run' | 'bench resume'>({
      ...report,
      ...(judged.comparison === undefined ? {} : { regressions: judged.regressions }),
    })
  else {
    terminal.result(terminalTable(finished, { colour: terminal.colour }))
    for (const line of overheadLines(report.overhead)) terminal.result(line)
    if (judged.comparison !== undefined)
      terminal.result(
        judged.regressions.length === 0
          ? `no regression against ${judged.comparison}`
          : `worse than in ${judged.comparison}: ${judged.regressions.join(', ')}`,
      )
    terminal.result(`results: ${finished.folder}`)
  }
  return report.exitStatus
}

interface Judgement {
  readonly exitStatus: number
  /** The run that it was compared with. */
  readonly comparison?: string
  readonly regressions: readonly string[]
}

/** The exit status that the person asked for: by default any broken cell counts. */
async function judge(run: FinishedRun, { failOn, baseline, results }: PreparedRun): Promise<Judgement> {
  if (failOn === undefined)
    return { exitStatus: runExitStatus(tally(run.manifest.planned, run.cells)), regressions: [] }
  if (!failOn.includes('regression')) return { exitStatus: judgedExitStatus(run, failOn, 0), regressions: [] }
  const before = await baselineOf(run, baseline, results)
  if (before === undefined) return { exitStatus: judgedExitStatus(run, failOn, 0), regressions: [] }
  const regressions = compareRuns(before, run, run.manifest.seed)
    .cells.filter(({ regression }) => regression)
    .map(({ id }) => id)
  return {
    exitStatus: judgedExitStatus(run, failOn, regressions.length),
    comparison: before.manifest.run,
    regressions,
  }
}

/** The run named, or the latest complete one of the same matrix and accelerator; the first run has none. */
async function baselineOf(run: FinishedRun, name: string | undefined, results: string): Promise<Run | undefined> {
  if (name !== undefined) return readRun(await findRun(name, results))
  const { runs } = await listRuns(results)
  const { matrix, accelerator, startedAt } = run.manifest
  return runs.findLast(
    ({ manifest }) =>
      manifest.matrix.name === matrix.name &&
      manifest.accelerator === accelerator &&
      manifest.startedAt < startedAt &&
      manifest.endedAt !== undefined,
  )
}
