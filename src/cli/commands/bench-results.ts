import Table from 'cli-table3'
import { type CellHistory, compareRuns, historyOf, type ThroughputChange } from '../../bench/compare.ts'
import { tally } from '../../bench/verdict.ts'
import { exitStatus } from '../../errors/codes.ts'
import { runReport } from '../../report/run-report.ts'
import { terminalTable } from '../../report/terminal-table.ts'
import { plain } from '../../report/words.ts'
import { findRun } from '../../results/find-run.ts'
import { readRun } from '../../results/run-folder.ts'
import { importRun, listRuns } from '../../results/run-index.ts'
import type { CellResult } from '../../results/schema.ts'
import type { CommandContext, CommandStatus } from '../context.ts'
import { choice, type Words } from './bench-selection.ts'

interface ResultsOptions {
  readonly json?: true | undefined
  readonly results: string
}

const newTable = (head: readonly string[]) =>
  new Table({ head: [...head], style: { head: [], border: [], compact: true } })

export async function benchList(
  { terminal }: CommandContext,
  { json, results }: ResultsOptions,
): Promise<CommandStatus> {
  const { runs, unreadable } = await listRuns(results)
  const rows = runs.map(({ manifest, cells, folder }) => ({
    run: manifest.run,
    folder,
    matrix: manifest.matrix.name,
    startedAt: manifest.startedAt,
    state: manifest.endedAt === undefined ? ('ended early' as const) : ('complete' as const),
    ...tally(manifest.planned, cells),
  }))
  if (json) {
    terminal.json<'bench list'>({ runs: rows, unreadable })
    return undefined
  }
  for (const message of unreadable) terminal.warn(message)
  if (rows.length === 0) {
    terminal.result(`there is no run in ${results}`)
    return undefined
  }
  const table = newTable(['run', 'state', 'healthy', 'broken', 'error', 'impossible', 'missing'])
  for (const { run, state, healthy, broken, error, impossible, missing } of rows)
    table.push([plain(run), state, healthy, broken, error, impossible, missing])
  terminal.result(table.toString())
  return undefined
}

export async function benchShow(
  { terminal }: CommandContext,
  name: string,
  { json, results }: ResultsOptions,
): Promise<CommandStatus> {
  const folder = await findRun(name, results)
  const run = await readRun(folder)
  if (json) terminal.json<'bench show'>(runReport(run, folder))
  else terminal.result(terminalTable(run, { colour: terminal.colour }))
  return undefined
}

export async function benchCompare(
  { terminal }: CommandContext,
  before: string,
  after: string,
  { json, results, failOn }: ResultsOptions & { readonly failOn?: 'regression' | undefined },
): Promise<CommandStatus> {
  const [first, second] = [await readRun(await findRun(before, results)), await readRun(await findRun(after, results))]
  const comparison = compareRuns(first, second, second.manifest.seed)
  if (json) terminal.json<'bench compare'>({ before: first.manifest.run, after: second.manifest.run, ...comparison })
  else {
    const table = newTable(['cell', 'verdict', 'way', 'Mbit/s', 'ratio (95 %)', 'difference'])
    for (const { id, before: was, after: is, throughput } of comparison.cells) {
      const verdict = was === is ? is : `${was} -> ${is}`
      if (throughput.length === 0) table.push([plain(id), verdict, '-', '-', '-', '-'])
      for (const change of throughput) table.push([plain(id), verdict, ...changeTexts(change)])
    }
    terminal.result(`${first.manifest.run} -> ${second.manifest.run}`)
    terminal.result(table.toString())
    for (const id of comparison.onlyBefore) terminal.result(`only in the first: ${plain(id)}`)
    for (const id of comparison.onlyAfter) terminal.result(`only in the second: ${plain(id)}`)
  }
  const worse = comparison.cells.some(({ regression }) => regression)
  return failOn === 'regression' && worse ? exitStatus.modeBroken : undefined
}

function changeTexts({ way, direction, before, after, ratio, interval, change }: ThroughputChange): string[] {
  const rate = (value: number | undefined) => (value === undefined ? '-' : (value / 1e6).toFixed(0))
  const range = interval === undefined ? '' : ` (${interval.low.toFixed(2)}–${interval.high.toFixed(2)})`
  return [
    `${plain(direction)}${way === 'both' ? ' (both)' : ''}`,
    `${rate(before)} -> ${rate(after)}`,
    ratio === undefined ? '-' : `${ratio.toFixed(2)}${range}`,
    change,
  ]
}

interface HistoryOptions extends ResultsOptions {
  readonly case?: Words
  readonly mode?: Words
  readonly family?: Words
  readonly ipv6?: true | undefined
}

export async function benchHistory({ terminal }: CommandContext, options: HistoryOptions): Promise<CommandStatus> {
  const { runs, unreadable } = await listRuns(options.results)
  const named = (words: Words) => (words === true ? undefined : words)
  const [cases, modes] = [named(options.case), named(options.mode)]
  const families = options.ipv6 ? ['ipv6'] : choice('--family', options.family, ['ipv4', 'ipv6'] as const)
  const history = historyOf(
    runs,
    (cell: CellResult) =>
      (cases?.includes(cell.case) ?? true) &&
      (modes === undefined || (cell.mode !== undefined && modes.includes(cell.mode))) &&
      (families?.includes(cell.family) ?? true),
  )
  if (options.json) {
    terminal.json<'bench history'>({ cells: history, unreadable })
    return undefined
  }
  for (const message of unreadable) terminal.warn(message)
  if (history.length === 0) {
    terminal.result(`no run in ${options.results} has such a cell`)
    return undefined
  }
  const table = newTable(['cell', 'runs', 'now', 'since', 'Mbit/s first -> last', 'changed with'])
  for (const each of history) table.push(historyTexts(each))
  terminal.result(table.toString())
  return undefined
}

function historyTexts({ id, entries, since, changedWith }: CellHistory): string[] {
  const medians = entries.flatMap(({ median }) => (median === undefined ? [] : [(median / 1e6).toFixed(0)]))
  const [first, last] = [medians[0], medians.at(-1)]
  return [
    plain(id),
    String(entries.length),
    since.verdict,
    since === entries[0] ? 'always' : since.startedAt.slice(0, 16).replace('T', ' '),
    first === undefined || last === undefined ? '-' : `${first} -> ${last}`,
    plain(changedWith.join(', ')) || '-',
  ]
}

export async function benchImport(
  { terminal }: CommandContext,
  path: string,
  { json, results }: ResultsOptions,
): Promise<CommandStatus> {
  const folder = await importRun(path, results)
  if (json) terminal.json<'bench import'>({ folder })
  else terminal.result(`imported: ${folder}`)
  return undefined
}
