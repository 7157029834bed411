import type { CellResult, Run, ThroughputRecord, Way } from '../results/schema.ts'

export type MeasuredThroughput = Extract<ThroughputRecord, { status: 'measured' }>

/** One throughput of one cell. Rates in bits per second of payload. */
export interface Figure {
  readonly cell: CellResult
  readonly record: MeasuredThroughput
  /** Median over the host's own for the same case, family, way and direction; undefined where that was not measured. */
  readonly hostRatio?: number
}

/** Every throughput that was measured, in the order of the cells, beside what the host itself achieved. */
export function figuresOf({ cells }: Pick<Run, 'cells'>): readonly Figure[] {
  const measured = cells.flatMap((cell) =>
    cell.throughput.flatMap((record) => (record.status === 'measured' ? [{ cell, record }] : [])),
  )
  return measured.map(({ cell, record }) => {
    const host = measured.find(
      (other) =>
        other.cell.dut === 'host' && sameMeasurement(other, { cell, record }) && other.record.summary.median > 0,
    )
    return cell.dut === 'host' || host === undefined
      ? { cell, record }
      : { cell, record, hostRatio: record.summary.median / host.record.summary.median }
  })
}

function sameMeasurement(a: Figure, b: Figure): boolean {
  return (
    a.cell.case === b.cell.case &&
    a.cell.family === b.cell.family &&
    a.record.way === b.record.way &&
    a.record.direction === b.record.direction &&
    a.record.protocol === b.record.protocol
  )
}

/** Figures that belong into one chart: one case, one way and direction of traffic. */
export interface FigureGroup {
  readonly case: string
  readonly way: Way
  readonly direction: string
  readonly figures: readonly Figure[]
  /** Cells of the group through which nothing arrived. */
  readonly unreachable: readonly CellResult[]
}

export function figureGroups({ cells }: Pick<Run, 'cells'>): readonly FigureGroup[] {
  const figures = figuresOf({ cells })
  const keyOf = (cell: CellResult, { way, direction }: ThroughputRecord) => [cell.case, way, direction].join('\0')
  const members = cells.flatMap((cell) => cell.throughput.map((record) => ({ cell, record })))
  const firsts = members.filter(
    ({ cell, record }, index) =>
      members.findIndex((other) => keyOf(other.cell, other.record) === keyOf(cell, record)) === index,
  )
  return firsts.map((first) => {
    const key = keyOf(first.cell, first.record)
    return {
      case: first.cell.case,
      way: first.record.way,
      direction: first.record.direction,
      figures: figures.filter(({ cell, record }) => keyOf(cell, record) === key),
      unreachable: members.flatMap(({ cell, record }) =>
        record.status === 'unreachable' && keyOf(cell, record) === key ? [cell] : [],
      ),
    }
  })
}

/** In Mbit/s, as figures are shown. */
export function megabits(bitsPerSecond: number): number {
  return bitsPerSecond / 1e6
}
