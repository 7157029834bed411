import assert from 'node:assert/strict'
import { matrixSchema } from '../../src/bench/matrix.ts'
import { unmeasuredCell } from '../../src/bench/measure-cell.ts'
import { planCells } from '../../src/bench/plan.ts'
import { benchProgress, secondsLeft } from '../../src/cli/bench-progress.ts'
import { VmrError } from '../../src/errors/vmr-error.ts'

const matrix = matrixSchema.parse({
  title: 'two cells',
  cells: [{ case: 'nic', dut: 'vm', modes: ['bridge'] }],
  throughput: { seconds: 10, repetitions: 2 },
})
const capabilities = { vlan: true, ip6Tunnel: true }
const costs = { boot: 5, switchMode: 2, configure: 3, enterHost: 1, cell: 4 }

function progressOn(interactive: boolean) {
  const [lines, shown]: [string[], string[]] = [[], []]
  const { visits } = planCells({ matrix, capabilities, seed: 1, costs })
  const progress = benchProgress({
    ...{ matrix, capabilities, visits, costs },
    terminal: { interactive, notice: (text) => void lines.push(text) },
    report: (activity, detail) => void shown.push(detail === undefined ? activity : `${activity} | ${detail}`),
  })
  return { progress, visits, lines, shown }
}

describe('the progress of a run', () => {
  it('tells a log what begins, what comes next, how long it takes, and what was measured', () => {
    const { progress, visits, lines } = progressOn(false)
    const [first, second] = visits
    assert.ok(first && second)
    progress.visit(first, 1)
    progress.cell(unmeasuredCell(first.cell, new VmrError('MEASUREMENT_FAILED', 'the port is taken')))
    progress.visit(second, 2)
    // 5 + 3 s of set-up, and 4 + 20 s for each of the cells.
    assert.equal(lines[0], `1/2 ${first.cell.id}, about 56 s left, next: ${second.cell.id}`)
    assert.match(lines[1] ?? '', /not measured: the port is taken/)
    assert.match(lines[2] ?? '', /^2\/2 nic\/bridge\/vm\/ipv[46], about \d+ s left$/)
  })

  it('shows a person the same in place, with the last figures', () => {
    const { progress, visits, lines, shown } = progressOn(true)
    const [first, second] = visits
    assert.ok(first && second)
    progress.visit(first, 1)
    progress.activity(`${first.cell.id}: iperf3`)
    progress.cell(unmeasuredCell(first.cell, new VmrError('MEASUREMENT_FAILED', 'the port is taken')))
    progress.visit(second, 2)
    assert.deepEqual(lines, [])
    assert.equal(shown[1], `1/2 ${first.cell.id}: iperf3`)
    assert.match(shown[2] ?? '', /left · last: .*the port is taken/)
  })

  it('believes the plan at first, and later the pace of this host', () => {
    assert.equal(secondsLeft(0, 3, 100), 100)
    assert.equal(secondsLeft(120, 240, 100), 200)
    assert.equal(secondsLeft(30, 60, 100), 150)
  })
})
