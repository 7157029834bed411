import assert from 'node:assert/strict'
import fc from 'fast-check'
import { compareRuns, historyOf } from '../../src/bench/compare.ts'
import { judgedExitStatus } from '../../src/bench/verdict.ts'
import type { CellResult, Run } from '../../src/results/schema.ts'
import { healthyCell, manifest, run } from '../results/example-run.ts'

const id = 'nic/bridge/vm/ipv4'

/** A run with one cell of these rates in Mbit/s. */
function runOf(
  rates: readonly number[],
  change: Partial<CellResult> = {},
  versions: Partial<Run['manifest']> = {},
): Run {
  const cell = healthyCell(id, 'bridge')
  const [record] = cell.throughput
  assert.ok(record?.status === 'measured')
  const sample = record.samples[0]
  assert.ok(sample)
  const samples = rates.map((rate) => ({ ...sample, bitsPerSecond: rate * 1e6 }))
  const median = [...rates].sort((a, b) => a - b)[Math.floor(rates.length / 2)] ?? 0
  const throughput = [{ ...record, samples, summary: { ...record.summary, median: median * 1e6 } }]
  return { manifest: { ...manifest, planned: [id], ...versions }, cells: [{ ...cell, throughput, ...change }] }
}

const around = (rate: number) => [rate - 4, rate - 2, rate - 1, rate, rate + 1, rate + 2, rate + 4]

describe('the comparison of two runs', () => {
  it('calls a difference one only where its interval says so', () => {
    const change = (before: readonly number[], after: readonly number[]) =>
      compareRuns(runOf(before), runOf(after), 1).cells[0]?.throughput[0]?.change
    assert.equal(change(around(900), around(800)), 'slower')
    assert.equal(change(around(800), around(900)), 'faster')
    assert.equal(change(around(900), around(899)), 'no difference shown')
    assert.equal(change([900, 901, 902], [500, 501, 502]), 'too few samples')
  })

  it('of a run with itself finds nothing', () => {
    const rates = fc.array(fc.integer({ min: 1, max: 1000 }), { minLength: 1, maxLength: 12 })
    fc.assert(
      fc.property(rates, fc.nat(), (values, seed) => {
        const [cell] = compareRuns(runOf(values), runOf(values), seed).cells
        assert.equal(cell?.regression, false)
        assert.equal(cell?.throughput[0]?.ratio, 1)
      }),
      { numRuns: 20 },
    )
  })

  it('calls a cell that broke a regression, and one that healed none', () => {
    const broken: Partial<CellResult> = {
      verdict: { verdict: 'broken', family: 'ipv4', directions: ['pc1>dut'], when: 'always' },
    }
    const [healthy, lost] = [runOf(around(900)), runOf(around(900), broken)]
    assert.equal(compareRuns(healthy, lost, 1).cells[0]?.regression, true)
    assert.equal(compareRuns(lost, healthy, 1).cells[0]?.regression, false)
  })

  it('names cells that only one of them has', () => {
    const other = { ...run, cells: run.cells.slice(1) }
    assert.deepEqual(compareRuns(run, other, 1).onlyBefore, [id])
    assert.deepEqual(compareRuns(other, run, 1).onlyAfter, [id])
  })
})

describe('the history of a cell', () => {
  it('says since when a mode breaks a family, and with which versions that came', () => {
    const broken: Partial<CellResult> = {
      verdict: { verdict: 'broken', family: 'ipv4', directions: ['pc1>dut'], when: 'always' },
    }
    const failed: Partial<CellResult> = { verdict: { verdict: 'error', error: { code: 'X', message: 'x' } } }
    const runs = [
      runOf([900], {}, { run: 'a', qemu: '7.2.0' }),
      runOf([900], {}, { run: 'b', qemu: '7.2.0' }),
      runOf([900], broken, { run: 'c', qemu: '8.0.0' }),
      runOf([900], failed, { run: 'd', qemu: '8.0.0' }),
      runOf([900], broken, { run: 'e', qemu: '8.0.0' }),
    ]
    const [history] = historyOf(runs, () => true)
    assert.equal(history?.since.run, 'c')
    assert.deepEqual(history?.changedWith, ['qemu 7.2.0 -> 8.0.0'])
    assert.deepEqual(
      history?.entries.map((entry) => entry.run),
      ['a', 'b', 'c', 'e'],
    )
    assert.deepEqual(
      historyOf(runs, ({ family }) => family === 'ipv6'),
      [],
    )
  })
})

describe('the exit status of a judged run', () => {
  it('counts only what was asked for, and always what could not be measured', () => {
    const measured = { manifest: { ...manifest, planned: run.cells.map((cell) => cell.id) }, cells: run.cells }
    const whole = {
      manifest: { ...measured.manifest, planned: measured.manifest.planned.slice(0, 4) },
      cells: run.cells.slice(0, 4),
    }
    assert.equal(judgedExitStatus(measured, ['regression'], 0), 8)
    assert.equal(judgedExitStatus(whole, ['regression'], 0), 0)
    assert.equal(judgedExitStatus(whole, ['regression'], 1), 3)
    assert.equal(judgedExitStatus(whole, ['ipv6'], 0), 3)
    const ipv4 = { ...whole, cells: whole.cells.filter(({ family }) => family === 'ipv4') }
    assert.equal(judgedExitStatus({ ...ipv4, manifest: { ...manifest, planned: [] } }, ['ipv6'], 0), 0)
  })
})
