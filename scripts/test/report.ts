import { readFile } from 'node:fs/promises'
import { z } from 'zod'

const fileReportSchema = z.object({
  file: z.string(),
  passed: z.number(),
  skipped: z.number(),
  /** Titles of the suites and of the test, and what went wrong. */
  failures: z.array(z.object({ title: z.string(), message: z.string() })),
})
/** What a run of mocha found in one file of tests. */
export type FileReport = z.infer<typeof fileReportSchema>

/** Undefined where mocha ended before it could write one. */
export async function readReports(path: string): Promise<readonly FileReport[] | undefined> {
  const text = await readFile(path, 'utf8').catch(() => undefined)
  return text === undefined ? undefined : z.array(fileReportSchema).parse(JSON.parse(text))
}

/** `N passed, N failed[, N skipped]` */
export function closingLine(reports: readonly FileReport[]): string {
  const sum = (count: (report: FileReport) => number) => reports.reduce((total, report) => total + count(report), 0)
  const skipped = sum((report) => report.skipped)
  const failed = sum(({ failures }) => failures.length)
  return `${sum(({ passed }) => passed)} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`
}
