import Mocha from 'mocha'

/** Mocha's spec report, closed by one plain line that people and machines can read: `N passed, N failed[, N skipped]`. */
export default class ClosingLineReporter extends Mocha.reporters.Spec {
  override done(failures: number, report?: (failures: number) => void): void {
    const { passes, pending } = this.stats
    const skipped = pending > 0 ? `, ${pending} skipped` : ''
    process.stdout.write(`${passes} passed, ${this.stats.failures} failed${skipped}\n`, () => report?.(failures))
  }
}
