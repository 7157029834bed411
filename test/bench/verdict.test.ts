import assert from 'node:assert/strict'
import { runExitStatus, tally, verdictOf } from '../../src/bench/verdict.ts'
import type { ReachabilityRecord } from '../../src/results/schema.ts'

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
