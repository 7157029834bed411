import { writeFileSync } from 'node:fs'
import { relative } from 'node:path'
import Mocha from 'mocha'
import type { FileReport } from './report.ts'

/** Mocha's spec report, and what it found in each file, as JSON at VMR_TEST_REPORT for whoever adds up several runs. */
export default class ReportFileReporter extends Mocha.reporters.Spec {
  readonly files = new Map<string, FileReport>()

  constructor(runner: Mocha.Runner, options: Mocha.MochaOptions) {
    super(runner, options)
    runner.on('pass', (test) => {
      this.of(test).passed += 1
    })
    runner.on('pending', (test) => {
      this.of(test).skipped += 1
    })
    runner.on('fail', (test, error: Error) => {
      this.of(test).failures.push({ title: test.titlePath().join(' › '), message: String(error?.message ?? error) })
    })
  }

  /** A hook has no file of its own. */
  of({ file, parent }: Mocha.Runnable): FileReport {
    const name = relative(process.cwd(), file ?? parent?.file ?? '')
    const found = this.files.get(name) ?? { file: name, passed: 0, skipped: 0, failures: [] }
    this.files.set(name, found)
    return found
  }

  override done(failures: number, report?: (failures: number) => void): void {
    const path = process.env.VMR_TEST_REPORT
    if (path !== undefined) writeFileSync(path, JSON.stringify([...this.files.values()]))
    report?.(failures)
  }
}
