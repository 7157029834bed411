import { errorCodes, exitStatus } from '../errors/codes.ts'
import type { Family } from '../ipv6/reachability.ts'
import type { CellOverhead, CellResult, Costs, ReachabilityRecord, Run, Verdict } from '../results/schema.ts'

interface ProbedCell {
  readonly family: Family
  /** One probe a direction, from cold caches; of several probes of a direction each must succeed. */
  readonly probesBefore: readonly ReachabilityRecord[]
  readonly probesAfter: readonly ReachabilityRecord[]
}

/** Says of a family which directions a mode does not carry, by the probes before and after the load. */
export function verdictOf({ family, probesBefore, probesAfter }: ProbedCell): Verdict {
  const before = lostDirections(probesBefore)
  const after = lostDirections(probesAfter)
  const directions = [...new Set([...before, ...after])]
  if (directions.length === 0) return { verdict: 'healthy' }
  // Where nothing was loaded, nothing was probed after: what was lost is lost.
  const when =
    probesAfter.length === 0
      ? 'always'
      : after.length === 0
        ? 'before load only'
        : before.length === 0
          ? 'after load only'
          : 'always'
  return { verdict: 'broken', family, directions, when }
}

/** Directions in which no throughput can be measured. */
export function lostDirections(probes: readonly ReachabilityRecord[]): readonly string[] {
  return [...new Set(probes.filter(({ reachable }) => !reachable).map(({ direction }) => direction))]
}

export interface RunTally {
  readonly healthy: number
  readonly broken: number
  readonly error: number
  /** What this testbed cannot run; the result says why. */
  readonly impossible: number
  /** Planned, and not run to its end. */
  readonly missing: number
}

export function tally(planned: readonly string[], cells: readonly CellResult[]): RunTally {
  const count = (verdict: Verdict['verdict']) => cells.filter((cell) => cell.verdict.verdict === verdict).length
  const run = new Set(cells.flatMap(({ id, complete }) => (complete ? [id] : [])))
  return {
    healthy: count('healthy'),
    broken: count('broken'),
    error: count('error'),
    impossible: count('impossible'),
    missing: planned.filter((id) => !run.has(id)).length,
  }
}

/** One line about a finished cell, for a log. */
export function cellLine(cell: CellResult): string {
  const { id, verdict, throughput, seconds } = cell
  const rates = throughput.map((each) =>
    each.status === 'measured'
      ? `${each.direction}${each.way === 'both' ? ' (both)' : ''} ${Math.round(each.summary.median / 1e6)} Mbit/s`
      : `${each.direction} unreachable`,
  )
  const words = {
    healthy: () => 'healthy',
    broken: () => (verdict.verdict === 'broken' ? `breaks ${verdict.directions.join(', ')}` : ''),
    error: () => (verdict.verdict === 'error' ? `not measured: ${verdict.error.message}` : ''),
    impossible: () => (verdict.verdict === 'impossible' ? `not possible here: ${verdict.reason}` : ''),
  }[verdict.verdict]()
  return [id, words, ...rates, `${seconds.toFixed(0)} s`].join('  ')
}

export interface RunOverhead {
  readonly cells: number
  readonly seconds: number
  readonly perCellSeconds: number
  /** Seconds of it by what they went into; together nearly all of them. */
  readonly parts: Readonly<Record<Exclude<keyof Costs, 'cell'> | keyof CellOverhead, number>>
}

/** What a run's cells cost beyond the load: everything from making the lab to the last probe. */
export function overheadOf({ manifest: { costs }, cells }: Run): RunOverhead {
  const sum = (values: readonly number[]) => values.reduce((total, each) => total + each, 0)
  const ofCells = (part: keyof CellOverhead) => sum(cells.map(({ overhead }) => overhead[part]))
  const measured = cells.filter(({ verdict }) => verdict.verdict !== 'impossible').length
  const seconds = sum(Object.values(costs).flat())
  return {
    cells: measured,
    seconds,
    perCellSeconds: measured === 0 ? 0 : seconds / measured,
    parts: {
      boot: sum(costs.boot),
      enterHost: sum(costs.enterHost),
      switchMode: sum(costs.switchMode),
      configure: sum(costs.configure),
      probing: ofCells('probing'),
      measuring: ofCells('measuring'),
      evidence: ofCells('evidence'),
    },
  }
}

const partWords: Readonly<Record<keyof RunOverhead['parts'], string>> = {
  boot: 'booting VMs',
  enterHost: 'making the host the DUT',
  switchMode: 'switching modes',
  configure: 'configuring',
  probing: 'probing',
  measuring: 'around each measurement',
  evidence: 'evidence of what is broken',
}

/** What the overhead is and went into, the most first, in seconds a cell. */
export function overheadLines({ cells, perCellSeconds, parts }: RunOverhead): readonly string[] {
  const perCell = (Object.keys(partWords) as (keyof RunOverhead['parts'])[])
    .map((part) => ({ words: partWords[part], seconds: parts[part] / Math.max(1, cells) }))
    .filter(({ seconds }) => seconds >= 0.05)
    .toSorted((a, b) => b.seconds - a.seconds)
  return [
    `overhead: ${perCellSeconds.toFixed(1)} s a cell beyond the seconds measured (${cells} cells)`,
    ...(perCell.length === 0
      ? []
      : [`  of which ${perCell.map(({ words, seconds }) => `${words} ${seconds.toFixed(1)}`).join(', ')}`]),
  ]
}

/** Exit status of a run: a cell that could not be measured weighs more than one that is broken. */
export function runExitStatus({ broken, error, missing }: RunTally): number {
  if (error > 0 || missing > 0) return errorCodes.MEASUREMENT_FAILED
  return broken > 0 ? exitStatus.modeBroken : exitStatus.ok
}

/** What a run is judged by in continuous integration, in place of any broken cell. */
export const failureKinds = ['regression', 'ipv6'] as const
export type FailureKind = (typeof failureKinds)[number]

/** As {@link runExitStatus}, where only these kinds count; `regressions` is how many cells became worse. */
export function judgedExitStatus({ manifest, cells }: Run, kinds: readonly FailureKind[], regressions: number): number {
  const { error, missing } = tally(manifest.planned, cells)
  if (error > 0 || missing > 0) return errorCodes.MEASUREMENT_FAILED
  const breaksIpv6 = cells.some(({ family, verdict }) => family === 'ipv6' && verdict.verdict === 'broken')
  const fails = (kinds.includes('ipv6') && breaksIpv6) || (kinds.includes('regression') && regressions > 0)
  return fails ? exitStatus.modeBroken : exitStatus.ok
}
