import assert from 'node:assert/strict'
import fc from 'fast-check'
import { parseLatency } from '../../src/bench/load-latency.ts'
import { coreUse, counterDeltas, parseThread, parseUsage, readUsage, threadShares } from '../../src/bench/usage.ts'
import { findZeroLossRate } from '../../src/bench/zero-loss.ts'
import { localShell } from '../../src/shell/local.ts'

const usageText = (idle: number, softirq: number, retransmits: number, dropped: number) => `\
cpu0 100 0 50 ${idle} 0 0 ${softirq} 0 0 0
-- vmr --
{"kernel":{"IpInReceives":${retransmits * 100},"TcpRetransSegs":${retransmits}}}
-- vmr --
[{"ifname":"eth0","stats64":{"rx":{"bytes":1,"packets":2,"errors":0,"dropped":${dropped}},"tx":{"bytes":1,"dropped":0}}}]
`

describe('what a machine uses under load', () => {
  it('is split by core and kind, and makes no more than the whole', () => {
    const [before, after] = [parseUsage(usageText(0, 0, 0, 0)), parseUsage(usageText(25, 75, 0, 0))]
    assert.deepEqual(coreUse(before, after), [{ core: 0, user: 0, system: 0, softirq: 0.75, irq: 0, steal: 0 }])
  })

  it('counts what was lost and sent again, and leaves out what only says how much was sent', () => {
    const deltas = counterDeltas('dut', parseUsage(usageText(0, 0, 1, 0)), parseUsage(usageText(0, 0, 4, 7)))
    assert.deepEqual(deltas, [
      { machine: 'dut', source: 'nstat', name: 'TcpRetransSegs', delta: 3 },
      { machine: 'dut', interface: 'eth0', source: 'link', name: 'rx_dropped', delta: 7 },
    ])
  })

  it('of this host can be read', async () => {
    const usage = await readUsage(localShell, AbortSignal.timeout(10_000))
    assert.ok(usage.cores.length > 0)
    assert.ok(usage.links.lo)
    for (const core of coreUse(usage, usage)) assert.ok(Object.values(core).every(Number.isFinite))
  })

  it('of a thread is read whatever its name, and those that only waited are left out', () => {
    const stat = (thread: number, name: string, user: number, system: number) =>
      `${thread} (${name}) S 1 1 1 0 -1 4194560 10 0 0 0 ${user} ${system} 0 0 20 0 4 0 100 1 1`
    fc.assert(
      fc.property(fc.string({ maxLength: 15 }), (name) => {
        assert.deepEqual(parseThread('r1', stat(7, name, 20, 30)), [{ vm: 'r1', thread: 7, name, ticks: 50 }])
      }),
    )
    const before = parseThread('r1', stat(7, 'CPU 0/TCG', 0, 0))
    const after = [...parseThread('r1', stat(7, 'CPU 0/TCG', 80, 20)), ...parseThread('r1', stat(8, 'idle', 0, 0))]
    assert.deepEqual(threadShares(before, after, 2), [{ vm: 'r1', name: 'CPU 0/TCG', share: 0.5 }])
  })
})

describe('latency under load', () => {
  const reply = (sequence: number, time: number) =>
    `64 bytes from 192.0.2.1: icmp_seq=${sequence} ttl=64 time=${time} ms`

  it('is the least, the median and the 99th percentile of the replies', () => {
    const text = [reply(1, 1), reply(2, 3), reply(3, 2), '', '4 packets transmitted, 3 received'].join('\n')
    assert.deepEqual(parseLatency(text), { sent: 4, received: 3, minMs: 1, medianMs: 2, p99Ms: 2.98 })
  })

  it('of a ping that was cut short counts what it knows', () => {
    assert.deepEqual(parseLatency(reply(5, 1.5)), { sent: 5, received: 1, minMs: 1.5, medianMs: 1.5, p99Ms: 1.5 })
    assert.deepEqual(parseLatency(''), { sent: 0, received: 0 })
  })
})

describe('the search for the zero-loss rate', () => {
  it('finds any rate as well as asked, and never names one that lost something', async () => {
    await fc.assert(
      fc.asyncProperty(fc.double({ min: 0.01, max: 2, noNaN: true }), async (capacity) => {
        const { bitsPerSecond, trials } = await findZeroLossRate({
          highestBitsPerSecond: 1e9,
          resolution: 0.02,
          attempt: async (offered) => ({
            offeredBitsPerSecond: offered,
            lossShare: offered <= capacity * 1e9 ? 0 : 1 - (capacity * 1e9) / offered,
            seconds: 1,
          }),
        })
        const possible = Math.min(capacity, 1) * 1e9
        assert.ok((bitsPerSecond ?? 0) <= possible)
        assert.ok(possible - (bitsPerSecond ?? 0) <= 0.02e9)
        assert.ok(trials.length <= 8)
      }),
    )
  })
})
