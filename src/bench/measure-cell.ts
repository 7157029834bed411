import { isVmrError } from '../errors/vmr-error.ts'
import { type Evidence, evidenceFile } from '../ipv6/evidence/schema.ts'
import { readConditions } from '../results/conditions.ts'
import type { CellOverhead, CellResult } from '../results/schema.ts'
import type { Bench } from './bench.ts'
import { directionsOf, measureTraffic, searchZeroLoss } from './measure-traffic.ts'
import type { PlannedCell, Visit } from './plan.ts'
import {
  type CellProbes,
  confirmByEvidence,
  confirmByTracing,
  type ProbedOnce,
  probeAgain,
  probeAll,
} from './probe-cell.ts'
import { lostDirections, verdictOf } from './verdict.ts'

/**
 * Visits one cell: reachability from cold caches, throughput where something arrives, reachability again; of a
 * direction that is lost, where its solicitation was last seen. The result holds what earlier visits measured too. What
 * fails makes the cell an error with its cause, and ends its visits; only the caller's abort ends the run.
 */
export async function measureCell(visit: Visit, bench: Bench, earlier?: CellResult): Promise<CellResult> {
  const { cell } = visit
  const startedAt = new Date()
  const before = earlier ?? nothingMeasured(cell, startedAt)
  const progress: { -readonly [Key in keyof CellResult]: CellResult[Key] } = {
    ...before,
    actors: bench.actors,
    complete: visit.last,
  }
  const result = (verdict: CellResult['verdict']): CellResult => ({
    ...progress,
    seconds: before.seconds + (Date.now() - startedAt.getTime()) / 1000,
    verdict,
  })
  const spend = (part: keyof CellOverhead, seconds: number) => {
    progress.overhead = { ...progress.overhead, [part]: Math.max(0, progress.overhead[part] + seconds) }
  }
  const within = async <T>(part: keyof CellOverhead, task: () => Promise<T>): Promise<T> => {
    const start = performance.now()
    try {
      return await task()
    } finally {
      spend(part, (performance.now() - start) / 1000)
    }
  }
  let hasEvidence = lostDirections([...before.probesBefore, ...before.probesAfter]).length > 0
  /** A path is lost when it is lost twice: once can be a guest that a busy host kept waiting. */
  const proved = async (probe: () => Promise<ProbedOnce>): Promise<CellProbes> => {
    const once = await within('probing', probe)
    if (once.doubtful.length === 0) return confirmByTracing(cell, bench, once)
    const evidence = await within('evidence', () => gatherEvidence(cell, bench, once))
    const probes = await within('probing', () =>
      evidence === undefined ? confirmByTracing(cell, bench, once) : confirmByEvidence(cell, bench, once, evidence),
    )
    if (evidence !== undefined && !hasEvidence && lostDirections(probes.records).length > 0) {
      await bench.folder.writeRaw(`${cell.id}/${evidenceFile}`, `${JSON.stringify(evidence)}\n`)
      hasEvidence = true
    }
    return probes
  }
  try {
    progress.conditions ??= await readConditions()
    const { records: first, solicitations } = await proved(() =>
      probeAll(cell, bench, {
        only: directionsToProve(visit, bench, before),
        lostBefore: lostDirections([...before.probesBefore, ...before.probesAfter]),
      }),
    )
    progress.probesBefore = [...before.probesBefore, ...first]
    const traffic = await within('measuring', () =>
      measureTraffic(visit, bench, lostDirections(first), before.throughput),
    )
    spend('measuring', -traffic.loadSeconds)
    progress.throughput = mergedThroughput(before.throughput, traffic.throughput)
    progress.loadSeconds = before.loadSeconds + traffic.loadSeconds
    const there = bench.setup.traffic[cell.family]
    if (bench.zeroLoss !== undefined && visit.last && there?.routed === true && lostDirections(first).length === 0) {
      progress.zeroLoss = await searchZeroLoss(visit, bench, bench.zeroLoss)
      const trials = progress.zeroLoss.flatMap((record) => record.trials)
      progress.loadSeconds += trials.reduce((sum, { seconds }) => sum + seconds, 0)
    }
    const loaded = traffic.throughput.flatMap((each) => (each.status === 'measured' ? [each.direction] : []))
    // Without a load nothing can have changed since.
    const after = loaded.length === 0 ? nothingProbed : await proved(() => probeAgain(cell, bench, first, loaded))
    progress.probesAfter = [...before.probesAfter, ...after.records]
    if (before.solicitations.length === 0) progress.solicitations = [...solicitations, ...after.solicitations]
    const { probesBefore, probesAfter } = progress
    return result(verdictOf({ family: cell.family, probesBefore, probesAfter }))
  } catch (error) {
    bench.signal.throwIfAborted()
    progress.complete = true
    return result({ verdict: 'error', error: errorRecord(error) })
  }
}

