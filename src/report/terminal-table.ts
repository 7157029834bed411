import Table from 'cli-table3'
import picocolors from 'picocolors'
import { tally } from '../bench/verdict.ts'
import type { CellResult, Manifest, Run, ThroughputRecord } from '../results/schema.ts'
import {
  acceleratorWords,
  directionLabel,
  directionsOf,
  dutLabelOf,
  familyLabel,
  modeLabel,
  notesOf,
  plain,
  reached,
  verdictWords,
} from './words.ts'
import { zeroLossColumns, zeroLossRows } from './zero-loss.ts'

export interface TableOptions {
  /** Default false: text for a file or a pipe. */
  readonly colour?: boolean
}

type Colours = ReturnType<typeof picocolors.createColors>

/**
 * The table of a run: a head that says what was measured on what, one line a cell and one below a broken cell, and how
 * many cells are healthy. Ends without a newline.
 */
export function terminalTable({ manifest, cells }: Run, { colour = false }: TableOptions = {}): string {
  const colours = picocolors.createColors(colour)
  const cases = [...new Set(cells.map((cell) => cell.case))]
  return [
    head(manifest),
    ...cases.map((name) =>
      caseTable(
        cells.filter((cell) => cell.case === name),
        colours,
      ),
    ),
    ...zeroLossTable(cells),
    foot({ manifest, cells }, colours),
  ].join('\n')
}

function head(manifest: Manifest): string {
  const { guest, host, libvirt, qemu, accelerator } = manifest
  const versions = [
    `kernel ${host.kernel}`,
    ...(libvirt === undefined ? [] : [`libvirt ${libvirt.version}`]),
    ...(qemu === undefined ? [] : [`QEMU ${qemu}`]),
    ...Object.entries(host.versions).map(([program, version]) => `${program} ${version}`),
  ]
  const lines = [
    `${manifest.matrix.name}  (run ${manifest.run})`,
    ...(guest === undefined
      ? []
      : [`Guest: ${guest.label}${accelerator === undefined ? '' : `, ${acceleratorWords[accelerator]}`}`]),
    `Host:  ${[...versions, `${host.cpus} CPUs`].join(', ')}`,
  ]
  return lines.map(plain).join('\n')
}

function caseTable(cells: readonly CellResult[], colours: Colours): string {
  const directions = directionsOf(cells)
  const dutLabel = dutLabelOf(cells)
  const measured = directions.filter((direction) =>
    cells.some(({ throughput }) => throughput.some((each) => each.direction === direction)),
  )
  const label = (direction: string) => directionLabel(direction, dutLabel)
  const rates = measured.flatMap((direction) => [`Mbit/s ${label(direction)}`, 'of limit'])
  const columns = 3 + directions.length + rates.length
  const draw = (notes: (cell: CellResult) => readonly string[]) => {
    const table = new Table({
      head: ['mode', 'family', ...directions.map(label), ...rates, 'verdict'],
      style: { head: [], border: [], compact: true },
    })
    for (const cell of cells) {
      table.push([
        modeLabel(cell),
        familyLabel(cell.family),
        ...directions.map((direction) => reachedText(cell, direction, colours)),
        ...measured.flatMap((direction) => throughputTexts(cell, direction)),
        verdictText(cell, colours),
      ])
      const lines = notes(cell)
      if (lines.length > 0) table.push([{ colSpan: columns, content: lines.join('\n') }])
    }
    return table.toString()
  }
  // A note may be longer than any terminal is wide: it is fitted into the table as the figures make it.
  const noteColumns = (draw(() => []).split('\n')[0]?.length ?? 0) - bordersAndPadding
  const drawn = draw((cell) => notesOf(cell, dutLabel).map((note) => wrapped(`└ ${note}`, noteColumns)))
  return [cells[0]?.case ?? '', drawn, ...legend(cells)].join('\n')
}

/** Nothing where no search was asked for. */
function zeroLossTable(cells: readonly CellResult[]): readonly string[] {
  const rows = zeroLossRows(cells)
  if (rows.length === 0) return []
  const table = new Table({ head: [...zeroLossColumns], style: { head: [], border: [], compact: true } })
  table.push(...rows.map((row) => row.map(plain)))
  return ['highest rate of UDP without loss, by frame size (after RFC 2544)', table.toString()]
}

const bordersAndPadding = 4

/** How the figures came about; nothing where there are none. */
function legend(cells: readonly CellResult[]): readonly string[] {
  const [first] = cells.flatMap(({ throughput }) => throughput.flatMap((each) => ('samples' in each ? [each] : [])))
  const [sample] = first?.samples ?? []
  if (first === undefined || sample === undefined) return []
  const runs = `${first.samples.length} × ${Math.round(sample.seconds)} s`
  return [
    `Mbit/s: median (min–max) of ${runs} ${first.protocol.toUpperCase()} with ${sample.tool}. of limit: of the payload that fits on the wire.`,
  ]
}

function wrapped(text: string, columns: number): string {
  return plain(text)
    .split(' ')
    .reduce<string[]>((lines, word) => {
      const last = lines.at(-1)
      if (last !== undefined && last.length + word.length < columns) lines[lines.length - 1] = `${last} ${word}`
      else lines.push(lines.length === 0 ? word : `  ${word}`)
      return lines
    }, [])
    .join('\n')
}

function reachedText(cell: CellResult, direction: string, colours: Colours): string {
  switch (reached(cell, direction)) {
    case undefined:
      return '-'
    case 'yes':
      return colours.green('yes')
    case 'no':
      return colours.red('NO')
    case 'partly':
      return colours.red('partly')
  }
}

function throughputTexts(cell: CellResult, direction: string): readonly string[] {
  const record = cell.throughput.find((each) => each.direction === direction)
  if (record === undefined) return ['-', '-']
  if (record.status === 'unreachable') return ['unreachable', '-']
  return [rateText(record), `${Math.round(record.shareOfWireLimit * 100)} %`]
}

/** Median, and the whole range of what was seen. */
function rateText({ summary }: Extract<ThroughputRecord, { status: 'measured' }>): string {
  const [middle, low, high] = [summary.median, summary.min, summary.max].map((rate) => (rate / 1e6).toFixed(0))
  return summary.count === 1 ? `${middle}` : `${middle} (${low}–${high})`
}

const verdictColours = { healthy: 'green', broken: 'red', error: 'yellow', impossible: 'dim' } as const

function verdictText(cell: CellResult, colours: Colours): string {
  return colours[verdictColours[cell.verdict.verdict]](verdictWords(cell))
}

function foot({ manifest, cells }: Run, colours: Colours): string {
  const { healthy, broken, error, impossible, missing } = tally(manifest.planned, cells)
  return [
    colours.green(`${healthy} healthy`),
    ...(broken > 0 ? [colours.red(`${broken} broken`)] : []),
    ...(error > 0 ? [colours.yellow(`${error} could not be measured`)] : []),
    ...(impossible > 0 ? [`${impossible} not possible here`] : []),
    ...(missing > 0 ? [colours.yellow(`${missing} not run`)] : []),
  ].join(', ')
}
