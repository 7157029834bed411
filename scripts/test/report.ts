import { readFile } from 'node:fs/promises'
import { z } from 'zod'

export interface TestFailure {
  /** Titles of the suites and of the test. */
  readonly title: string
  readonly message: string
}

/** What one run of mocha found. */
export interface TestReport {
  readonly passed: number
  readonly skipped: number
  readonly failures: readonly TestFailure[]
}

const reportSchema = z.object({
  passed: z.number(),
  skipped: z.number(),
  failures: z.array(z.object({ title: z.string(), message: z.string() })),
})

/** Undefined where mocha ended before it could write one. */
export async function readReport(path: string): Promise<TestReport | undefined> {
  const text = await readFile(path, 'utf8').catch(() => undefined)
  return text === undefined ? undefined : reportSchema.parse(JSON.parse(text))
}

/** `N passed, N failed[, N skipped]` */
export function closingLine({ passed, failures, skipped }: TestReport): string {
  return `${passed} passed, ${failures.length} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`
}

export function addReports(a: TestReport, b: TestReport): TestReport {
  return {
    passed: a.passed + b.passed,
    skipped: a.skipped + b.skipped,
    failures: [...a.failures, ...b.failures],
  }
}
