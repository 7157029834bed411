import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { z } from 'zod'
import { caseLinks } from '../../../src/bench/cases/bench-case.ts'
import { findCase } from '../../../src/bench/cases/index.ts'
import { networkConfigSchema } from '../../../src/config/network-config.ts'
import { isVmrError } from '../../../src/errors/vmr-error.ts'
import { uncutAccess } from '../../../src/os/vyos/uncut-access.ts'
import { reconfigureVyos, vyosOs } from '../../../src/os/vyos/vyos-os.ts'
import { localShell } from '../../../src/shell/local.ts'
import { runChecked, type Shell } from '../../../src/shell/shell.ts'
import { connectSsh, type SshTarget } from '../../../src/shell/ssh/connect.ts'
import { openRelay } from '../../../src/shell/ssh/relay.ts'
import { writeBySftp } from '../../../src/shell/ssh/sftp.ts'
import { sshConfigTarget } from '../../../src/shell/ssh/ssh-config.ts'
import { sshShell } from '../../../src/shell/ssh/ssh-shell.ts'
import { knownHostsFile, pinHostKeys, pinnedHostKeys } from '../../../src/vm/ssh/host-keys.ts'
import { type OpenedGuest, openGuestShell } from '../../../src/vm/ssh/open-guest-shell.ts'
import { makeRunningVm, type RunningVm } from './running-vm.ts'

const signal = new AbortController().signal
const hasCode = (code: string) => (error: unknown) => isVmrError(error) && error.code === code

/** What the session itself needs stays in every configuration. */
const wayIn = networkConfigSchema.parse({ ethernets: { eth0: { addresses: ['192.168.1.1/24'] } } })

/** What changes by itself, or counts how often something was made. */
const volatile = new Set([
  'ifindex',
  'valid_life_time',
  'preferred_life_time',
  'stats64',
  'link_index',
  'nhid',
  'tentative',
  'permaddr',
  // A new bridge has no carrier until a port forwards, half a minute later.
  'state',
  'operstate',
  'flags',
])
const isVolatile = (key: string) => volatile.has(key) || key.endsWith('_timer')
/** Come with the carrier, a tunnel's with another address each time. */
const isLinkLocal = (entry: unknown) =>
  z.object({ local: z.string() }).safeParse(entry).data?.local.startsWith('fe80:') === true ||
  /^(fe80:|ff00:)/.test(z.object({ dst: z.string() }).safeParse(entry).data?.dst ?? '')
const settled = (key: string, value: unknown) => {
  if (isVolatile(key)) return undefined
  return Array.isArray(value) ? value.filter((entry) => !isLinkLocal(entry)) : value
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  const limit = performance.now() + 30_000
  while (!(await condition())) {
    assert.ok(performance.now() < limit, `${condition} did not come true`)
    await setImmediate()
  }
}

async function kernelState(shell: Shell): Promise<unknown> {
  const read = async (...words: readonly string[]) =>
    JSON.parse(await runChecked(shell, ['ip', '-json', '-details', ...words]), settled) as unknown
  return [await read('address'), await read('-4', 'route'), await read('-6', 'route')]
}

