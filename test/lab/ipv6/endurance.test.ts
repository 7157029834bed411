import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { packageRoot } from '../../../src/config/package-root.ts'
import type { StressResult } from '../../../src/ipv6/endurance/endure.ts'
import { stressNames } from '../../../src/ipv6/endurance/stress.ts'
import { isWorse } from '../../../src/ipv6/endurance/verdicts.ts'
import { type DiagnosedVm, makeDiagnosedVm } from './diagnosed-vm.ts'
import { observedState } from './observed-state.ts'

/** Without it a lean selection runs. */
const isWhole = Number(process.env.VMR_TEST_REPEAT ?? 0) > 0
const run = promisify(execFile)
const cli = join(packageRoot(), 'dist', 'cli.js')

/** Everything that a stress could leave behind: as a diagnosis compares it, and the timers. */
async function wholeState(lab: DiagnosedVm): Promise<unknown> {
  await lab.settled()
  const timers = "sysctl -a 2>/dev/null | grep -E 'neigh\\.eth[0-9]+\\.(base_reachable_time_ms|delay_first|gc_stale)'"
  const bridges = await lab.host('ip -json -details link show type bridge')
  const settings = (JSON.parse(bridges) as { ifname: string; linkinfo: { info_data: Record<string, unknown> } }[]).map(
    ({ ifname, linkinfo }) => [
      ifname,
      Object.entries(linkinfo.info_data).filter(([name]) => !/timer|topology|_port$|_addr$|_state$/.test(name)),
    ],
  )
  const members = await lab.host("bridge mdb show | sed 's/ proto .*//' | sort")
  return {
    machines: (await observedState(lab.vm)).map(inOrder),
    ...{ settings, members },
    timers: await Promise.all([lab.guest(timers), lab.pc(1, timers), lab.pc(2, timers)]),
    waiting: await lab.guest('pgrep -x sleep || true'),
  }
}

/** Every list in the order of its letters: in which order a link joined its groups or routes came is no state. */
function inOrder(value: unknown): unknown {
  if (Array.isArray(value)) {
    const text = (each: unknown) => JSON.stringify(each)
    return value.map(inOrder).toSorted((one, other) => text(one).localeCompare(text(other)))
  }
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, inOrder(each)]))
}

const told = (results: readonly StressResult[]) =>
  JSON.stringify(
    results.map(({ stress, outcome, why, verdicts, diagnosis }) => ({
      ...{ stress: stress.name, outcome, why },
      lines: verdicts.filter(isWorse).map(({ line }) => line),
      broken: diagnosis?.broken.map(({ path, line }) => `${path.id}: ${line}`),
    })),
    null,
    1,
  )

/** The bridge of eth0 snoops and queries, and knows the groups of the VM. */
async function snoop({ host, vm: { testbed } }: DiagnosedVm): Promise<() => Promise<unknown>> {
  const bridge = testbed.links[0]?.bridge ?? ''
  await host(
    `sysctl -qw net.ipv6.conf.${bridge}.disable_ipv6=0; for i in $(seq 50); do ip -6 -o addr show dev ${bridge} | grep -v tentative | grep -q fe80 && break; sleep 0.1; done; ip link set ${bridge} type bridge mcast_query_response_interval 10; ip link set ${bridge} type bridge mcast_snooping 1 mcast_querier 1; for i in $(seq 100); do bridge mdb show dev ${bridge} | grep -q ff02::1:ffc3:a57e && break; sleep 0.1; done; ip link set ${bridge} type bridge mcast_query_response_interval 1000`,
  )
  return () =>
    host(
      `ip link set ${bridge} type bridge mcast_snooping 0 mcast_querier 0; sysctl -qw net.ipv6.conf.${bridge}.disable_ipv6=1`,
    )
}

