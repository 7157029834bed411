import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { runReport, runReportSchema } from '../../src/report/run-report.ts'
import { terminalTable } from '../../src/report/terminal-table.ts'
import { run } from '../results/example-run.ts'
import { matrixRun } from './matrix-run.ts'

const golden = fileURLToPath(new URL('golden/quick.txt', import.meta.url))

describe('the table of a run', () => {
  it('looks as it should, without colours for a file or a pipe', async () => {
    assert.equal(`${terminalTable(run)}\n`, await readFile(golden, 'utf8'))
  })

  it('fits a terminal of 120 columns', () => {
    const longest = Math.max(
      ...terminalTable(run)
        .split('\n')
        .map((line) => line.length),
    )
    assert.ok(longest <= 120, `${longest} columns`)
  })

  it('has the highest rate without loss for each frame size that was searched, and says where there is none', () => {
    const text = terminalTable(matrixRun)
    assert.match(text, /│ forward │ bridge │ IPv4 +│ PC1>PC2 +│ 128 +│ 484375 +│ 310\.0 +│ 50 % +│ 2 +│/)
    assert.match(text, /│ forward │ bridge │ IPv4 +│ PC1>PC2 +│ 1518 +│ none +│ none +│ – +│ 1 +│/)
    assert.doesNotMatch(terminalTable(run), /without loss/)
  })

  it('says with colours the same as without', () => {
    const coloured = terminalTable(run, { colour: true })
    assert.match(coloured, /\u001b\[31m/)
    assert.equal(coloured.replace(/\u001b\[\d+m/g, ''), terminalTable(run))
  })

  it('has no column for a direction whose throughput nobody measured', () => {
    const cells = run.cells.map((cell) => ({ ...cell, throughput: cell.throughput.slice(0, 1) }))
    const text = terminalTable({ ...run, cells })
    assert.match(text, /│ Mbit\/s PC1>VM │ of limit │ verdict/)
    assert.match(text, /│ PC1>VM │ VM>PC1 │/)
  })

  it('of a run that has not measured yet says so', () => {
    assert.match(terminalTable({ ...run, cells: [] }), /0 healthy, 5 not run$/)
  })

  it('shows nothing from a guest that could drive the terminal', () => {
    const [cell] = run.cells
    assert.ok(cell)
    const text = terminalTable({
      ...run,
      cells: [{ ...cell, verdict: { verdict: 'error', error: { code: 'X', message: 'a\u001b]0;owned\u0007b\nc' } } }],
    })
    assert.doesNotMatch(text, /[\u001b\u0007]/)
  })
})

describe('the JSON report of a run', () => {
  it('fits its published schema and tells the exit status', () => {
    const report = runReportSchema.parse(JSON.parse(JSON.stringify(runReport(run, 'results/x'))))
    assert.equal(report.exitStatus, 8)
    assert.deepEqual(report.tally, { healthy: 3, broken: 1, error: 1, impossible: 0, missing: 0 })
  })
})
