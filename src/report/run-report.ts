import { z } from 'zod'
import { overheadOf, runExitStatus, tally } from '../bench/verdict.ts'
import { cellResultSchema, manifestSchema, type Run } from '../results/schema.ts'

const count = z.number().int().nonnegative()
const seconds = z.number().nonnegative()

/** What `vmr bench run --json` prints. */
export const runReportSchema = z.object({
  /** The run's folder. */
  folder: z.string(),
  /** Of the process, if nothing else failed: 0 healthy, 3 a mode breaks a family, 8 a cell could not be measured. */
  exitStatus: z.number().int(),
  tally: z.object({ healthy: count, broken: count, error: count, impossible: count, missing: count }),
  /** Beyond the seconds of load. */
  overhead: z.object({
    cells: count,
    seconds,
    perCellSeconds: seconds,
    /** Of the seconds: what they went into. */
    parts: z.object({
      boot: seconds,
      enterHost: seconds,
      switchMode: seconds,
      configure: seconds,
      probing: seconds,
      measuring: seconds,
      evidence: seconds,
    }),
  }),
  manifest: manifestSchema,
  cells: z.array(cellResultSchema),
})
export type RunReport = z.infer<typeof runReportSchema>

export function runReport({ manifest, cells }: Run, folder: string): RunReport {
  const counts = tally(manifest.planned, cells)
  const run = { manifest, cells }
  return {
    folder,
    exitStatus: runExitStatus(counts),
    tally: counts,
    overhead: overheadOf(run),
    manifest,
    cells: [...cells],
  }
}
