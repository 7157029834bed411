import { matrixSchema } from '../../bench/matrix.ts'
import { loadSecondsOf, planCells, setupOf } from '../../bench/plan.ts'
import { findConfigFile } from '../../config/find-config-file.ts'
import { loadYaml } from '../../config/load-yaml.ts'
import { loadNicModes } from '../../domain/nic-modes.ts'
import { detectHostCapabilities } from '../../testbed/host-capabilities.ts'
import { roughTime } from '../bench-progress.ts'
import type { CommandContext, CommandStatus } from '../context.ts'
import { requireCells } from './bench-run.ts'
import { type BenchSelectionOptions, readCosts, selectionOf, withOverrides } from './bench-selection.ts'

interface BenchPlanOptions extends BenchSelectionOptions {
  readonly json?: true | undefined
  readonly results: string
  readonly seed: string
}

export async function benchPlan(
  { terminal, signal }: CommandContext,
  options: BenchPlanOptions,
): Promise<CommandStatus> {
  const matrix = withOverrides(await loadYaml(await findConfigFile('matrices', options.matrix), matrixSchema), options)
  const modes = await loadNicModes()
  const plan = planCells({
    matrix,
    selection: selectionOf(options, modes),
    capabilities: await detectHostCapabilities({ signal }),
    seed: Number.parseInt(options.seed, 10) || 0,
    costs: await readCosts(options.results),
  })
  requireCells(plan, modes, options.matrix)
  const { visits, impossible, cells, expectedSeconds } = plan
  if (options.json) {
    terminal.json<'bench plan'>({
      title: matrix.title,
      expectedSeconds,
      cells: cells.map(({ id }) => id),
      visits: visits.map((visit) => ({
        cell: visit.cell.id,
        visit: visit.number,
        setup: setupOf(visit.cell),
        ways: visit.cell.ways,
        repetitions: visit.repetitions,
        loadSeconds: loadSecondsOf(visit, matrix.throughput),
        ...(visit.cell.slide === undefined ? {} : { slide: visit.cell.slide }),
      })),
      impossible: impossible.map(({ cell, reason }) => ({ cell: cell.id, reason })),
    })
    return undefined
  }
  terminal.result(
    `${matrix.title}: ${cells.length} cells in ${visits.length} visits, about ${roughTime(expectedSeconds)}`,
  )
  for (const [index, { cell, number, repetitions }] of visits.entries()) {
    const ways = cell.ways.length === 0 ? 'reachability only' : `${repetitions} × ${cell.ways.join(', ')}`
    const again = number === 2 ? ', second visit' : ''
    const slide = cell.slide === undefined ? '' : `  [${cell.slide}]`
    terminal.result(`${String(index + 1).padStart(4)}  ${cell.id}  ${ways}${again}${slide}`)
  }
  for (const { cell, reason } of impossible) terminal.result(`   -  ${cell.id}  not possible here: ${reason}`)
  return undefined
}
