import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { networkConfigSchema } from '../../../src/config/network-config.ts'
import { cacheDirectory } from '../../../src/config/paths.ts'
import { buildLabImage } from '../../../src/image/lab-image.ts'
import type { VyosPath } from '../../../src/os/vyos/path.ts'
import { changeConfiguration, readConfiguration, runOperational } from '../../../src/os/vyos/transaction.ts'
import { shellAccess } from '../../../src/os/vyos/vyos-access.ts'
import { planVyos, readVyosVersion, vyosOs } from '../../../src/os/vyos/vyos-os.ts'
import { localShell } from '../../../src/shell/local.ts'
import { type ConsoleSession, type ConsoleState, openConsoleSession } from '../../../src/shell/serial/login.ts'
import { type SerialShell, serialShell } from '../../../src/shell/serial/serial-shell.ts'
import { runChecked, type Shell } from '../../../src/shell/shell.ts'
import { type SerialGuest, startSerialGuest } from './serial-guest.ts'

const description = 'serial console of the lab router'
const credentials = { user: 'vyos', password: 'vyos' }

const everyCase = networkConfigSchema.parse({
  hostName: 'dut',
  forwarding: { ipv4: true, ipv6: false },
  ethernets: {
    eth0: { addresses: ['192.168.1.1/24', '2001:db8:1::1/64'], mtu: 1400, offloads: { gro: true, tso: false } },
    eth1: { vlans: { '10': { addresses: ['10.10.10.1/24'] }, '20': {} } },
  },
  bridges: { br0: { members: ['eth1.20'], addresses: ['10.20.0.1/24'] } },
  tunnels: {
    tun0: {
      kind: 'ipip6',
      local: '2001:db8:1::1',
      remote: '2001:db8:1::2',
      addresses: ['10.99.0.1/30'],
      encapsulationLimit: 'none',
    },
  },
  routes: [
    { to: '10.77.0.0/16', via: '192.168.1.2' },
    { to: '2001:db8:77::/48', via: '2001:db8:1::2' },
  ],
})

const lines = (paths: readonly VyosPath[]) => paths.map((path) => path.join(' ')).toSorted()
const set = (line: string) => ({ kind: 'set' as const, path: line.split(' '), single: false, objects: [3] })

