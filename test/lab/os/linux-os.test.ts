import assert from 'node:assert/strict'
import { type NetworkConfigInput, networkConfigSchema } from '../../../src/config/network-config.ts'
import { VmrError } from '../../../src/errors/vmr-error.ts'
import { readLinks } from '../../../src/os/linux/ip-json.ts'
import { linuxOs } from '../../../src/os/linux/linux-os.ts'
import { waitUntilUsable } from '../../../src/os/wait-until-usable.ts'
import { localShell } from '../../../src/shell/local.ts'
import { netnsShell } from '../../../src/shell/netns.ts'
import { runChecked } from '../../../src/shell/shell.ts'

const namespace = 'vmrt-os'
const other = 'vmrt-os2'

describe('a Linux machine', function () {
  this.timeout(20_000)
  const shell = netnsShell(namespace)
  const peer = netnsShell(other)
  const config = (input: NetworkConfigInput) => networkConfigSchema.parse(input)

  beforeEach(async () => {
    for (const name of [namespace, other]) await runChecked(localShell, ['ip', 'netns', 'add', name])
    for (const [name, tail] of [
      ['eth0', other],
      ['eth1', other],
    ] as const)
      await runChecked(localShell, [
        ...['ip', '-n', namespace, 'link', 'add', name, 'type', 'veth', 'peer', 'name', name, 'netns', tail],
      ])
  })
  afterEach(async () => {
    for (const name of [namespace, other]) await runChecked(localShell, ['ip', 'netns', 'delete', name])
  })

  /** What the machine's configuration amounts to, without what changes by itself. */
  /** Without link-local addresses: the kernel gives them when the carrier comes, which may be after this has looked. */
  const state = async () => {
    const links = await readLinks(shell)
    const routes = await Promise.all(
      ['-4', '-6'].map((family) => runChecked(shell, ['ip', family, 'route', 'show', 'table', 'all'])),
    )
    return {
      links: links.map(({ ifname, mtu, master, flags, linkinfo, addr_info }) => ({
        ...{ ifname, mtu, master, up: flags.includes('UP'), kind: linkinfo?.info_kind },
        addresses: addr_info.flatMap(({ local, prefixlen }) =>
          local?.startsWith('fe80:') ? [] : [`${local}/${prefixlen}`],
        ),
      })),
      routes: routes.map((text) => text.split('\n').filter((line) => !/\bfe80:/.test(line))),
      forwarding: await runChecked(shell, ['sysctl', '-n', 'net/ipv4/ip_forward', 'net/ipv6/conf/all/forwarding']),
      offloads: await runChecked(shell, ['ethtool', '-k', 'eth0']),
    }
  }

  const cases: Readonly<Record<string, NetworkConfigInput>> = {
    nic: { ethernets: { eth0: { addresses: ['192.168.1.1/24', '2001:db8:dead:beaf::1/64'], mtu: 1400 } } },
    bridge: {
      ethernets: { eth0: {}, eth1: {} },
      bridges: { br0: { members: ['eth0', 'eth1'], addresses: ['192.168.1.1/24', '2001:db8:dead:beaf::1/64'] } },
    },
    forward: {
      ethernets: {
        eth0: { addresses: ['192.168.1.1/24', '2001:db8:dead:beaf::1/64'], offloads: { tso: false, gro: true } },
        eth1: { addresses: ['192.168.2.1/24', '2001:db8:dead:cafe::1/64'] },
      },
      routes: [
        { to: '10.7.0.0/16', via: '192.168.1.2' },
        { to: '2001:db8:7::/48', via: '2001:db8:dead:beaf::2' },
        { to: '0.0.0.0/0', device: 'eth1' },
      ],
      forwarding: { ipv4: true, ipv6: true },
    },
  }
  for (const [name, input] of Object.entries(cases)) {
    it(`is configured for the case ${name}, again without a change, and taken back exactly`, async () => {
      const before = await state()
      await linuxOs.configure(shell, config(input))
      const configured = await state()
      assert.notDeepEqual(configured, before)
      await linuxOs.configure(shell, config(input))
      assert.deepEqual(await state(), configured)
      await linuxOs.unconfigure(shell, config(input))
      assert.deepEqual(await state(), before)
    })
  }

  it('is left as it was when a part of its configuration is refused', async () => {
    const before = await state()
    const bad = config({
      ethernets: { eth0: { addresses: ['192.168.1.1/24'], mtu: 1400 } },
      routes: [{ to: '10.0.0.0/8', via: '203.0.113.1' }],
    })
    await assert.rejects(linuxOs.configure(shell, bad), (error: unknown) => {
      assert.ok(error instanceof VmrError)
      assert.match(error.message, /ip -4 route add 10\.0\.0\.0\/8 via 203\.0\.113\.1 .*Nexthop has invalid gateway/)
      return true
    })
    assert.deepEqual(await state(), before)
  })

  it('keeps what was configured before vmr came', async () => {
    await runChecked(shell, ['ip', 'address', 'add', '192.168.1.1/24', 'dev', 'eth0'])
    await runChecked(shell, ['sysctl', '-q', '-w', 'net/ipv4/ip_forward=1'])
    const before = await state()
    const wanted = config({ ethernets: { eth0: { addresses: ['192.168.1.1/24'] } }, forwarding: { ipv4: true } })
    await linuxOs.configure(shell, wanted)
    await linuxOs.unconfigure(shell, wanted)
    assert.deepEqual(await state(), before)
  })

  const connect = async () => {
    await linuxOs.configure(shell, config({ ethernets: { eth0: { addresses: ['192.168.1.1/24', '2001:db8::1/64'] } } }))
    await linuxOs.configure(peer, config({ ethernets: { eth0: { addresses: ['192.168.1.2/24', '2001:db8::2/64'] } } }))
    await waitUntilUsable(linuxOs, shell, 'eth0', ['192.168.1.1/24', '2001:db8::1/64'])
    await waitUntilUsable(linuxOs, peer, 'eth0', ['192.168.1.2', '2001:db8::2'])
  }
  const neighbour = async (address: string) =>
    (await linuxOs.observe(shell)).neighbours.find((entry) => entry.address === address)

  it('becomes what another configuration makes of it, touches nothing that both have, and is taken back whole', async () => {
    await linuxOs.configure(peer, config({ ethernets: { eth0: {}, eth1: {} } }))
    const bare = await state()
    const [nic, bridge, forward] = ['nic', 'bridge', 'forward'].map((name) => config(cases[name] ?? {}))
    assert.ok(nic && bridge && forward)
    for (const wanted of [bridge, forward]) {
      await linuxOs.configure(shell, wanted)
      const fresh = await state()
      await linuxOs.unconfigure(shell, wanted)
      await linuxOs.configure(shell, nic)
      await linuxOs.reconfigure(shell, nic, wanted)
      assert.deepEqual(await state(), fresh)
      await linuxOs.unconfigure(shell, wanted)
      assert.deepEqual(await state(), bare)
    }
    const routed = config({ ...cases.nic, routes: [{ to: '192.168.2.0/24', via: '192.168.1.2' }] })
    await linuxOs.configure(shell, nic)
    await waitUntilUsable(linuxOs, shell, 'eth0', ['2001:db8:dead:beaf::1'])
    await linuxOs.reconfigure(shell, nic, routed)
    // An address that was set anew would be tentative again.
    const { interfaces } = await linuxOs.observe(shell)
    const eth0 = interfaces.find(({ name }) => name === 'eth0')
    assert.equal(eth0?.addresses.find(({ address }) => address === '2001:db8:dead:beaf::1')?.tentative, false)
    assert.match(await runChecked(shell, ['ip', 'route']), /192\.168\.2\.0\/24 via 192\.168\.1\.2/)
    await linuxOs.unconfigure(shell, routed)
    assert.deepEqual(await state(), bare)
  })

  it('resolves its neighbours anew after a flush, in both families', async () => {
    await connect()
    const ping = (address: string) => runChecked(shell, ['ping', '-c1', '-W2', address])
    for (const address of ['192.168.1.2', '2001:db8::2']) {
      await ping(address)
      assert.ok((await neighbour(address))?.mac)
    }
    await linuxOs.flushNeighbours(shell, ['eth0'])
    for (const address of ['192.168.1.2', '2001:db8::2']) assert.equal((await neighbour(address))?.mac, undefined)
    for (const address of ['192.168.1.2', '2001:db8::2']) await ping(address)
  })

  it('says that a neighbour set by hand makes the flush worthless, and leaves it', async () => {
    await connect()
    const entry = ['2001:db8::2', 'lladdr', '02:00:00:00:00:09', 'dev', 'eth0', 'nud', 'permanent']
    await runChecked(shell, ['ip', 'neighbour', 'replace', ...entry])
    await assert.rejects(linuxOs.flushNeighbours(shell, ['eth0']), /2001:db8::2 is set by hand on eth0/)
    assert.equal((await neighbour('2001:db8::2'))?.state, 'PERMANENT')
  })

  it('is not usable while its address is tentative, and is as soon as it is not', async () => {
    await linuxOs.configure(peer, config({ ethernets: { eth0: {} } }))
    await linuxOs.configure(shell, config({ ethernets: { eth0: { addresses: ['2001:db8::1/64'] } } }))
    await assert.rejects(
      waitUntilUsable(linuxOs, shell, 'eth0', ['2001:db8::1'], { timeoutMs: 100 }),
      (error: unknown) =>
        error instanceof VmrError &&
        error.code === 'TIMED_OUT' &&
        /2001:db8::1 on eth0 .* is still tentative/.test(error.message),
    )
    await waitUntilUsable(linuxOs, shell, 'eth0', ['2001:db8::1'])
  })

  it('never becomes usable with an address that another machine has', async () => {
    await connect()
    await runChecked(shell, ['ip', 'address', 'add', '2001:db8::2/64', 'dev', 'eth0'])
    await assert.rejects(
      waitUntilUsable(linuxOs, shell, 'eth0', ['2001:db8::2']),
      (error: unknown) => error instanceof VmrError && error.code === 'ADDRESS_DUPLICATE',
    )
  })

  it('says what is missing: the link, the carrier, the address', async () => {
    const missing = async (name: string, addresses: readonly string[], pattern: RegExp) =>
      assert.rejects(waitUntilUsable(linuxOs, shell, name, addresses, { timeoutMs: 0 }), pattern)
    await missing('eth7', [], /there is no eth7 of network namespace vmrt-os after 0 s/)
    await missing('eth0', [], /eth0 of network namespace vmrt-os is still down/)
    await runChecked(shell, ['ip', 'link', 'set', 'dev', 'eth0', 'up'])
    await missing('eth0', [], /still has no carrier/)
    await runChecked(peer, ['ip', 'link', 'set', 'dev', 'eth0', 'up'])
    await missing('eth0', ['192.0.2.1'], /still lacks 192\.0\.2\.1/)
  })
})
