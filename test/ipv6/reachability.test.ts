import assert from 'node:assert/strict'
import fc from 'fast-check'
import { isVmrError } from '../../src/errors/vmr-error.ts'
import { neighbourState, parsePing, pingArgv } from '../../src/ipv6/reachability.ts'
import type { NetworkObservation } from '../../src/os/os.ts'

const said = (stdout: string, stderr = '', exitCode = 0) => ({ stdout, stderr, exitCode, durationMs: 1 })

describe('a ping', () => {
  it('that is answered is read as iputils, busybox and BSD write it', () => {
    const iputils = `PING 192.168.1.1 (192.168.1.1) 56(84) bytes of data.
64 bytes from 192.168.1.1: icmp_seq=1 ttl=64 time=0.290 ms

--- 192.168.1.1 ping statistics ---
1 packets transmitted, 1 received, 0% packet loss, time 0ms
rtt min/avg/max/mdev = 0.290/0.290/0.290/0.000 ms
`
    assert.deepEqual(parsePing(said(iputils)), { sent: 1, received: 1, rttMs: 0.29, failure: undefined })
    const busybox = `64 bytes from 2001:db8::1: seq=0 ttl=64 time=1.2 ms\n2 packets transmitted, 1 packets received, 50% packet loss\n`
    assert.deepEqual(parsePing(said(busybox)), { sent: 2, received: 1, rttMs: 1.2, failure: undefined })
  })

  it('that the kernel gave up is read as unanswered', () => {
    const text = `PING 2001:db8::1(2001:db8::1) 56 data bytes
From 2001:db8::2 icmp_seq=1 Destination unreachable: Address unreachable

--- 2001:db8::1 ping statistics ---
7 packets transmitted, 0 received, +1 errors, 100% packet loss, time 3059ms
`
    assert.deepEqual(parsePing(said(text, '', 1)), { sent: 7, received: 0, rttMs: undefined, failure: undefined })
  })

  it('that could not be sent says why', () => {
    const result = parsePing(said('', 'ping: connect: Network is unreachable\n', 2))
    assert.equal(result.failure, 'connect: Network is unreachable')
  })

  it('that is no ping is an error', () => {
    assert.throws(() => parsePing(said('', 'ping: invalid argument', 2)), {
      code: 'MEASUREMENT_FAILED',
      message: 'ping failed: ping: invalid argument',
    })
  })

  it('ends with the first answer, and without one after three seconds', () => {
    assert.deepEqual(pingArgv('2001:db8::1', 'ipv6').join(' '), 'ping -n -6 -c 1 -i 0.5 -w 3 2001:db8::1')
  })

  it('never crashes the reader, whatever it printed', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (stdout, stderr) => {
        try {
          assert.ok(parsePing(said(stdout, stderr)).sent >= 0)
        } catch (error) {
          assert.ok(isVmrError(error))
        }
      }),
    )
  })
})

describe('the neighbour entry of an address', () => {
  const observation: NetworkObservation = {
    interfaces: [],
    neighbours: [{ address: '2001:db8::2', interfaceName: 'eth0', mac: undefined, state: 'FAILED' }],
  }

  it('is found in every spelling of the address, on its own interface', () => {
    assert.equal(neighbourState(observation.neighbours, 'eth0', '2001:DB8:0:0::2'), 'FAILED')
    assert.equal(neighbourState(observation.neighbours, 'eth1', '2001:db8::2'), undefined)
  })
})
