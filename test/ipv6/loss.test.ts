import assert from 'node:assert/strict'
import type { FrameKind, PathEvidence, PathHop, Sighting } from '../../src/ipv6/evidence/schema.ts'
import { findLoss } from '../../src/ipv6/hop-trace/loss.ts'

const hop = (name: string, machine: string, segment: number): PathHop => ({
  ...{ name, machine, segment },
  link: name.split(' ')[1] ?? '',
})
const hops = [
  hop('pc1 eth0', 'pc:pc1', 0),
  hop('host vnet0', 'host', 0),
  hop('r1 eth0', 'guest', 0),
  hop('r1 eth1', 'guest', 1),
  hop('host vnet1', 'host', 1),
  hop('pc2 eth0', 'pc:pc2', 1),
]
const unicast = '02:76:6d:72:50:01'
const multicast = '33:33:ff:00:00:02'
const [pc1, tap1, r1a, r1b, tap2, pc2] = hops.map(({ name }) => name)

const seen = (kind: FrameKind, segment: number, to: string, ...at: readonly (string | undefined)[]): Sighting[] =>
  at.map((name = '') => ({
    ...{ hop: name, segment, kind, count: 1 },
    ...{ sourceMacs: [], destinationMacs: [to], vlans: [0], says: [] },
  }))

const end = (machine: string, address: string) => ({ machine, link: 'eth0', address })
const routed = (sightings: readonly Sighting[]): PathEvidence => ({
  ...{ id: 'pc1>pc2 ipv6', family: 'ipv6', direction: 'pc1>pc2', form: 'static', routed: true, hops },
  from: end('pc:pc1', '2001:db8:1::2'),
  to: end('pc:pc2', '2001:db8:2::2'),
  resolved: [
    { from: '2001:db8:1::2', to: '2001:db8:1::1' },
    { from: '2001:db8:2::1', to: '2001:db8:2::2' },
  ],
  probe: { sent: 3, received: 0 },
  trace: { probe: { sent: 3, received: 0 }, sightings: [...sightings], unwatched: [] },
})

const toTheRouter = [
  ...seen('request', 0, multicast, pc1, tap1, r1a),
  ...seen('answer', 0, unicast, r1a, tap1, pc1),
  ...seen('echo', 0, unicast, pc1, tap1, r1a),
]
const toTheEnd = [
  ...toTheRouter,
  ...seen('request', 1, multicast, r1b, tap2, pc2),
  ...seen('answer', 1, unicast, pc2, tap2, r1b),
  ...seen('echo', 1, unicast, r1b, tap2, pc2),
]

describe('the loss on a way through a router', () => {
  it('is in the router that passes nothing on, whatever becomes of its question for the sender', () => {
    for (const to of [unicast, multicast])
      for (const answered of [[pc1], [pc1, tap1], [pc1, tap1, r1a]]) {
        const path = routed([
          ...toTheRouter,
          ...seen('reverse-request', 0, to, r1a, tap1, pc1),
          ...seen('reverse-answer', 0, unicast, ...answered),
        ])
        const loss = findLoss(path)
        assert.deepEqual([loss.kind, 'at' in loss && loss.at.name], ['unanswered', r1a])
        assert.equal('frame' in loss && loss.frame, 'echo')
      }
  })

  it('is at the far end that gives no reply, whatever becomes of the router’s question for the sender', () => {
    const path = routed([
      ...toTheEnd,
      ...seen('reverse-request', 0, unicast, r1a, tap1, pc1),
      ...seen('reverse-answer', 0, unicast, pc1, tap1),
    ])
    const loss = findLoss(path)
    assert.deepEqual([loss.kind, 'at' in loss && loss.at.name], ['unanswered', pc2])
  })

  it('is where the far end’s question for the router is lost, when that is what its reply waits for', () => {
    const path = routed([...toTheEnd, ...seen('reverse-request', 1, multicast, pc2, tap2)])
    const loss = findLoss(path)
    assert.deepEqual(
      [loss.kind, 'last' in loss && loss.last.name, 'missing' in loss && loss.missing.name],
      ['between', tap2, r1b],
    )
  })

  it('is where the router’s question for the sender is lost, once the reply has come to the router', () => {
    const path = routed([
      ...toTheEnd,
      ...seen('reply', 1, unicast, pc2, tap2, r1b),
      ...seen('reverse-request', 0, multicast, r1a, tap1),
    ])
    const loss = findLoss(path)
    assert.deepEqual(
      [loss.kind, 'last' in loss && loss.last.name, 'missing' in loss && loss.missing.name],
      ['between', tap1, pc1],
    )
  })

  it('is where the question for the router is lost, though the far end asks as well', () => {
    const path = routed([
      ...seen('request', 0, multicast, pc1, tap1),
      ...seen('reverse-request', 0, multicast, r1a),
      ...seen('reverse-request', 1, multicast, pc2),
    ])
    const loss = findLoss(path)
    assert.deepEqual(
      [loss.kind, 'last' in loss && loss.last.name, 'missing' in loss && loss.missing.name],
      ['between', tap1, r1a],
    )
  })
})