describe('lab router on its serial console', function () {
  this.timeout(120_000)
  // One guest serves all: what follows a failure would only fail with it.
  this.bail(true)
  let folder: string
  let guest: SerialGuest
  let stream: Socket
  let session: ConsoleSession
  let shell: SerialShell

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'vmr-serial-'))
    guest = startSerialGuest(await buildLabImage({ cacheDirectory: cacheDirectory(), shell: localShell }), folder)
    stream = await guest.console()
  })
  after(async () => {
    stream?.destroy()
    await guest?.stop()
    await rm(folder, { recursive: true, force: true })
  })

  it('refuses a wrong password within the boot that it waited for', async () => {
    await assert.rejects(
      openConsoleSession(stream, { description, credentials: { user: 'vyos', password: 'wrong' } }),
      { code: 'GUEST_LOGIN_FAILED' },
    )
  })

  it('logs in on the console that was left at its prompt', async () => {
    const states: ConsoleState[] = []
    session = await openConsoleSession(stream, { description, credentials, onState: ({ state }) => states.push(state) })
    assert.deepEqual(states, ['waiting', 'login', 'password', 'shell'])
    shell = serialShell(session)
    assert.match((await shell.run(['id'])).stdout, /\(vyattacfg\)/)
  })

  it('carries arguments, input and 1 MB of output unchanged', async () => {
    const words = ['a?b', "it's", '!x', 'tab\there', 'ü', '', '\\n', 'two\nlines', 'x'.repeat(5000)]
    assert.equal((await shell.run(['printf', '%s|', ...words])).stdout, words.map((word) => `${word}|`).join(''))
    const stdin = 'a\r\nb\0\x03\x1b[6n ?'
    assert.equal((await shell.run(['cat'], { stdin })).stdout, stdin)
    const { stdout } = await shell.run(['sh', '-c', 'yes 0123456789 | head -c 1000000'], { timeoutMs: 60_000 })
    assert.equal(stdout, '0123456789\n'.repeat(90_910).slice(0, 1_000_000))
  })

  it('is not misled by kernel messages on the console', async () => {
    const noise = [
      'sudo',
      'sh',
      '-c',
      'dmesg -n 8; for i in 1 2 3 4 5 6 7 8; do echo "<0>noise $i" >/dev/kmsg; echo "out $i"; done',
    ]
    for (let round = 0; round < 3; round += 1) {
      assert.equal(
        (await shell.run(noise)).stdout,
        [1, 2, 3, 4, 5, 6, 7, 8].map((number) => `out ${number}\n`).join(''),
      )
    }
    const background = await shell.start([
      'sudo',
      'sh',
      '-c',
      'while true; do echo "<0>more noise" >/dev/kmsg; sleep 0.02; done',
    ])
    assert.equal((await shell.run(['seq', '200'])).stdout.split('\n').length, 201)
    assert.equal((await background.stop()).exitCode, 143)
    await shell.run(['sudo', 'dmesg', '-n', '3'])
  })

  it('ends a command that takes too long, and stops root’s in the background', async () => {
    await assert.rejects(shell.run(['sleep', '60'], { timeoutMs: 500 }), { code: 'TIMED_OUT' })
    const command = await shell.start(['sudo', 'sleep', '60'])
    assert.equal((await command.stop()).exitCode, 143)
    assert.doesNotMatch((await shell.run(['sh', '-c', 'cat /proc/[0-9]*/comm'])).stdout, /^sleep$/m)
  })

  it('configures what the cases of the talk need, so that the kernel has it, and takes exactly that back', async () => {
    assert.equal((await readVyosVersion(shell)).train, '1.4')
    const before = await readConfiguration(shell)
    await vyosOs.configure(shell, everyCase)
    assert.deepEqual(await planVyos(shellAccess(shell), everyCase), [])
    const { interfaces } = await vyosOs.observe(shell)
    const addressesOf = (name: string) =>
      interfaces
        .find((each) => each.name === name)
        ?.addresses.filter(({ scope }) => scope === 'global')
        .map(({ address }) => address)
    assert.deepEqual(addressesOf('eth0'), ['192.168.1.1', '2001:db8:1::1'])
    assert.deepEqual(addressesOf('eth1.10'), ['10.10.10.1'])
    assert.deepEqual(addressesOf('br0'), ['10.20.0.1'])
    assert.deepEqual(addressesOf('tun0'), ['10.99.0.1'])
    assert.equal(interfaces.find(({ name }) => name === 'eth1.20')?.master, 'br0')
    assert.equal(interfaces.find(({ name }) => name === 'eth0')?.mtu, 1400)
    await vyosOs.flushNeighbours(shell, ['eth0'])
    await vyosOs.unconfigure(shell, everyCase)
    assert.deepEqual(lines(await readConfiguration(shell)), lines(before))
    assert.equal((await shell.run(['sh', '-c', 'ls /tmp/vmr-*'])).stdout, '')
  })

  it('gives a tunnel another remote end without leaving it with none', async () => {
    const before = await readConfiguration(shell)
    const towards = (remote: string) =>
      networkConfigSchema.parse({
        ethernets: { eth0: { addresses: ['2001:db8:1::1/64'] } },
        tunnels: { tun0: { kind: 'ipip6', local: '2001:db8:1::1', remote, addresses: ['10.99.0.1/30'] } },
      })
    const [first, other] = [towards('2001:db8:1::2'), towards('2001:db8:1::3')]
    await vyosOs.configure(shell, first)
    await vyosOs.reconfigure(shell, first, other)
    assert.match(await runChecked(shell, ['ip', '-6', 'tunnel', 'show', 'tun0']), /remote 2001:db8:1::3 /)
    await vyosOs.unconfigure(shell, other)
    await vyosOs.unconfigure(shell, first)
    assert.deepEqual(lines(await readConfiguration(shell)), lines(before))
  })

  it('asks for the version once until the guest is restarted', async () => {
    const asked = async () => {
      const commands: string[] = []
      const another: Shell = {
        ...shell,
        run: (argv, options) => {
          commands.push(argv.join(' '))
          return shell.run(argv, options)
        },
      }
      assert.equal((await readVyosVersion(another)).train, '1.4')
      return commands.some((command) => command.endsWith('show version'))
    }
    assert.equal(await asked(), false)
    await shell.run(['sed', '-i', '1s/.*/another-start/', '/tmp/.vmr-version'])
    assert.equal(await asked(), true)
    assert.equal(await asked(), false)
  })

  it('commits nothing when one command is refused, and says which in VyOS’s words', async () => {
    const before = await readConfiguration(shell)
    const config = networkConfigSchema.parse({
      ethernets: { eth0: { addresses: ['192.168.5.1/24'] } },
      tunnels: { tun1: { kind: 'ipip6', local: '2001:db8:1::1', remote: '2001:db8:1::2', mtu: 65535 } },
    })
    await assert.rejects(vyosOs.configure(shell, config), {
      code: 'GUEST_CONFIG_REFUSED',
      message:
        /set interfaces tunnel tun1 mtu '65535': MTU must be[\s\S]*Set failed\nThe configuration is as it was before\.$/,
    })
    assert.deepEqual(lines(await readConfiguration(shell)), lines(before))
  })

  it('undoes what a failed commit left active', async () => {
    const before = await readConfiguration(shell)
    const commands = [
      set('interfaces tunnel tun1 encapsulation ipip6'),
      { ...set('interfaces ethernet eth0 vif 10 address 10.10.10.1/24'), objects: [3, 5] },
    ]
    await assert.rejects(changeConfiguration(shell, before, commands), {
      code: 'GUEST_CONFIG_REFUSED',
      message: /required for tunnel[\s\S]*Commit failed\nThe configuration is as it was before\.$/,
    })
    assert.deepEqual(lines(await readConfiguration(shell)), lines(before))
  })

  it('finds an interface that does not exist before it sends anything', async () => {
    const config = networkConfigSchema.parse({ ethernets: { eth7: { addresses: ['192.0.2.1/24'] } } })
    await assert.rejects(vyosOs.configure(shell, config), {
      code: 'GUEST_CONFIG_REFUSED',
      message: /has no interface eth7; it has eth0, eth1/,
    })
  })

  it('sets 40 things in one transaction of a few seconds', async () => {
    const addresses = Array.from({ length: 40 }, (_, index) => `10.40.${index}.1/24`)
    const config = networkConfigSchema.parse({ ethernets: { eth0: { addresses } } })
    const start = performance.now()
    await vyosOs.configure(shell, config)
    assert.ok(performance.now() - start < 20_000)
    await vyosOs.unconfigure(shell, config)
  })

  it('keeps an operator’s pending changes, and goes on once they are gone', async () => {
    assert.match(await runOperational(shell, ['show', 'version']), /lab-router/)
    await shell.close()
    stream.write('configure\rset interfaces ethernet eth1 description operator\r')
    await session.console.expect(
      { prompt: (tail) => (/vyos@[\w-]+# $/.test(tail) ? true : undefined), settleMs: 1000 },
      { what: 'configuration mode', timeoutMs: 20_000 },
    )
    session.console.detach()
    await assert.rejects(openConsoleSession(stream, { description, credentials }), { code: 'GUEST_NOT_READY' })
    stream.write('discard\r')
    session = await openConsoleSession(stream, { description, credentials })
    shell = serialShell(session)
    assert.doesNotMatch(
      await runChecked(shell, ['/opt/vyatta/bin/vyatta-op-cmd-wrapper', 'show', 'configuration', 'commands']),
      /operator/,
    )
  })

  it('loses its session when the guest restarts, and logs in again after it', async () => {
    await shell.run(['true'])
    const waiting = shell.run(['sleep', '60'], { timeoutMs: 90_000 })
    const lost = assert.rejects(waiting, { code: 'GUEST_CONSOLE_LOST', message: /back at its login prompt/ })
    await guest.monitor('system_reset')
    await lost
    session.console.detach()
    session = await openConsoleSession(stream, { description, credentials })
    shell = serialShell(session)
    assert.equal((await shell.run(['echo', 'again'])).stdout, 'again\n')
  })

  it('says that the console is lost when the guest is gone', async () => {
    const waiting = shell.run(['sleep', '60'])
    const lost = assert.rejects(waiting, { code: 'GUEST_CONSOLE_LOST' })
    await guest.stop()
    await lost
  })
})
