import { errorCodes, exitStatus } from '../errors/codes.ts'
import type { Family } from '../ipv6/reachability.ts'
import type { CellResult, ReachabilityRecord, Verdict } from '../results/schema.ts'

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
  const when = after.length === 0 ? 'before load only' : before.length === 0 ? 'after load only' : 'always'
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

/** Exit status of a run: a cell that could not be measured weighs more than one that is broken. */
export function runExitStatus({ broken, error, missing }: RunTally): number {
  if (error > 0 || missing > 0) return errorCodes.MEASUREMENT_FAILED
  return broken > 0 ? exitStatus.modeBroken : exitStatus.ok
}
