import assert from 'node:assert/strict'
import fc from 'fast-check'
import { payloadBytes, type WirePath, wireLimitBitsPerSecond } from '../../src/bench/wire-limit.ts'

const gigabit = { linkBitsPerSecond: 1e9, mtu: 1500, protocol: 'tcp' } as const
const megabits = (path: WirePath) => Math.round(wireLimitBitsPerSecond(path) / 1e5) / 10

describe('the wire limit of a gigabit link with MTU 1500', () => {
  const cases: readonly [string, WirePath, number][] = [
    ['TCP over IPv4', { ...gigabit, family: 'ipv4' }, 941.5],
    ['TCP over IPv6', { ...gigabit, family: 'ipv6' }, 928.5],
    ['TCP over IPv4 without timestamps', { ...gigabit, family: 'ipv4', tcpTimestamps: false }, 949.3],
    ['TCP over IPv6 without timestamps', { ...gigabit, family: 'ipv6', tcpTimestamps: false }, 936.3],
    ['TCP over IPv4 with a VLAN tag', { ...gigabit, family: 'ipv4', vlanTags: 1 }, 939.0],
    ['TCP over IPv6 with a VLAN tag', { ...gigabit, family: 'ipv6', vlanTags: 1 }, 926.1],
    ['UDP over IPv4', { ...gigabit, protocol: 'udp', family: 'ipv4' }, 957.1],
    ['UDP over IPv6', { ...gigabit, protocol: 'udp', family: 'ipv6' }, 944.1],
    [
      'TCP through ipip6 without encapsulation limit',
      { ...gigabit, family: 'ipv4', tunnel: { kind: 'ipip6', encapsulationLimit: false } },
      915.5,
    ],
    [
      'TCP through ipip6 with encapsulation limit',
      { ...gigabit, family: 'ipv4', tunnel: { kind: 'ipip6', encapsulationLimit: true } },
      910.3,
    ],
    [
      'TCP without timestamps through ipip6 without encapsulation limit',
      { ...gigabit, family: 'ipv4', tcpTimestamps: false, tunnel: { kind: 'ipip6', encapsulationLimit: false } },
      923.3,
    ],
    [
      'TCP through an ipip6 tunnel of MTU 1476, whose packets go out as two fragments',
      { ...gigabit, family: 'ipv4', tunnel: { kind: 'ipip6', mtu: 1476, encapsulationLimit: true } },
      859.9,
    ],
    ['TCP over IPv4, both ways at once', { ...gigabit, family: 'ipv4', bothWays: true }, 914.7],
    ['TCP over IPv6, both ways at once', { ...gigabit, family: 'ipv6', bothWays: true }, 896.4],
  ]
  for (const [name, path, expected] of cases) {
    it(`is ${expected.toFixed(1)} Mbit/s for ${name}`, () => assert.equal(megabits(path), expected))
  }
})

describe('the wire limit', () => {
  it('follows the segment size that the end points agreed on', () => {
    assert.equal(payloadBytes({ ...gigabit, family: 'ipv4', mss: 536 }), 524)
    assert.equal(payloadBytes({ ...gigabit, family: 'ipv4', mss: 9000 }), 1448)
  })

  it('counts a short last fragment as the padded frame that it is', () => {
    // 1453 + 40 is one byte more than a link of 1492 takes: the second fragment has 49 bytes, 63 with its Ethernet header.
    const path = {
      ...gigabit,
      mtu: 1492,
      family: 'ipv4',
      tunnel: { kind: 'ipip6', mtu: 1453, encapsulationLimit: false },
    } as const
    const first = 1492 - 4 + 38
    assert.equal(wireLimitBitsPerSecond(path), (1e9 * (1453 - 52)) / (first + (40 + 8 + 13) + 38))
  })

  it('is below the link rate and grows with the MTU, whatever the path', () => {
    const paths = fc.record({
      linkBitsPerSecond: fc.integer({ min: 1e6, max: 1e11 }),
      family: fc.constantFrom('ipv4' as const, 'ipv6' as const),
      protocol: fc.constantFrom('tcp' as const, 'udp' as const),
      mtu: fc.integer({ min: 1280, max: 65000 }),
      tcpTimestamps: fc.boolean(),
      vlanTags: fc.integer({ min: 0, max: 2 }),
      bothWays: fc.boolean(),
    })
    fc.assert(
      fc.property(paths, (path) => {
        const limit = wireLimitBitsPerSecond(path)
        assert.ok(limit > 0 && limit < path.linkBitsPerSecond)
        assert.ok(wireLimitBitsPerSecond({ ...path, mtu: path.mtu + 1 }) > limit)
        assert.ok(wireLimitBitsPerSecond({ ...path, vlanTags: path.vlanTags + 1 }) < limit)
      }),
    )
  })
})