/** From now on the VM hears no queries: as if who asked had stopped. */
async function silenceQueries({ host }: DiagnosedVm): Promise<() => Promise<unknown>> {
  await host(
    `nft 'add table bridge vmrtest; add chain bridge vmrtest o { type filter hook output priority 0; }; add rule bridge vmrtest o icmpv6 type mld-listener-query drop'`,
  )
  return () => host('nft delete table bridge vmrtest')
}

describe('endurance of a VM on host bridges', function () {
  this.timeout(400_000)
  let lab: DiagnosedVm
  before(async () => {
    lab = await makeDiagnosedVm('bridge', 'vmre')
  })
  after(() => lab?.remove())

  it('is shown to outlast every stress, and leaves every machine as it was', async () => {
    const before = await wholeState(lab)
    const results = await lab.endure('all')
    assert.deepEqual(
      results.map(({ stress, outcome }) => [stress.name, outcome]),
      stressNames.map((name) => [name, name === 'membership-expiry' ? 'not run' : 'survived']),
      told(results),
    )
    for (const { shortened } of results) for (const timer of shortened) assert.ok(timer.restored, timer.setting)
    assert.ok(results.some(({ shortened }) => shortened.some(({ setting }) => setting === 'ageing_time')))
    assert.deepEqual(await wholeState(lab), before)
  })

  it('outlasts the expiry of memberships where a querier asks and the VM answers', async () => {
    const heal = await snoop(lab)
    try {
      const before = await wholeState(lab)
      const results = await lab.endure(['membership-expiry'])
      assert.deepEqual(
        results.map(({ outcome }) => outcome),
        ['survived'],
        told(results),
      )
      const [timer] = results.flatMap(({ shortened }) => shortened)
      assert.deepEqual(
        [timer?.setting, timer?.before, timer?.to, timer?.restored],
        ['mcast_membership_interval', 26_000, 600, true],
      )
      assert.deepEqual(await wholeState(lab), before)
    } finally {
      await heal()
    }
  })

  it('is lost after membership expiry where the querier has stopped, which is named', async () => {
    const heal = [await snoop(lab), await silenceQueries(lab)]
    try {
      const before = await wholeState(lab)
      const [result, ...others] = await lab.endure(['membership-expiry'])
      assert.ok(result)
      assert.deepEqual(others, [])
      assert.equal(result.outcome, 'lost', told([result]))
      assert.deepEqual(
        result.verdicts.filter(isWorse).map(({ line }) => line),
        ['IPv6 pc1 -> r1: lost after membership expiry'],
      )
      assert.deepEqual(
        result.diagnosis?.named.map(({ fault }) => fault.id),
        ['bridge-snooping'],
      )
      assert.equal(result.recovered, true)
      assert.deepEqual(await wholeState(lab), before)
    } finally {
      for (const step of heal.reverse()) await step()
    }
  })

  const points = {
    'while memberships expire': {
      stress: 'membership-expiry',
      isReached: async () => /mcast_membership_interval 600 /.test(await lab.host('ip -details link show type bridge')),
    },
    'while neighbour entries age': {
      stress: 'neighbour-aging',
      isReached: async () =>
        (await lab.pc(2, 'cat /proc/sys/net/ipv6/neigh/eth0/base_reachable_time_ms')).trim() === '3000',
    },
    'while the VM is paused': {
      stress: 'suspend',
      isReached: async () => (await lab.host('virsh domstate r1')).trim() === 'paused',
    },
  } as const

  async function interrupt(point: keyof typeof points, signal: 'SIGINT' | 'SIGKILL'): Promise<readonly unknown[]> {
    const { stress, isReached } = points[point]
    const words = ['diagnose', 'r1', '--testbed', lab.vm.testbedFile, `--endure=${stress}`, '--yes']
    const child = spawn(process.execPath, [cli, ...words], { stdio: 'ignore' })
    const ended = once(child, 'exit')
    for (const deadline = Date.now() + 90_000; !(await isReached()); await delay(50)) {
      assert.equal(child.exitCode, null, `it ended before "${point}"`)
      assert.ok(Date.now() < deadline, `"${point}" was not reached in time`)
    }
    child.kill(signal)
    return ended
  }

  const everyPoint = Object.keys(points) as (keyof typeof points)[]
  for (const point of isWhole ? everyPoint : (['while neighbour entries age'] as const)) {
    it(`by Ctrl-C ${point} takes everything back and exits 130`, async () => {
      const heal = [await snoop(lab), await silenceQueries(lab)]
      try {
        const before = await wholeState(lab)
        await lab.vm.closeConsole()
        assert.deepEqual(await interrupt(point, 'SIGINT'), [130, null])
        await lab.vm.reopen()
        assert.deepEqual(await wholeState(lab), before)
      } finally {
        for (const step of heal.reverse()) await step()
      }
    })
  }

  // The guest's own timers come back by themselves, minutes later.
  const journaled = everyPoint.filter((point) => point !== 'while neighbour entries age')
  for (const point of isWhole ? journaled : (['while memberships expire'] as const)) {
    it(`by SIGKILL ${point} leaves what \`vmr cleanup\` takes back`, async () => {
      const heal = [await snoop(lab), await silenceQueries(lab)]
      try {
        const before = await wholeState(lab)
        await lab.vm.closeConsole()
        assert.deepEqual(await interrupt(point, 'SIGKILL'), [null, 'SIGKILL'])
        await run(process.execPath, [cli, 'cleanup'])
        await lab.vm.reopen()
        assert.deepEqual(await wholeState(lab), before)
      } finally {
        for (const step of heal.reverse()) await step()
      }
    })
  }
})

