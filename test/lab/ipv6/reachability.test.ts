import assert from 'node:assert/strict'
import { probeReachability } from '../../../src/ipv6/reachability.ts'
import { solicitationFilter, type TraceHop, traceSolicitation } from '../../../src/ipv6/solicitation-trace.ts'
import { addresses, hostLinks, makeTwoPcs, type TwoPcs } from '../bench/two-pcs.ts'

describe('reachability from cold caches', function () {
  this.timeout(60_000)
  let pcs: TwoPcs
  before(async () => {
    pcs = await makeTwoPcs()
  })
  after(() => pcs?.remove())

  const end = (pc: 'a' | 'b', family: 'ipv4' | 'ipv6') => ({
    machine: pcs[pc],
    interfaceName: 'eth0',
    address: addresses[pc][family],
  })
  const hops = (): readonly TraceHop[] => [
    { name: 'a eth0', machine: pcs.a, interfaceName: 'eth0' },
    { name: `host link ${hostLinks.a}`, machine: pcs.host, interfaceName: hostLinks.a },
    { name: `host link ${hostLinks.b}`, machine: pcs.host, interfaceName: hostLinks.b },
    { name: 'b eth0', machine: pcs.b, interfaceName: 'eth0' },
  ]
  /** Drops what matches on its way into the host from PC a, after captures there have seen it. */
  const drop = async (match: string) => {
    await pcs.sh('nft add table netdev vmrtb')
    await pcs.sh(
      `nft add chain netdev vmrtb in { type filter hook ingress device ${hostLinks.a} priority 0 ; policy accept ; }`,
    )
    await pcs.sh(`nft add rule netdev vmrtb in ${match} drop`)
  }
  const heal = () => pcs.sh('nft delete table netdev vmrtb')

  for (const family of ['ipv4', 'ipv6'] as const) {
    it(`reaches an ${family} address within a second, with one packet`, async () => {
      const startedAt = performance.now()
      const result = await probeReachability({ from: end('a', family), to: end('b', family), family })
      assert.ok(performance.now() - startedAt < 1000)
      assert.equal(result.reachable, true)
      assert.equal(result.sent, 1)
      assert.ok((result.rttMs ?? 0) > 0)
      assert.equal(result.neighbourStates.from, 'REACHABLE')
      assert.ok(result.neighbourStates.to !== undefined)
    })
  }

  it('says that a path without solicitations is broken though the caches were warm, and names the hop', async () => {
    await probeReachability({ from: end('b', 'ipv6'), to: end('a', 'ipv6'), family: 'ipv6' })
    await drop('icmpv6 type nd-neighbor-solicit')
    try {
      const probe = { from: end('a', 'ipv6'), to: end('b', 'ipv6'), family: 'ipv6' } as const
      const result = await probeReachability(probe)
      assert.equal(result.reachable, false)
      assert.ok(result.sent >= 3)
      assert.match(result.neighbourStates.from ?? '', /INCOMPLETE|FAILED/)

      const trace = await traceSolicitation({ ...probe, hops: hops() })
      assert.equal(trace.line, `last seen at host link ${hostLinks.a}, not at host link ${hostLinks.b}`)
      assert.deepEqual(
        trace.hops.map(({ count }) => count > 0),
        [true, true, false, false],
      )
      assert.equal(trace.reachability.reachable, false)

      const other = await probeReachability({ from: end('a', 'ipv4'), to: end('b', 'ipv4'), family: 'ipv4' })
      assert.equal(other.reachable, true)
    } finally {
      await heal()
    }
  })

  it('names the hop at which an ARP request is lost', async () => {
    await drop('ether type arp')
    try {
      const trace = await traceSolicitation({
        from: end('a', 'ipv4'),
        to: end('b', 'ipv4'),
        family: 'ipv4',
        hops: hops(),
      })
      assert.equal(trace.protocol, 'ARP request')
      assert.equal(trace.line, `last seen at host link ${hostLinks.a}, not at host link ${hostLinks.b}`)
      assert.equal(trace.reachability.reachable, false)
    } finally {
      await heal()
    }
  })

  it('says that the answer is lost when the solicitation arrives', async () => {
    await pcs.sh('ip netns exec vmrtb-b nft add table ip6 vmrtb')
    await pcs.sh('ip netns exec vmrtb-b nft add chain ip6 vmrtb out { type filter hook output priority 0 ; }')
    await pcs.sh('ip netns exec vmrtb-b nft add rule ip6 vmrtb out icmpv6 type nd-neighbor-advert drop')
    try {
      const probe = { from: end('a', 'ipv6'), to: end('b', 'ipv6'), family: 'ipv6' } as const
      const trace = await traceSolicitation({ ...probe, hops: hops() })
      assert.equal(trace.line, 'arrives at b eth0: what is lost is the answer')
      assert.equal(trace.reachability.reachable, false)
    } finally {
      await pcs.sh('ip netns exec vmrtb-b nft delete table ip6 vmrtb')
    }
  })

  it('captures without promiscuous mode, and leaves nothing running', async () => {
    const probe = { from: end('a', 'ipv6'), to: end('b', 'ipv6'), family: 'ipv6' } as const
    let seen: number | undefined
    const watching: TraceHop = {
      name: 'watched',
      machine: {
        ...pcs.host,
        os: {
          ...pcs.host.os,
          // The first thing the probe does after all captures listen.
          async flushNeighbours() {
            const { interfaces } = await pcs.host.os.observe(pcs.host.shell)
            seen = interfaces.find(({ name }) => name === hostLinks.a)?.promiscuity
          },
        },
      },
      interfaceName: hostLinks.a,
    }
    const { interfaces } = await pcs.host.os.observe(pcs.host.shell)
    const before = interfaces.find(({ name }) => name === hostLinks.a)?.promiscuity
    await traceSolicitation({ ...probe, hops: hops(), between: [watching] })
    assert.ok(seen !== undefined)
    assert.equal(seen, before)
    const { stdout } = await pcs.host.shell.run(['pgrep', '-fa', `tcpdump.*${hostLinks.a}`])
    assert.equal(stdout, '')
  })

  it('refuses to trace when a capture cannot start, and says where', async () => {
    const probe = { from: end('a', 'ipv6'), to: end('b', 'ipv6'), family: 'ipv6' } as const
    const missing = { name: 'the missing link', machine: pcs.host, interfaceName: 'vmrtb-none' }
    await assert.rejects(traceSolicitation({ ...probe, hops: [...hops(), missing] }), {
      code: 'MEASUREMENT_FAILED',
      message: /the capture at the missing link did not start: .*vmrtb-none/,
    })
  })

  it('says what a machine without a route says', async () => {
    const to = { machine: pcs.b, interfaceName: 'eth0', address: '2001:db8:ffff::1' }
    const result = await probeReachability({ from: end('a', 'ipv6'), to, family: 'ipv6' })
    assert.equal(result.reachable, false)
    assert.match(result.failure ?? '', /Network is unreachable/)
  })

  it('filters what tcpdump accepts', async () => {
    for (const [family, target] of [
      ['ipv4', '192.168.1.1'],
      ['ipv6', '2001:db8::1'],
    ] as const)
      await pcs.host.shell
        .run(['tcpdump', '-d', '-i', hostLinks.a, solicitationFilter(family, target)])
        .then(({ exitCode, stderr }) => assert.equal(exitCode, 0, stderr))
  })
})
