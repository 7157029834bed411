import assert from 'node:assert/strict'
import { overheadLines, overheadOf, runExitStatus, tally, verdictOf } from '../../src/bench/verdict.ts'
import type { ReachabilityRecord } from '../../src/results/schema.ts'
import { healthyCell, manifest } from '../results/example-run.ts'

const probe = (direction: string, reachable: boolean): ReachabilityRecord => ({
  family: 'ipv6',
  direction,
  address: '2001:db8::1',
  from: 'a',
  to: 'b',
  reachable,
  sent: reachable ? 1 : 3,
  received: reachable ? 1 : 0,
  neighbourStates: {},
})
const verdict = (before: readonly boolean[], after: readonly boolean[]) => {
  const probes = (both: readonly boolean[]) =>
    both.map((reachable, index) => probe(index === 0 ? 'pc1>dut' : 'dut>pc1', reachable))
  return verdictOf({ family: 'ipv6', probesBefore: probes(before), probesAfter: probes(after) })
}

describe('the verdict on a cell', () => {
  it('is healthy where both directions answer before and after the load', () => {
    assert.deepEqual(verdict([true, true], [true, true]), { verdict: 'healthy' })
  })

  it('names the direction that is lost', () => {
    assert.deepEqual(verdict([false, true], [false, true]), {
      verdict: 'broken',
      family: 'ipv6',
      directions: ['pc1>dut'],
      when: 'always',
    })
  })

  it('says when a family breaks under load', () => {
    assert.deepEqual(verdict([true, true], [true, false]), {
      verdict: 'broken',
      family: 'ipv6',
      directions: ['dut>pc1'],
      when: 'after load only',
    })
    assert.equal((verdict([false, true], [true, true]) as { when?: string }).when, 'before load only')
  })

  it('counts a direction as lost if one of its addresses is', () => {
    const probes = [probe('pc1>dut', true), probe('pc1>dut', false)]
    assert.equal(verdictOf({ family: 'ipv6', probesBefore: probes, probesAfter: [] }).verdict, 'broken')
  })

  it('says of a family that was lost before any load only that it is lost', () => {
    const unloaded = verdictOf({ family: 'ipv6', probesBefore: [probe('pc1>dut', false)], probesAfter: [] })
    assert.equal(unloaded.verdict === 'broken' && unloaded.when, 'always')
  })
})

describe('the exit status of a run', () => {
  const counts = { healthy: 4, broken: 0, error: 0, impossible: 0, missing: 0 }
  it('is 0 when all is healthy, 3 when a mode breaks a family, 8 when a cell is missing or failed', () => {
    assert.equal(runExitStatus(counts), 0)
    assert.equal(runExitStatus({ ...counts, broken: 1 }), 3)
    assert.equal(runExitStatus({ ...counts, broken: 1, error: 1 }), 8)
    assert.equal(runExitStatus({ ...counts, missing: 1 }), 8)
    assert.deepEqual(tally(['nic/host/ipv4'], []), { healthy: 0, broken: 0, error: 0, impossible: 0, missing: 1 })
  })
})

describe('the overhead of a run', () => {
  const cell = healthyCell('nic/bridge/vm/ipv4', 'bridge')
  const broken = { ...cell, overhead: { probing: 7, measuring: 1.5, evidence: 10 } }
  const impossible = {
    ...cell,
    overhead: { probing: 0, measuring: 0, evidence: 0 },
    verdict: { verdict: 'impossible' as const, reason: 'no VLANs' },
  }
  const costs = { boot: [4, 4.5], switchMode: [], configure: [2, 1], enterHost: [0.1], cell: [3, 18.5] }
  const overhead = overheadOf({ manifest: { ...manifest, costs }, cells: [cell, broken, impossible] })

  it('counts every step and every second without load, over the cells that could be run', () => {
    assert.equal(overhead.cells, 2)
    assert.ok(Math.abs(overhead.seconds - 33.1) < 1e-9)
  })

  it('says what it went into, the most first, and leaves out what took next to nothing', () => {
    assert.deepEqual(overheadLines(overhead), [
      'overhead: 16.6 s a cell beyond the seconds measured (2 cells)',
      '  of which evidence of what is broken 5.0, probing 4.5, booting VMs 4.3, configuring 1.5, around each measurement 1.3, making the host the DUT 0.1',
    ])
  })

  it('says only how much it is of a run that is too old to tell more', () => {
    const old = { ...cell, overhead: { probing: 0, measuring: 0, evidence: 0 } }
    const lines = overheadLines(
      overheadOf({
        manifest: { ...manifest, costs: { ...costs, boot: [], configure: [], enterHost: [] } },
        cells: [old],
      }),
    )
    assert.deepEqual(lines, ['overhead: 21.5 s a cell beyond the seconds measured (1 cells)'])
  })
})
