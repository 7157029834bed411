import Mocha from 'mocha'
import { closingLine, type TestCounts } from './closing-line.ts'

/**
 * Mocha's spec report, closed by one plain line that people and machines can read. Under run-tests.ts, which adds up
 * several reports, it tells its counts to that instead.
 */
export default class ClosingLineReporter extends Mocha.reporters.Spec {
  override done(failures: number, report?: (failures: number) => void): void {
    const { passes, pending } = this.stats
    const counts: TestCounts = { passed: passes, failed: this.stats.failures, skipped: pending }
    const end = () => report?.(failures)
    if (process.send === undefined) process.stdout.write(`${closingLine(counts)}\n`, end)
    else
      process.send(counts, undefined, {}, () => {
        // An open channel would keep this process alive.
        process.disconnect()
        end()
      })
  }
}
