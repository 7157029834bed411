import assert from 'node:assert/strict'
import fc from 'fast-check'
import { parseMachineState } from '../../src/ipv6/evidence/machine-state.ts'
import type { FirewallChain } from '../../src/ipv6/evidence/schema.ts'
import { findDrop } from '../../src/ipv6/firewall.ts'
import { readFrame } from '../../src/ipv6/hop-trace/frames.ts'

const chain = (rules: readonly unknown[][], more: Partial<FirewallChain> = {}): FirewallChain => ({
  ...{ family: 'ip6', table: 'filter', name: 'FORWARD', hook: 'forward', priority: 0, policy: 'accept' },
  rules: rules.map((expressions, index) => ({ handle: index + 1, text: JSON.stringify(expressions), expressions })),
  ...more,
})
const match = (left: unknown, right: unknown, op = '==') => ({ match: { op, left, right } })
const type = (right: unknown) => match({ payload: { protocol: 'icmpv6', field: 'type' } }, right)
const at = { families: ['ip6', 'inet'], hook: 'forward' }
const solicitation = { family: 'ipv6', kind: 'request', inbound: 'br0', outbound: 'br0' } as const

describe('which firewall rule drops a frame', () => {
  it('is told for a type, a set of types and a policy', () => {
    assert.ok(findDrop([chain([[type('nd-neighbor-solicit'), { drop: null }]])], at, solicitation))
    assert.ok(
      findDrop(
        [chain([[type({ set: ['nd-neighbor-advert', 'nd-neighbor-solicit'] }), { drop: null }]])],
        at,
        solicitation,
      ),
    )
    assert.ok(findDrop([chain([], { policy: 'drop' })], at, solicitation))
  })

  it('is none where the frame is accepted first, is of another type, or passes another hook', () => {
    assert.equal(
      findDrop([chain([[type('nd-neighbor-solicit'), { accept: null }]], { policy: 'drop' })], at, solicitation),
      undefined,
    )
    assert.equal(findDrop([chain([[type('echo-request'), { drop: null }]])], at, solicitation), undefined)
    assert.equal(findDrop([chain([], { policy: 'drop', hook: 'input' })], at, solicitation), undefined)
  })

  it('knows that neighbour discovery is untracked, so that a rule for established connections does not let it in', () => {
    const established = match({ ct: { key: 'state' } }, ['established', 'related'], 'in')
    assert.ok(findDrop([chain([[established, { accept: null }]], { policy: 'drop' })], at, solicitation))
  })

  it('is unknown, and so none, where it hangs on what the listing does not tell', () => {
    const opaque = { xt: { type: 'match', name: 'physdev' } }
    assert.equal(findDrop([chain([[opaque, { accept: null }]], { policy: 'drop' })], at, solicitation), undefined)
    assert.equal(findDrop([chain([[opaque, { drop: null }]])], at, solicitation), undefined)
    assert.ok(findDrop([chain([[opaque, { drop: null }]], { policy: 'drop' })], at, solicitation))
  })

  it('follows jumps, and comes back from them', () => {
    const jump = chain([[{ jump: { target: 'vms' } }]], { policy: 'drop' })
    const vms = (rules: unknown[][]): FirewallChain => {
      const { hook: _, policy: __, ...rest } = chain(rules, { name: 'vms' })
      return rest
    }
    assert.equal(findDrop([jump, vms([[{ accept: null }]])], at, solicitation), undefined)
    assert.ok(findDrop([jump, vms([[{ return: null }]])], at, solicitation))
    assert.ok(findDrop([chain([[{ jump: { target: 'vms' } }]]), vms([[{ drop: null }]])], at, solicitation))
  })

  it('never throws, whatever the expressions are', () => {
    fc.assert(
      fc.property(fc.array(fc.array(fc.jsonValue())), (rules) => {
        findDrop([chain(rules.map((rule) => [...rule]))], at, solicitation)
      }),
    )
  })
})

describe('what tcpdump and iproute2 print', () => {
  it('is read frame by frame', () => {
    const [ethernet, ends] = [
      '52:54:00:f3:50:99 > 33:33:ff:00:00:02, ethertype IPv6 (0x86dd), length 86:',
      '2001:db8::1 > ff02::1:ff00:2:',
    ]
    assert.deepEqual(readFrame(`${ethernet} ${ends} ICMP6, neighbor solicitation, who has 2001:db8::2, length 32`), {
      sourceMac: '52:54:00:f3:50:99',
      destinationMac: '33:33:ff:00:00:02',
      vlan: 0,
      what: { kind: 'request', target: '2001:db8::2', asker: '2001:db8::1' },
    })
    const tagged =
      '02:76:6d:72:50:01 > ff:ff:ff:ff:ff:ff, ethertype 802.1Q (0x8100), length 46: vlan 10, p 0, ethertype ARP (0x0806), Request who-has 192.168.1.1 tell 192.168.1.2, length 28'
    assert.deepEqual(readFrame(tagged)?.vlan, 10)
    assert.equal(readFrame(tagged)?.what.kind, 'request')
  })

  it('is no frame, and no state, where it is anything else; nothing throws but for want of interfaces', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 200 }), (text) => {
        readFrame(text)
        assert.throws(() => parseMachineState(text, 'a machine'), { code: 'MEASUREMENT_FAILED' })
      }),
    )
  })
})
