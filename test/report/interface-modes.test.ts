import assert from 'node:assert/strict'
import { interfaceModes } from '../../src/report/interface-modes.ts'
import type { CellResult } from '../../src/results/schema.ts'
import { matrixRun } from './matrix-run.ts'

describe('what each interface mode carries, as a document', () => {
  const [first] = matrixRun.cells.filter(({ dut, mode }) => dut === 'vm' && mode === 'macvtap')
  const cell = (change: Partial<CellResult>): CellResult => {
    assert.ok(first !== undefined)
    return { ...first, ...change }
  }
  const probes = (reachable: boolean): Pick<CellResult, 'probesBefore' | 'probesAfter'> => {
    const all = first?.probesBefore.map((probe) => ({ ...probe, reachable })) ?? []
    return { probesBefore: all, probesAfter: [] }
  }
  const rowOf = (text: string, mode: string) => text.split('\n').find((line) => line.startsWith(`| ${mode} |`))

  it('has a row for each mode and a column for each direction, by case and family', () => {
    const text = interfaceModes(matrixRun)
    assert.match(text, /^## nic: .*, IPv6$/m)
    assert.match(text, /^\| mode \| PC1\\>VM \| VM\\>PC1 \|$/m)
    assert.match(text, /^\| macvtap \| (no|partly) \| yes \|$/m)
    assert.doesNotMatch(text, /host/)
  })

  it('tells forms of address apart only where they fare differently', () => {
    const same = interfaceModes({
      ...matrixRun,
      cells: [cell({ form: 'static', ...probes(true) }), cell({ form: 'eui64', ...probes(true) })],
    })
    assert.equal(rowOf(same, 'macvtap'), '| macvtap | yes | yes |')
    const apart = interfaceModes({
      ...matrixRun,
      cells: [cell({ form: 'static', ...probes(false) }), cell({ form: 'eui64', ...probes(true) })],
    })
    assert.equal(
      rowOf(apart, 'macvtap'),
      '| macvtap | static address: no, EUI-64 address: yes | static address: no, EUI-64 address: yes |',
    )
  })

  it('takes what was not measured for no answer', () => {
    const error = { verdict: 'error', error: { code: 'GUEST_BOOT_TIMEOUT', message: 'no' } } as const
    const text = interfaceModes({ ...matrixRun, cells: [cell({ verdict: error })] })
    assert.equal(rowOf(text, 'macvtap'), '| macvtap | not measured | not measured |')
  })

  it('names the versions that it holds for', () => {
    assert.match(interfaceModes(matrixRun), /kernel \S+, .*vmr \S+\.$/m)
  })
})
