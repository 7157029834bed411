import { errorCodes, exitStatus } from '../errors/codes.ts'
import type { Family } from '../ipv6/reachability.ts'
import type { CellResult, ReachabilityRecord, Run, Verdict } from '../results/schema.ts'

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

/** What a run's cells cost beyond the load: everything from making the lab to the last probe. */
export function overheadOf({ manifest, cells }: Run): { cells: number; seconds: number; perCellSeconds: number } {
  const measured = cells.filter(({ verdict }) => verdict.verdict !== 'impossible').length
  const seconds = Object.values(manifest.costs)
    .flat()
    .reduce((sum, each) => sum + each, 0)
  return { cells: measured, seconds, perCellSeconds: measured === 0 ? 0 : seconds / measured }
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
