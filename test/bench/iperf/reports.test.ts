import assert from 'node:assert/strict'
import fc from 'fast-check'
import { parseIperf2Report } from '../../../src/bench/iperf/iperf2.ts'
import { iperf3ClientArgv, parseIperf3Report } from '../../../src/bench/iperf/iperf3.ts'
import { isVmrError } from '../../../src/errors/vmr-error.ts'
import type { Machine } from '../../../src/testbed/machine.ts'

const context = { where: 'iperf3 from pc1 to r1', otherwise: 'exit status 1' }
const tcp = (text: string) => parseIperf3Report(text, 'tcp', context)
const sum = (rate: number) => ({ start: 0, end: 5, seconds: 5, bytes: (rate * 5) / 8, bits_per_second: rate })

describe('an iperf3 report', () => {
  it('gives what arrived, not what was sent', () => {
    const report = { end: { sum_sent: { ...sum(950e6), retransmits: 17 }, sum_received: sum(941e6) } }
    const sample = tcp(JSON.stringify(report))
    assert.equal(sample.bitsPerSecond, 941e6)
    assert.equal(sample.retransmits, 17)
    assert.equal(sample.raw, JSON.stringify(report))
  })

  it('gives loss and jitter of UDP', () => {
    const report = {
      end: { sum: { ...sum(100e6), jitter_ms: 0.02, lost_percent: 12.5 }, sum_received: sum(87.5e6) },
    }
    const sample = parseIperf3Report(JSON.stringify(report), 'udp', context)
    assert.deepEqual([sample.bitsPerSecond, sample.lossShare, sample.jitterMs], [87.5e6, 0.125, 0.02])
  })

  it('fails with iperf3’s own words', () => {
    assert.throws(() => tcp('{"start":{},"end":{},"error":"unable to connect to server: Connection refused"}'), {
      code: 'MEASUREMENT_FAILED',
      message: 'iperf3 from pc1 to r1: unable to connect to server: Connection refused',
    })
    assert.throws(() => tcp(''), { code: 'MEASUREMENT_FAILED', message: /no JSON report: exit status 1/ })
    assert.throws(() => tcp('{"end":{}}'), { message: /no figure for the receiver/ })
    assert.throws(() => tcp('{"end":{"sum_received":{"seconds":5,"bytes":1,"bits_per_second":"fast"}}}'), {
      message: /unreadable report: end.sum_received.bits_per_second/,
    })
  })

  it('never crashes the reader, whatever it holds', () => {
    const text = fc.oneof(
      fc.string(),
      fc.json(),
      fc.record({ end: fc.anything(), error: fc.anything() }).map((value) => JSON.stringify(value) ?? ''),
    )
    fc.assert(
      fc.property(text, (report) => {
        try {
          assert.ok(Number.isFinite(tcp(report).bitsPerSecond))
        } catch (error) {
          assert.ok(isVmrError(error) && error.code === 'MEASUREMENT_FAILED')
        }
      }),
    )
  })
})

describe('an iperf3 client', () => {
  const machine = {} as Machine
  const end = { machine, address: '2001:db8::1' }
  const request = { sender: end, receiver: end, family: 'ipv6', seconds: 5 } as const

  it('asks only for what differs from iperf3’s own ways', () => {
    assert.deepEqual(
      iperf3ClientArgv(request).join(' '),
      'iperf3 -c 2001:db8::1 -6 -p 5201 -J -t 5 --connect-timeout 5000',
    )
  })

  it('shares a UDP rate among the streams, since iperf3’s is one stream’s', () => {
    const argv = iperf3ClientArgv({ ...request, protocol: 'udp', udpBitsPerSecond: 100e6, streams: 4 })
    assert.match(argv.join(' '), /-P 4 -u -b 25000000$/)
  })
})

describe('an iperf 2 server’s report', () => {
  const read = (text: string, streams = 1, protocol: 'tcp' | 'udp' = 'tcp') =>
    parseIperf2Report(text, { where: 'iperf from pc1 to r1', streams, protocol, raw: text })
  const listening = `------------------------------------------------------------
Server listening on TCP port 5001
TCP window size:  128 KByte (default)
------------------------------------------------------------
`

  it('is read as 2.1 writes it', () => {
    const sample =
      read(`${listening}[  1] local 192.168.1.1 port 5001 connected with 192.168.1.2 port 56322 (icwnd/mss/irtt=14/1448/89)
[ ID] Interval       Transfer     Bandwidth
[  1] 0.0000-5.0123 sec  581632 KBytes  950613 Kbits/sec
`)
    assert.equal(sample.bitsPerSecond, 950_613_000)
    assert.equal(sample.seconds, 5.0123)
  })

  it('is read as 2.0.5 writes it', () => {
    const sample = read(`${listening}[  4] local 192.168.1.1 port 5001 connected with 192.168.1.2 port 40394
[ ID] Interval       Transfer     Bandwidth
[  4]  0.0-10.0 sec  1150976 KBytes  941250 Kbits/sec
`)
    assert.equal(sample.bitsPerSecond, 941_250_000)
  })

  it('counts the sum of several connections, not the last of them', () => {
    const sample = read(
      `${listening}[  1] 0.0000-1.0024 sec  60000 KBytes  470000 Kbits/sec
[  2] 0.0000-1.0000 sec  58000 KBytes  460000 Kbits/sec
[SUM] 0.0000-1.0013 sec  118000 KBytes  930000 Kbits/sec
`,
      2,
    )
    assert.equal(sample.bitsPerSecond, 930_000_000)
  })

  it('has loss and jitter for UDP', () => {
    const sample = read('[  1] 0.0000-1.0016 sec  1285 KBytes  10508 Kbits/sec   0.002 ms 5/ 895 (0.56%)\n', 1, 'udp')
    assert.equal(sample.jitterMs, 0.002)
    assert.equal(sample.lossShare, 5 / 895)
  })

  it('without a figure is a failure that quotes it', () => {
    assert.throws(() => read(listening), {
      code: 'MEASUREMENT_FAILED',
      message: /reported no figure; its last line: -{60}/,
    })
  })

  it('never crashes the reader, whatever it holds', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        try {
          assert.ok(Number.isFinite(read(text).bitsPerSecond))
        } catch (error) {
          assert.ok(isVmrError(error) && error.code === 'MEASUREMENT_FAILED')
        }
      }),
    )
  })
})
