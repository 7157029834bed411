import assert from 'node:assert/strict'
import { VmrError } from '../../../src/errors/vmr-error.ts'
import { type LinuxLink, readLinks } from '../../../src/os/linux/ip-json.ts'
import { localShell } from '../../../src/shell/local.ts'
import { runChecked } from '../../../src/shell/shell.ts'
import { detectHostCapabilities } from '../../../src/testbed/host-capabilities.ts'
import { prepareUplink } from '../../../src/testbed/uplink.ts'
import { hostExecutors } from '../../../src/undo/host-executors.ts'
import { undoAll } from '../../../src/undo/undo-all.ts'
import { makeTestLab, type TestLab, testObjects } from './test-lab.ts'

const uplink = 'vmrt-up1'
const bridge = 'vmrt-br1'

describe('an uplink', function () {
  this.timeout(30_000)
  let lab: TestLab

  before(async () => {
    lab = await makeTestLab()
  })
  after(() => lab.remove())
  afterEach(async () => {
    for (const name of ['vmrt-vm', 'vmrt-vm2', 'vmrtforeign0'])
      await localShell.run(['ip', 'link', 'delete', 'dev', name])
    await undoAll(lab.journal, { executors: hostExecutors })
  })

  const prepare = (use: Parameters<typeof prepareUplink>[1], name = uplink) =>
    prepareUplink(name, use, { journal: lab.journal })
  const link = async (name: string): Promise<LinuxLink | undefined> => (await readLinks(localShell, { name }))[0]
  const ip = (...words: readonly string[]) => runChecked(localShell, ['ip', ...words])
  const isBusy = (pattern: RegExp) => (error: unknown) => {
    assert.ok(error instanceof VmrError, String(error))
    assert.equal(error.code, 'UPLINK_BUSY')
    assert.match(error.message, pattern)
    return true
  }

  it('is held by a bridge that has its MAC and MTU, forwards at once, and floods every group', async () => {
    const before = await link(uplink)
    await prepare({ kind: 'bridge', bridge })
    const [nic, made] = [await link(uplink), await link(bridge)]
    assert.equal(nic?.master, bridge)
    assert.deepEqual([made?.address, made?.mtu], [before?.address, before?.mtu])
    assert.deepEqual([made?.linkinfo?.info_data?.stp_state, made?.linkinfo?.info_data?.mcast_snooping], [0, 0])
    assert.deepEqual(made?.addr_info, [], 'the host says nothing on the bridge')
    assert.equal(made?.flags.includes('LOWER_UP'), true)
    assert.deepEqual([nic?.address, nic?.mtu], [before?.address, before?.mtu])
  })

  it('is prepared twice as once, and changes its bridge when something else is asked of it', async () => {
    await prepare({ kind: 'bridge', bridge })
    const first = await link(bridge)
    const steps = lab.journal.pending().length
    await prepare({ kind: 'bridge', bridge })
    assert.equal((await link(bridge))?.ifindex, first?.ifindex)
    assert.equal(lab.journal.pending().length, steps)
    await prepare({ kind: 'bridge', bridge, stp: true, multicastSnooping: true })
    const changed = await link(bridge)
    assert.equal(changed?.ifindex, first?.ifindex)
    assert.deepEqual([changed?.linkinfo?.info_data?.stp_state, changed?.linkinfo?.info_data?.mcast_snooping], [1, 1])
  })

  it('carries a macvtap after its bridge was dissolved, and the other way round', async () => {
    await prepare({ kind: 'bridge', bridge })
    await prepare({ kind: 'bare' })
    assert.equal(await link(bridge), undefined)
    await ip('link', 'add', 'link', uplink, 'name', 'vmrt-vm', 'type', 'macvtap', 'mode', 'passthru')
    await ip('link', 'delete', 'dev', 'vmrt-vm')
    await prepare({ kind: 'bridge', bridge })
    assert.equal((await link(uplink))?.master, bridge)
  })

  it('is refused to a bridge while a macvtap stands on it, which is named', async () => {
    await ip('link', 'add', 'link', uplink, 'name', 'vmrt-vm', 'type', 'macvtap', 'mode', 'bridge')
    await assert.rejects(prepare({ kind: 'bridge', bridge }), isBusy(/vmrt-up1 is held by macvtap vmrt-vm/))
    await prepare({ kind: 'bare' })
    await assert.rejects(prepare({ kind: 'bare', exclusive: true }), isBusy(/macvtap vmrt-vm/))
    assert.equal(await link(bridge), undefined)
  })

  it('is not taken from a bridge that others use, or that vmr did not make', async () => {
    await prepare({ kind: 'bridge', bridge })
    await ip('link', 'add', 'name', 'vmrt-vm', 'type', 'veth', 'peer', 'name', 'vmrt-vm2')
    await ip('link', 'set', 'dev', 'vmrt-vm', 'master', bridge)
    await assert.rejects(prepare({ kind: 'bare' }), isBusy(/held by vmrt-br1, which vmrt-vm uses too/))
    await ip('link', 'delete', 'dev', 'vmrt-vm')
    await prepare({ kind: 'bare' })

    await ip('link', 'add', 'name', 'vmrtforeign0', 'type', 'bridge')
    await ip('link', 'set', 'dev', 'vmrtforeign0', 'name', 'foreign0')
    try {
      await ip('link', 'set', 'dev', uplink, 'master', 'foreign0')
      await assert.rejects(prepare({ kind: 'bare' }), isBusy(/foreign0, which vmr did not make/))
      await assert.rejects(prepare({ kind: 'bridge', bridge }), isBusy(/foreign0/))
      await prepare({ kind: 'bridge', bridge: 'foreign0' })
    } finally {
      await ip('link', 'delete', 'dev', 'foreign0')
    }
  })

  it('stays with the other user when one gives its bridge back', async () => {
    await prepare({ kind: 'bridge', bridge })
    await ip('link', 'add', 'name', 'vmrt-vm', 'type', 'veth', 'peer', 'name', 'vmrt-vm2')
    await ip('link', 'set', 'dev', 'vmrt-vm', 'master', bridge)
    const outcomes: string[] = []
    await undoAll(lab.journal, { executors: hostExecutors, onStep: ({ outcome }) => outcomes.push(outcome) })
    assert.ok(outcomes.includes('shared'))
    assert.equal((await link(uplink))?.master, bridge)
    await ip('link', 'delete', 'dev', 'vmrt-vm')
    await prepare({ kind: 'bridge', bridge })
  })

  it('is not the NIC that the host itself needs', async () => {
    const { stdout } = await localShell.run(['ip', '-json', 'route', 'show', 'default'])
    const [route] = JSON.parse(stdout || '[]')
    if (route !== undefined)
      await assert.rejects(prepare({ kind: 'bridge', bridge }, route.dev), isBusy(/carries the host's default route/))
    await ip('address', 'add', '192.0.2.77/32', 'dev', uplink)
    try {
      await assert.rejects(prepare({ kind: 'bare' }), isBusy(/vmrt-up1 carries the host's address 192\.0\.2\.77/))
    } finally {
      await ip('address', 'delete', '192.0.2.77/32', 'dev', uplink)
    }
  })

  it('that does not exist, or is no NIC, is named with what there is', async () => {
    const notFound = (pattern: RegExp) => (error: unknown) => {
      assert.ok(error instanceof VmrError && error.code === 'UPLINK_NOT_FOUND', String(error))
      assert.match(`${error.message} ${error.hint}`, pattern)
      return true
    }
    await assert.rejects(prepare({ kind: 'bare' }, 'enp9s9'), notFound(/no network interface enp9s9.*vmrt-up1/))
    await assert.rejects(prepare({ kind: 'bare' }, 'vmrt-up9'), notFound(/vmr lab up/))
    await assert.rejects(prepare({ kind: 'bare' }, 'lo'), notFound(/lo is no Ethernet NIC/))
  })

  it('is as it was when everything is taken back', async () => {
    const read = async () => {
      const { stdout } = await localShell.run(['sysctl', '-n', `net/ipv6/conf/${uplink}/disable_ipv6`])
      const now = await link(uplink)
      return [stdout, now?.flags, now?.mtu, now?.address, now?.master, now?.addr_info, await link(bridge)]
    }
    const before = await read()
    for (const use of [{ kind: 'bridge', bridge }, { kind: 'host' }, { kind: 'bare' }, { kind: 'host' }] as const)
      await prepare(use)
    assert.notDeepEqual(await read(), before)
    await undoAll(lab.journal, { executors: hostExecutors })
    assert.deepEqual(await read(), before)
  })

  it('is prepared on a kernel whose abilities were tried without leaving a trace', async () => {
    const before = await testObjects()
    const { veth, bridge: bridges, macvtap, tbf } = await detectHostCapabilities()
    assert.deepEqual([veth, bridges, macvtap, tbf], [true, true, true, true])
    assert.deepEqual(await testObjects(), before)
  })
})