const nothingProbed: CellProbes = { records: [], solicitations: [] }

/**
 * All directions at a cell's first visit. Later the machines are the same: only what will carry a load has to prove
 * again that it can, and what was lost, that it still is.
 */
function directionsToProve({ cell, number }: Visit, { setup }: Bench, before: CellResult): string[] | undefined {
  if (number === 1) return undefined
  const there = setup.traffic[cell.family]
  const carrying = there === undefined ? [] : cell.ways.flatMap((way) => directionsOf(way, there))
  return [...carrying.map(({ name }) => name), ...lostDirections([...before.probesBefore, ...before.probesAfter])]
}

/** For `vmr diagnose --run --cell`. A cell that is broken is broken also when this cannot be told more of. */
async function gatherEvidence(
  { id, family }: PlannedCell,
  { observe, folder, signal, onProgress }: Bench,
  { probes }: ProbedOnce,
): Promise<Evidence | undefined> {
  if (observe === undefined) return undefined
  onProgress('gathering evidence')
  try {
    return await observe(family, probes)
  } catch (error) {
    signal.throwIfAborted()
    if (!isVmrError(error)) throw error
    await folder.writeRaw(`${id}/no-evidence.txt`, `${error.message}\n`)
    return undefined
  }
}

/** A way that an earlier visit measured and this one found unreachable keeps its figures: the verdict tells the loss. */
function mergedThroughput(before: CellResult['throughput'], now: CellResult['throughput']): CellResult['throughput'] {
  const measuredBefore = (record: CellResult['throughput'][number]) =>
    before.find(
      ({ way, direction, status }) => status === 'measured' && way === record.way && direction === record.direction,
    )
  return now.map((record) => (record.status === 'measured' ? record : (measuredBefore(record) ?? record)))
}

function nothingMeasured(cell: PlannedCell, startedAt: Date): CellResult {
  return {
    id: cell.id,
    case: cell.case,
    dut: cell.dut,
    ...(cell.dut === 'vm' ? { mode: cell.mode } : {}),
    family: cell.family,
    form: cell.form,
    ...(cell.slide === undefined ? {} : { slide: cell.slide }),
    startedAt: startedAt.toISOString(),
    seconds: 0,
    loadSeconds: 0,
    overhead: { probing: 0, measuring: 0, evidence: 0 },
    complete: true,
    actors: {},
    probesBefore: [],
    throughput: [],
    probesAfter: [],
    solicitations: [],
    verdict: { verdict: 'healthy' },
  }
}

/** The result of a cell whose machines could not be set up. */
export function unmeasuredCell(cell: PlannedCell, error: unknown, earlier?: CellResult): CellResult {
  const before = earlier ?? nothingMeasured(cell, new Date())
  return { ...before, complete: true, verdict: { verdict: 'error', error: errorRecord(error) } }
}

export function impossibleCell(cell: PlannedCell, reason: string): CellResult {
  return { ...nothingMeasured(cell, new Date()), verdict: { verdict: 'impossible', reason } }
}

function errorRecord(error: unknown): { code: string; message: string; hint?: string } {
  if (!isVmrError(error)) return { code: 'INTERNAL', message: error instanceof Error ? error.message : String(error) }
  const { code, message, hint } = error
  return { code, message, ...(hint === undefined ? {} : { hint }) }
}