describe('a guest’s shell by SSH', function () {
  this.timeout(240_000)
  let vm: RunningVm
  let guest: OpenedGuest

  before(async () => {
    vm = await makeRunningVm({ name: 'vmrt-ssh-shell', mode: 'bridge' })
    const all = vm.testbed.links.map(({ dut }, index) => [`eth${index}`, { addresses: [...dut.addresses] }])
    const everything = networkConfigSchema.parse({ ethernets: Object.fromEntries(all) })
    await vyosOs.reconfigure(vm.guest, everything, wayIn)
    await pinHostKeys(await vm.find(), vm.guest, { signal })
    guest = await openGuestShell(vm.connection, await vm.find(), { via: 'ssh', signal })
  })
  after(async () => {
    await guest?.close()
    await vm?.remove()
  })

  const isThere = async (...argv: readonly string[]) =>
    (await runChecked(guest.shell, ['sh', '-c', 'cat /proc/[0-9]*/cmdline 2>/dev/null || true'])).includes(
      argv.map((word) => `${word}\0`).join(''),
    )

  it('runs words as they are, keeps both streams apart and passes on the status', async () => {
    const script = 'printf "%s|" "$@"; cat; echo bad >&2; exit 7'
    const words = ['a  b', "it's", '$HOME', 'ü\n*', '']
    const result = await guest.shell.run(['sh', '-c', script, 'sh', ...words], { stdin: 'given' })
    assert.equal(result.stdout, `${words.map((word) => `${word}|`).join('')}given`)
    assert.deepEqual([result.stderr, result.exitCode], ['bad\n', 7])
    assert.equal((await guest.shell.run(['sh', '-c', 'kill -9 $$'])).exitCode, 137)
    assert.equal((await guest.shell.run(['no-such-program'])).exitCode, 127)
  })

  it('takes a command that is longer than the server lets a command line be', async () => {
    const long = 'x'.repeat(50_000)
    const { stdout } = await guest.shell.run(['sh', '-c', 'printf "%s" "$1"; cat', 'sh', long], { stdin: 'end' })
    assert.ok(stdout === `${long}end`)
  })

  it('brings 1 MB of output whole, and fails when there is more than the limit', async () => {
    const { stdout } = await guest.shell.run(['sh', '-c', 'yes 123456789 | head -n 100000'])
    assert.ok(stdout === '123456789\n'.repeat(100_000))
    await assert.rejects(guest.shell.run(['yes'], { maxOutputBytes: 10_000 }), hasCode('HOST_COMMAND_FAILED'))
    assert.equal(await isThere('yes'), false)
  })

  it('ends a command, children too, that is aborted, runs out of time or is stopped', async () => {
    const controller = new AbortController()
    const aborted = guest.shell.run(['sh', '-c', 'sleep 1001 & sleep 1001'], { signal: controller.signal })
    const running = await guest.shell.start(['sh', '-c', 'echo ready; trap "" TERM; sleep 1002; sleep 1002'])
    for await (const line of running.lines) {
      assert.equal(line, 'ready')
      break
    }
    while (!(await isThere('sleep', '1001'))) await guest.shell.run(['true'])
    controller.abort()
    await assert.rejects(aborted, hasCode('INTERRUPTED'))
    await assert.rejects(guest.shell.run(['sleep', '1003'], { timeoutMs: 500 }), hasCode('TIMED_OUT'))
    assert.equal((await running.stop()).stdout, 'ready\n')
    for (const word of ['1001', '1002', '1003']) assert.equal(await isThere('sleep', word), false, word)
  })

  it('writes a file of 3 MB with its mode, in one step', async () => {
    const content = `${'ü€\n'.repeat(500_000)}end`
    await guest.shell.writeFile('/tmp/large file', content, { mode: 0o640 })
    const sum = await runChecked(guest.shell, [
      'sh',
      '-c',
      'wc -c <"$1"; stat -c %a "$1"; tail -c 3 "$1"; rm "$1"',
      'sh',
      '/tmp/large file',
    ])
    assert.equal(sum, `${Buffer.byteLength(content)}\n640\nend`)
    await assert.rejects(guest.shell.writeFile('/no/such', 'x'), hasCode('HOST_COMMAND_FAILED'))
  })

  it('writes a large file by SFTP where the server has it, in place of another one', async () => {
    const connection = await connectSsh({ ...(await target()), password: 'vyos' })
    const content = `${'ü€\n'.repeat(500_000)}end`
    await guest.shell.writeFile('/tmp/by sftp', 'another one')
    assert.equal(await writeBySftp(connection, '/tmp/by sftp', content, { mode: 0o600 }), true)
    await connection.close()
    const seen = await runChecked(guest.shell, [
      'sh',
      '-c',
      'sha256sum <"$1"; stat -c %a "$1"; rm "$1"',
      'sh',
      '/tmp/by sftp',
    ])
    assert.equal(seen, `${createHash('sha256').update(content).digest('hex')}  -\n600\n`)
  })

  it('leaves nothing of a large file that could not be written whole, and says why', async () => {
    const content = 'x'.repeat(8_000_000)
    const root = (script: string) => runChecked(guest.shell, ['sudo', 'sh', '-c', script])
    await root('mkdir -m 777 /tmp/small && mount -t tmpfs -o size=1m,mode=777 tmpfs /tmp/small')
    try {
      await assert.rejects(guest.shell.writeFile('/tmp/small/file', content), hasCode('HOST_COMMAND_FAILED'))
      await assert.rejects(guest.shell.writeFile('/no/such', content), hasCode('HOST_COMMAND_FAILED'))
      const stop = new AbortController()
      const writing = guest.shell.writeFile('/tmp/stopped', content, { signal: stop.signal })
      const files = () => runChecked(guest.shell, ['sh', '-c', 'ls /tmp/small /tmp | grep -e file -e stopped || true'])
      await Promise.race([until(async () => (await files()).includes('stopped.')), writing])
      stop.abort()
      await assert.rejects(writing, hasCode('INTERRUPTED'))
      // The server hears of it after the caller.
      await until(async () => (await files()) === '')
    } finally {
      await root('umount /tmp/small; rmdir /tmp/small')
    }
  })

  it('writes by its shell where the server has no SFTP, and leaves nothing either', async () => {
    const content = '0123456789'.repeat(800_000)
    const move = (from: string, to: string) => runChecked(guest.shell, ['sudo', 'mv', from, to])
    const server = '/usr/lib/openssh/sftp-server'
    await move(server, `${server}.away`)
    try {
      await guest.shell.writeFile('/tmp/large', content, { mode: 0o604 })
      assert.equal(
        await runChecked(guest.shell, ['sh', '-c', 'wc -c </tmp/large; stat -c %a /tmp/large; rm /tmp/large']),
        `${content.length}\n604\n`,
      )
      const stop = new AbortController()
      const writing = guest.shell.writeFile('/tmp/large', content, { signal: stop.signal })
      const files = () => runChecked(guest.shell, ['sh', '-c', 'ls /tmp | grep large || true'])
      await Promise.race([until(async () => (await files()) !== ''), writing])
      stop.abort()
      await assert.rejects(writing, hasCode('INTERRUPTED'))
      assert.equal(await files(), '')
    } finally {
      await move(`${server}.away`, server)
    }
  })

  const target = async (): Promise<SshTarget> => {
    const namespace = vm.pcs[0]?.shell.description.split(' ').at(-1) ?? ''
    return {
      name: vm.name,
      host: '192.168.1.1',
      user: 'vyos',
      hostKeys: await pinnedHostKeys(vm.name),
      openStream: async () => openRelay(['ip', 'netns', 'exec', namespace], '192.168.1.1', 22),
    }
  }

  /** The host `inner` of this configuration; the guest's keys are known under the name `guest`. */
  const configured = async (text: string) => {
    const folder = await mkdtemp(join(tmpdir(), 'vmr-ssh-config-'))
    try {
      const [file, known] = [join(folder, 'config'), join(folder, 'known_hosts')]
      const keys = (await pinnedHostKeys(vm.name)).map(({ type, blob }) => `guest ${type} ${blob}\n`)
      await writeFile(known, keys.join(''))
      await writeFile(file, `UserKnownHostsFile ${known}\n${text}`)
      return await sshConfigTarget('inner', { shell: localShell, file })
    } finally {
      await rm(folder, { recursive: true })
    }
  }

  it('refuses a wrong password', async () => {
    await assert.rejects(connectSsh({ ...(await target()), password: 'wrong' }), hasCode('GUEST_LOGIN_FAILED'))
  })

  it('lets in who has a key, from a file or in an agent', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'vmr-agent-'))
    const [keyFile, agent] = [join(folder, 'key'), join(folder, 'agent')]
    await runChecked(localShell, ['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', keyFile])
    const publicKey = await readFile(`${keyFile}.pub`, 'utf8')
    const install = 'umask 077; mkdir -p "$HOME/.ssh" && cat >"$HOME/.ssh/authorized_keys"'
    await runChecked(guest.shell, ['sh', '-c', install], { stdin: publicKey })
    const running = await localShell.start(['ssh-agent', '-D', '-a', agent])
    try {
      for await (const line of running.lines) if (line.includes(agent)) break
      await runChecked(localShell, ['env', `SSH_AUTH_SOCK=${agent}`, 'ssh-add', '-q', keyFile])
      for (const way of [{ agent }, { privateKeys: [await readFile(keyFile, 'utf8')] }]) {
        const connection = await connectSsh({ ...(await target()), ...way })
        assert.equal(await runChecked(sshShell(connection), ['id', '-un']), 'vyos\n')
        await connection.close()
      }
    } finally {
      await running.stop()
      await runChecked(guest.shell, ['sh', '-c', 'rm "$HOME/.ssh/authorized_keys"'])
      await rm(folder, { recursive: true })
    }
  })

  it('reaches a host behind another one, and checks the keys of both', async () => {
    const jump = { ...(await target()), password: 'vyos' }
    const { openStream: _none, ...behind } = { ...jump, host: '127.0.0.1', jump }
    const connection = await connectSsh(behind)
    assert.match(await runChecked(sshShell(connection), ['sh', '-c', 'echo "$SSH_CONNECTION"']), /^127\.0\.0\.1 /)
    await connection.close()
    const asConfigured = await configured(`Host inner
  HostName 127.0.0.1
  HostKeyAlias guest
  User vyos
  ProxyJump outer
Host outer
  HostName 192.168.1.1
  HostKeyAlias guest
  User vyos
`)
    assert.equal(asConfigured.host, '127.0.0.1')
    // Nothing on this host leads to the lab but the namespaces of its PCs.
    const outer = { ...asConfigured.jump, ...jump, hostKeys: asConfigured.jump?.hostKeys ?? [] }
    const inner = await connectSsh({ ...asConfigured, user: asConfigured.user ?? '', password: 'vyos', jump: outer })
    assert.match(await runChecked(sshShell(inner), ['sh', '-c', 'echo "$SSH_CONNECTION"']), /^127\.0\.0\.1 /)
    await inner.close()
    const other = [{ type: 'ssh-ed25519', blob: `AAAA${'B'.repeat(64)}` }]
    for (const wrong of [
      { ...behind, hostKeys: other },
      { ...behind, jump: { ...jump, hostKeys: other } },
    ])
      await assert.rejects(connectSsh(wrong), hasCode('GUEST_HOST_KEY_CHANGED'))
  })

  it('refuses a changed host key with both fingerprints, by `auto` too; without any `auto` takes the console', async () => {
    const file = knownHostsFile(vm.name)
    const pinned = await readFile(file, 'utf8')
    await writeFile(
      file,
      pinned.replace(/(AAAA.{40})./, (_all, start: string) => `${start}z`),
    )
    try {
      for (const via of ['ssh', 'auto'] as const)
        await assert.rejects(
          openGuestShell(vm.connection, await vm.find(), { via, signal }),
          (error) =>
            isVmrError(error) &&
            error.code === 'GUEST_HOST_KEY_CHANGED' &&
            error.message.match(/SHA256:\S{43}/g)?.length === 2,
        )
      await writeFile(file, '')
      await vm.closeConsole()
      const opened = await openGuestShell(vm.connection, await vm.find(), { via: 'auto', signal })
      assert.equal(opened.via, 'console')
      await opened.close()
    } finally {
      await writeFile(file, pinned)
      await vm.reopen()
    }
    const opened = await openGuestShell(vm.connection, await vm.find(), { via: 'auto', signal })
    assert.equal(opened.via, 'ssh')
    await opened.close()
  })

  const configOf = (name: string) => {
    const links = caseLinks(vm.testbed, [
      { name: 'eth0', mac: '52:54:00:00:00:01' },
      { name: 'eth1', mac: '52:54:00:00:00:02' },
    ])
    return networkConfigSchema.parse(findCase(name).setup(links).configs.dut)
  }

  for (const name of ['nic', 'forward', 'ipip6', 'bridge', 'vlan-bridge'])
    it(`configures ${name} as the console does`, async () => {
      const config = configOf(name)
      await vyosOs.reconfigure(vm.guest, wayIn, config)
      const expected = await kernelState(vm.guest)
      await vyosOs.reconfigure(vm.guest, config, wayIn)
      const before = await kernelState(vm.guest)

      const opened = await openGuestShell(vm.connection, await vm.find(), { via: 'ssh', signal })
      await vm.closeConsole()
      try {
        await reconfigureVyos(uncutAccess(opened.shell, opened.console), wayIn, config)
      } finally {
        await opened.close()
        await vm.reopen()
      }
      assert.deepEqual(await kernelState(vm.guest), expected)
      assert.notDeepEqual(before, expected)
      await vyosOs.reconfigure(vm.guest, config, wayIn)
      assert.deepEqual(await kernelState(vm.guest), before)
    })
})
