import type { CellResult, Run, ThroughputRecord, Verdict, Way } from '../results/schema.ts'
import { type Interval, ratioInterval } from './statistics.ts'

/** What became of one direction's throughput from one run to another. */
export interface ThroughputChange {
  readonly way: Way
  readonly direction: string
  /** Medians, in bits per second; undefined where nothing arrived. */
  readonly before: number | undefined
  readonly after: number | undefined
  /** after / before, with its 95 % interval where there are samples enough for one. */
  readonly ratio: number | undefined
  readonly interval: Interval | undefined
  /** A difference is called one only where the interval leaves out 1. */
  readonly change: 'faster' | 'slower' | 'no difference shown' | 'too few samples' | 'lost' | 'gained' | 'none'
}

export interface CellChange {
  readonly id: string
  readonly before: Verdict['verdict']
  readonly after: Verdict['verdict']
  readonly throughput: readonly ThroughputChange[]
  /** It was healthy and is no more, or is slower beyond chance. */
  readonly regression: boolean
}

export interface RunComparison {
  /** Cells that both have, in the order of the second. */
  readonly cells: readonly CellChange[]
  readonly onlyBefore: readonly string[]
  readonly onlyAfter: readonly string[]
}

/** Compares two runs cell by cell. The same runs and seed give the same intervals. */
export function compareRuns(before: Run, after: Run, seed: number): RunComparison {
  const earlier = new Map(before.cells.map((cell) => [cell.id, cell]))
  const later = new Set(after.cells.map(({ id }) => id))
  return {
    cells: after.cells.flatMap((cell) => {
      const was = earlier.get(cell.id)
      return was === undefined ? [] : [compareCells(was, cell, seed)]
    }),
    onlyBefore: before.cells.flatMap(({ id }) => (later.has(id) ? [] : [id])),
    onlyAfter: after.cells.flatMap(({ id }) => (earlier.has(id) ? [] : [id])),
  }
}

function compareCells(before: CellResult, after: CellResult, seed: number): CellChange {
  const throughput = after.throughput.flatMap((record) => {
    const was = before.throughput.find(({ way, direction }) => way === record.way && direction === record.direction)
    return was === undefined ? [] : [compareThroughput(was, record, seed)]
  })
  const [was, is] = [before.verdict.verdict, after.verdict.verdict]
  return {
    id: after.id,
    before: was,
    after: is,
    throughput,
    regression:
      (was === 'healthy' && is !== 'healthy') ||
      throughput.some(({ change }) => change === 'slower' || change === 'lost'),
  }
}

function compareThroughput(before: ThroughputRecord, after: ThroughputRecord, seed: number): ThroughputChange {
  const { way, direction } = after
  const rates = (record: ThroughputRecord) =>
    record.status === 'measured' ? record.samples.map(({ bitsPerSecond }) => bitsPerSecond) : []
  const [was, is] = [before, after].map((record) => (record.status === 'measured' ? record.summary.median : undefined))
  const common = { way, direction, before: was, after: is }
  if (was === undefined || is === undefined) {
    const change = was === is ? 'none' : is === undefined ? 'lost' : 'gained'
    return { ...common, ratio: undefined, interval: undefined, change }
  }
  const interval = ratioInterval(rates(after), rates(before), { seed })
  return { ...common, ratio: was === 0 ? undefined : is / was, interval, change: changeOf(interval) }
}

function changeOf(interval: Interval | undefined): ThroughputChange['change'] {
  if (interval === undefined) return 'too few samples'
  if (interval.low > 1) return 'faster'
  return interval.high < 1 ? 'slower' : 'no difference shown'
}

/** One cell in one run of several. */
export interface HistoryEntry {
  readonly run: string
  readonly startedAt: string
  readonly versions: Readonly<Record<'vmr' | 'kernel' | 'libvirt' | 'qemu' | 'guest', string | undefined>>
  readonly verdict: Verdict['verdict']
  /** Of the first way measured, in bits per second. */
  readonly median: number | undefined
}

export interface CellHistory {
  readonly id: string
  /** Oldest first. */
  readonly entries: readonly HistoryEntry[]
  /** The first entry of those at the end that have the verdict of the last: since when it is so. */
  readonly since: HistoryEntry
  /** What differs between that entry's versions and those of the one before it. */
  readonly changedWith: readonly string[]
}

/** What became of each cell over runs, oldest first. A cell that could not be measured says nothing, and is left out. */
export function historyOf(runs: readonly Run[], wanted: (cell: CellResult) => boolean): readonly CellHistory[] {
  const byCell = new Map<string, HistoryEntry[]>()
  for (const { manifest, cells } of runs) {
    for (const cell of cells.filter(wanted)) {
      const { verdict } = cell.verdict
      if (verdict === 'error' || verdict === 'impossible') continue
      const measured = cell.throughput.find((record) => record.status === 'measured')
      const entry: HistoryEntry = {
        run: manifest.run,
        startedAt: manifest.startedAt,
        versions: {
          vmr: manifest.vmr,
          kernel: manifest.host.kernel,
          libvirt: manifest.libvirt?.version,
          qemu: manifest.qemu,
          guest: manifest.guest?.version,
        },
        verdict,
        median: measured?.status === 'measured' ? measured.summary.median : undefined,
      }
      byCell.set(cell.id, [...(byCell.get(cell.id) ?? []), entry])
    }
  }
  return [...byCell].flatMap(([id, entries]) => {
    const last = entries.at(-1)
    if (last === undefined) return []
    const otherwise = entries.findLastIndex(({ verdict }) => verdict !== last.verdict)
    const since = entries[otherwise + 1] ?? last
    const before = entries[otherwise]
    const changedWith =
      before === undefined
        ? []
        : (Object.keys(since.versions) as (keyof HistoryEntry['versions'])[]).flatMap((name) =>
            since.versions[name] === before.versions[name]
              ? []
              : [`${name} ${before.versions[name] ?? 'unknown'} -> ${since.versions[name] ?? 'unknown'}`],
          )
    return [{ id, entries, since, changedWith }]
  })
}
