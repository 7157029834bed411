import assert from 'node:assert/strict'
import { once } from 'node:events'
import { startGuestServer } from '../../../src/bench/iperf/guest-server.ts'
import { measureThroughput, readToolVersion } from '../../../src/bench/iperf/measure.ts'
import { startServer, type ThroughputRequest, throughputTools } from '../../../src/bench/iperf/throughput.ts'
import { wireLimitBitsPerSecond } from '../../../src/bench/wire-limit.ts'
import { shapingArguments } from '../../../src/testbed/lab/shaping.ts'
import type { Machine } from '../../../src/testbed/machine.ts'
import { addresses, hostLinks, makeTwoPcs, type TwoPcs } from './two-pcs.ts'

const rateMbits = 100

describe('throughput between two PCs on a wire of 100 Mbit/s', function () {
  this.timeout(60_000)
  let pcs: TwoPcs
  before(async () => {
    pcs = await makeTwoPcs()
    // Frames no larger than the MTU, through a wire-like shaper, both ways.
    for (const link of [hostLinks.a, hostLinks.b]) {
      await pcs.sh(`ethtool -K ${link} tso off gso off gro off tx off`)
      await pcs.sh(`tc qdisc replace dev ${link} root ${shapingArguments(rateMbits).join(' ')}`)
    }
    for (const pc of ['a', 'b'] as const) {
      await pcs.sh(`ip netns exec vmrtb-${pc} ethtool -K eth0 tso off gso off gro off tx off`)
    }
  })
  after(() => pcs?.remove())

  const request = (family: 'ipv4' | 'ipv6', more: Partial<ThroughputRequest> = {}): ThroughputRequest => ({
    sender: { machine: pcs.a, address: addresses.a[family] },
    receiver: { machine: pcs.b, address: addresses.b[family] },
    family,
    seconds: 1,
    ...more,
  })
  const leftOver = async () =>
    (await pcs.host.shell.run(['pgrep', '-fa', 'iperf3? .*192.168.231|iperf3? .*2001:db8:b:e'])).stdout
  /** A PC on which everything that starts while this holds is stopped by `end()`, as if it vanished. */
  const vanishing = (machine: Machine) => {
    const started: { stop(): Promise<unknown> }[] = []
    const shell: Machine['shell'] = {
      ...machine.shell,
      start: async (argv, options) => {
        const command = await machine.shell.start(argv, options)
        started.push(command)
        return command
      },
    }
    return { machine: { ...machine, shell }, end: () => Promise.all(started.map((command) => command.stop())) }
  }

  it('measures again and again with one server as a guest runs it: one command each to start and to end it', async () => {
    const commands: string[] = []
    const shell: Machine['shell'] = {
      ...pcs.b.shell,
      run: (argv, options) => {
        commands.push(argv.join(' '))
        return pcs.b.shell.run(argv, options)
      },
    }
    const argv = ['iperf3', '-s', '-B', addresses.b.ipv4, '-p', '5201', '--forceflush']
    const server = await startGuestServer({ machine: { ...pcs.b, shell }, argv, port: 5201 })
    try {
      for (const protocol of ['tcp', 'udp'] as const) {
        const sample = await measureThroughput('iperf3', request('ipv4', { protocol, udpBitsPerSecond: 20e6 }), server)
        assert.ok(sample.bitsPerSecond > 18e6)
      }
      await assert.rejects(startGuestServer({ machine: pcs.b, argv, port: 5201 }), {
        code: 'MEASUREMENT_FAILED',
        message: /server on b did not listen on port 5201: .*Address already in use/,
        hint: /has the port/,
      })
    } finally {
      await server.stop()
    }
    assert.equal(commands.length, 2)
    assert.equal(await leftOver(), '')
  })

  for (const tool of throughputTools) {
    for (const family of ['ipv4', 'ipv6'] as const) {
      it(`measures with ${tool} over ${family} what the wire lets through`, async () => {
        const sample = await measureThroughput(tool, request(family))
        const limit = wireLimitBitsPerSecond({ linkBitsPerSecond: rateMbits * 1e6, family, protocol: 'tcp', mtu: 1500 })
        const share = sample.bitsPerSecond / limit
        assert.ok(share > 0.85 && share < 1.1, `${Math.round(share * 100)} % of the limit`)
        assert.ok(Math.abs(sample.seconds - 1) < 0.3)
        assert.match(sample.raw, tool === 'iperf3' ? /"sum_received"/ : /Server listening on/)
        assert.equal(await leftOver(), '')
      })
    }

    it(`measures with ${tool} several streams and UDP`, async () => {
      const several = await measureThroughput(tool, request('ipv4', { streams: 2, seconds: 1 }))
      assert.ok(several.bitsPerSecond > 60e6)
      const datagrams = await measureThroughput(
        tool,
        request('ipv6', { protocol: 'udp', udpBitsPerSecond: 20e6, seconds: 1 }),
      )
      assert.ok(datagrams.bitsPerSecond > 18e6 && datagrams.bitsPerSecond < 22e6)
      assert.ok((datagrams.lossShare ?? 1) < 0.05)
      assert.ok(datagrams.jitterMs !== undefined)
    })

    it(`says that ${tool}’s port is taken`, async () => {
      const holder = await startServer({
        machine: pcs.b,
        argv: ['iperf3', '-s', '-B', addresses.b.ipv4, '-p', '5301', '--forceflush'],
        port: 5301,
      })
      try {
        await assert.rejects(measureThroughput(tool, request('ipv4', { port: 5301 })), {
          code: 'MEASUREMENT_FAILED',
          message: /server on b ended before it listened on port 5301: .*Address already in use/,
          hint: /has the port/,
        })
      } finally {
        await holder.stop()
      }
    })

    it(`gives ${tool}’s own words when the connection is refused`, async () => {
      const nft = (words: string) => pcs.sh(`ip netns exec vmrtb-b nft ${words}`)
      await nft('add table inet vmrtb')
      await nft('add chain inet vmrtb in { type filter hook input priority 0 ; }')
      await nft('add rule inet vmrtb in meta l4proto tcp reject with tcp reset')
      try {
        await assert.rejects(measureThroughput(tool, request('ipv4')), {
          code: 'MEASUREMENT_FAILED',
          message: /from a to b \(192.168.231.2 port \d+\): .*Connection refused/,
        })
        assert.equal(await leftOver(), '')
      } finally {
        await nft('delete table inet vmrtb')
      }
    })

    it(`fails when the ${tool} server vanishes in the middle`, async () => {
      const receiver = vanishing(pcs.b)
      const running = measureThroughput(
        tool,
        request('ipv4', { seconds: 20, receiver: { machine: receiver.machine, address: addresses.b.ipv4 } }),
      )
      const outcome = assert.rejects(running, { code: 'MEASUREMENT_FAILED' })
      await connected(pcs.a)
      await receiver.end()
      await outcome
      assert.equal(await leftOver(), '')
    })

    it(`ends ${tool} at both ends when the caller has had enough`, async () => {
      const caller = new AbortController()
      const running = measureThroughput(tool, request('ipv4', { seconds: 20, signal: caller.signal }))
      const outcome = assert.rejects(running, { code: 'INTERRUPTED' })
      await connected(pcs.a)
      caller.abort()
      await outcome
      assert.equal(await leftOver(), '')
    })

    it(`reads ${tool}’s version, and refuses another program in its place`, async () => {
      assert.match(await readToolVersion(pcs.a, tool), tool === 'iperf3' ? /^3\.\d+/ : /^2\.\d+\.\d+/)
      const shell: Machine['shell'] = { ...pcs.a.shell, run: (_, options) => pcs.a.shell.run(['ip', '-V'], options) }
      await assert.rejects(readToolVersion({ ...pcs.a, shell }, tool), {
        code: 'HOST_TOOL_MISSING',
        message: /iproute2/,
      })
    })
  }

  /** Resolves when a TCP connection of this PC carries traffic. */
  async function connected(machine: Machine): Promise<void> {
    const limit = AbortSignal.timeout(10_000)
    const over = once(limit, 'abort')
    for (;;) {
      const { stdout } = await machine.shell.run(['ss', '-tniH', 'state', 'established'])
      if (/bytes_acked:[1-9]\d{5}/.test(stdout)) return
      if (limit.aborted) {
        await over
        throw new Error('no connection carries traffic')
      }
    }
  }
})
