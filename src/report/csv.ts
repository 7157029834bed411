import { stringify } from 'csv-stringify/sync'
import type { CellResult, Run } from '../results/schema.ts'
import { figuresOf, megabits } from './figures.ts'
import { directionsOf, reached } from './words.ts'

const columns = [
  'cell',
  'case',
  'dut',
  'mode',
  'family',
  'form',
  'slide',
  'verdict',
  'direction',
  'reached',
  'way',
  'protocol',
  'streams',
  'samples',
  'median_mbit_s',
  'interval_low_mbit_s',
  'interval_high_mbit_s',
  'min_mbit_s',
  'max_mbit_s',
  'wire_limit_mbit_s',
  'share_of_wire_limit',
  'ratio_to_host',
] as const

type Row = Partial<Record<(typeof columns)[number], string | number | undefined>>

/**
 * RFC 4180 with a header. One line a throughput, and one for a direction that was only probed. Rates in Mbit/s of
 * payload, shares and ratios as fractions; what was not measured is empty.
 */
export function csvReport(run: Run): string {
  const figures = figuresOf(run)
  const rows = run.cells.flatMap((cell): readonly Row[] => {
    const measured = figures.filter((figure) => figure.cell === cell)
    const withFigure = measured.map(({ record, hostRatio }): Row => {
      const { summary } = record
      return {
        ...cellColumns(cell),
        direction: record.direction,
        reached: reached(cell, record.direction),
        way: record.way,
        protocol: record.protocol,
        streams: record.streams,
        samples: summary.count,
        median_mbit_s: megabits(summary.median),
        interval_low_mbit_s: rateOf(summary.interval?.low),
        interval_high_mbit_s: rateOf(summary.interval?.high),
        min_mbit_s: megabits(summary.min),
        max_mbit_s: megabits(summary.max),
        wire_limit_mbit_s: megabits(record.wireLimitBitsPerSecond),
        share_of_wire_limit: record.shareOfWireLimit,
        ratio_to_host: hostRatio,
      }
    })
    const onlyProbed = directionsOf([cell])
      .filter((direction) => !measured.some(({ record }) => record.direction === direction))
      .map((direction): Row => ({ ...cellColumns(cell), direction, reached: reached(cell, direction) }))
    const lines = [...withFigure, ...onlyProbed]
    return lines.length === 0 ? [cellColumns(cell)] : lines
  })
  return stringify(rows, { header: true, columns: [...columns], record_delimiter: 'windows', escape_formulas: true })
}

function cellColumns({ id, case: name, dut, mode, family, form, slide, verdict }: CellResult): Row {
  return { cell: id, case: name, dut, mode, family, form, slide, verdict: verdict.verdict }
}

function rateOf(bitsPerSecond: number | undefined): number | undefined {
  return bitsPerSecond === undefined ? undefined : megabits(bitsPerSecond)
}
