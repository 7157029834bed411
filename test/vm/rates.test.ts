import assert from 'node:assert/strict'
import fc from 'fast-check'
import { type NicCounters, ratesBetween, type VmCounters } from '../../src/vm/rates.ts'

const nic = (device: string, bytes: number): NicCounters => ({
  device,
  received: { bytes, packets: bytes / 100, drops: 0 },
  sent: { bytes: 2 * bytes, packets: bytes / 50, drops: bytes / 1000 },
})
const counters = (at: number, processorNs: number, nics: readonly NicCounters[]): VmCounters => ({
  at,
  processorNs,
  nics,
})

describe('the rates of a VM', () => {
  it('are what was counted in between, a second', () => {
    const rates = ratesBetween(
      counters(1000, 4e9, [nic('vnet0', 1000)]),
      counters(3000, 5e9, [nic('vnet0', 1_001_000)]),
    )
    assert.equal(rates.processor, 0.5)
    assert.deepEqual(rates.nics, [
      {
        device: 'vnet0',
        received: { bitsPerSecond: 4e6, packetsPerSecond: 5000, dropsPerSecond: 0 },
        sent: { bitsPerSecond: 8e6, packetsPerSecond: 10_000, dropsPerSecond: 500 },
      },
    ])
  })

  it('leave out a NIC that came in between, and are never negative after one was exchanged', () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat(), (before, after) => {
        const rates = ratesBetween(
          counters(0, before, [nic('vnet0', before)]),
          counters(1000, after, [nic('vnet0', after), nic('macvtap1', after)]),
        )
        assert.deepEqual(
          rates.nics.map(({ device }) => device),
          ['vnet0'],
        )
        assert.ok(rates.processor >= 0 && (rates.nics[0]?.received.bitsPerSecond ?? -1) >= 0)
      }),
    )
  })
})
