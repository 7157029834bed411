import { writeFileSync } from 'node:fs'
import Mocha from 'mocha'
import type { TestFailure, TestReport } from './report.ts'

/** Mocha's spec report, and what it found as a JSON file at VMR_TEST_REPORT for whoever adds up several runs. */
export default class ReportFileReporter extends Mocha.reporters.Spec {
  readonly found: TestFailure[] = []

  constructor(runner: Mocha.Runner, options: Mocha.MochaOptions) {
    super(runner, options)
    runner.on('fail', (test, error: Error) => {
      this.found.push({ title: test.titlePath().join(' › '), message: String(error?.message ?? error) })
    })
  }

  override done(failures: number, report?: (failures: number) => void): void {
    const { passes, pending } = this.stats
    const found: TestReport = { passed: passes, skipped: pending, failures: this.found }
    const path = process.env.VMR_TEST_REPORT
    if (path !== undefined) writeFileSync(path, JSON.stringify(found))
    report?.(failures)
  }
}
