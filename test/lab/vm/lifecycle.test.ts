import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { localShell } from '../../../src/shell/local.ts'
import { netnsShell } from '../../../src/shell/netns.ts'
import { runChecked } from '../../../src/shell/shell.ts'

const name = 'vmrt-life'

describe('the life of a VM at the command line', function () {
  this.timeout(120_000)
  let folder: string

  const run = (...argv: readonly string[]) =>
    localShell.run(['env', `VMR_STATE_DIR=${folder}`, process.execPath, 'dist/cli.js', ...argv], { timeoutMs: 60_000 })
  const vm = async (command: string, ...argv: readonly string[]): Promise<Record<string, unknown>> => {
    const { stdout, stderr, exitCode } = await run('vm', command, name, ...argv, '--json')
    assert.equal(exitCode, 0, stderr)
    return JSON.parse(stdout) as Record<string, unknown>
  }
  const state = async () => (await vm('show', '--no-guest')).state

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'vmr-life-'))
    await vm('create', '--nic', 'bridge', '--accel', 'tcg')
  })
  after(async () => {
    await run('vm', 'delete', name, '--yes')
    await run('lab', 'down')
    await rm(folder, { recursive: true })
  })

  it('gives the guest the addresses of the testbed, so that its PCs reach it', async () => {
    for (const address of ['192.168.1.1', '2001:db8:dead:beaf::1'])
      await runChecked(netnsShell('vmr-pc1'), ['ping', '-c', '3', '-i', '0.2', '-W', '2', address])
  })

  it('shows how a switch would change its definition, and changes nothing', async () => {
    const before = (await vm('xml')).xml
    const { diff } = await vm('switch', '--nic', 'macvtap-trust', '--only', 'eth1', '--dry-run')
    assert.match(String(diff), /^\+ .*<interface trustGuestRxFilters="yes" type="direct">$/m)
    assert.equal((await vm('xml')).xml, before)
  })

  it('pauses and resumes, and says when there was nothing to do', async () => {
    assert.equal((await vm('pause')).changed, true)
    assert.equal(await state(), 'paused')
    assert.equal((await vm('pause')).changed, false)
    assert.equal((await vm('resume')).changed, true)
    assert.equal(await state(), 'running')
    assert.equal((await vm('resume')).changed, false)
  })

  it('tells what happens to it, as it happens', async () => {
    const events = await localShell.start([
      ...['env', `VMR_STATE_DIR=${folder}`, process.execPath, 'dist/cli.js', 'vm', 'events', name, '--json'],
    ])
    try {
      const seen: string[] = []
      // Until its registration has reached libvirt nothing is told: so something happens again until it is.
      const happen = (async () => {
        while (seen.length < 2) {
          await vm('pause')
          await vm('resume')
        }
      })()
      for await (const line of events.lines) {
        const { name: of, kind, event } = JSON.parse(line) as Record<string, string>
        assert.deepEqual([of, kind], [name, 'lifecycle'])
        seen.push(event ?? '')
        if (seen.length >= 2) break
      }
      await happen
      assert.ok(seen.every((event) => event === 'suspended' || event === 'resumed'))
    } finally {
      await events.stop()
    }
  })

  it('shows the rates of its NICs under traffic', async () => {
    const ping = await netnsShell('vmr-pc1').start(['ping', '-q', '-i', '0.01', '-s', '1000', '192.168.1.1'])
    try {
      const { nics, processor } = (await vm('stats', '--interval', '1')) as unknown as {
        readonly processor: number
        readonly nics: readonly { readonly received: { readonly bitsPerSecond: number } }[]
      }
      assert.ok(processor > 0)
      const busiest = Math.max(...nics.map(({ received }) => received.bitsPerSecond))
      assert.ok(busiest > 100_000 && busiest < 2_000_000, `${busiest} bit/s`)
    } finally {
      await ping.stop()
    }
  })

  it('shows what the guest said on its console, and QEMU in its log', async () => {
    const { lines } = (await vm('logs', '--lines', '1000')) as { readonly lines: readonly string[] }
    assert.ok(lines.some((line) => /login:/.test(line)))
    const qemu = (await vm('logs', '--qemu')) as { readonly lines: readonly string[] }
    assert.ok(qemu.lines.some((line) => /qemu-system-x86_64/.test(line)))
  })

  it('reboots when it is asked to, and can be waited for', async () => {
    await vm('reboot')
    await vm('wait', '--for', 'console')
    assert.equal(await state(), 'running')
  })

  it('starts with the host, or not', async () => {
    assert.deepEqual(await vm('autostart', 'on'), { name, autostart: true, changed: true })
    assert.equal((await vm('autostart', 'on')).changed, false)
    assert.equal((await vm('autostart', 'off')).changed, true)
  })

  it('stops by itself, and what needs a running VM then says so', async () => {
    assert.equal((await vm('stop')).how, 'shut down')
    assert.equal((await vm('wait', '--for', 'stopped')).state, 'stopped')
    for (const command of ['pause', 'resume', 'reset', 'reboot']) {
      const { stderr, exitCode } = await run('vm', command, name)
      assert.match(stderr, /^vmr: vmrt-life does not run\n {2}Start it/)
      assert.equal(exitCode, 5)
    }
  })
})