describe('endurance of a VM on macvtaps', function () {
  this.timeout(300_000)
  let lab: DiagnosedVm
  afterEach(() => lab?.remove())

  it('is lost where an address is added later and nobody tells the macvtap of its group, which is named', async () => {
    lab = await makeDiagnosedVm('macvtap', 'vmre')
    // What is left ends like the MAC address, so that the host's own device has joined its group.
    await lab.guest(
      'for n in eth0 eth1; do ip -6 addr show dev $n scope global | awk \'/inet6/ { print $2 }\' | while read a; do ip addr del $a dev $n; done; done; for p in "eth0 beaf" "eth1 cafe"; do set -- $p; m=$(cat /sys/class/net/$1/address | tr -d :); ip addr add 2001:db8:dead:$2:5054:ff:fe$(echo $m | cut -c 7-8):$(echo $m | cut -c 9-12)/64 dev $1; done',
    )
    const before = await wholeState(lab)
    const [result, ...others] = await lab.endure(['address-later'])
    assert.ok(result)
    assert.deepEqual(others, [])
    assert.equal(result.outcome, 'lost', told([result]))
    const worse = result.verdicts.filter(isWorse)
    assert.deepEqual([...new Set(worse.map(({ direction, family }) => `${family} ${direction}`))].toSorted(), [
      'ipv6 pc1>r1',
      'ipv6 pc2>r1',
    ])
    for (const { line } of worse) assert.match(line, /lost after an address was added later$/)
    assert.deepEqual([...new Set(result.diagnosis?.named.map(({ fault }) => fault.id))], ['macvtap-multicast-filter'])
    assert.equal(result.recovered, true)
    assert.deepEqual(await wholeState(lab), before)
  })

  it('is shown to outlast a restart of libvirtd, and addresses added later, where the macvtaps are trusted', async () => {
    lab = await makeDiagnosedVm('macvtap-trust', 'vmre')
    const before = await wholeState(lab)
    const results = await lab.endure(['address-later', 'link-flap', 'libvirtd-restart'])
    assert.deepEqual(
      results.map(({ outcome }) => outcome),
      ['survived', 'survived', 'survived'],
      told(results),
    )
    assert.deepEqual(await wholeState(lab), before)
  })
})
