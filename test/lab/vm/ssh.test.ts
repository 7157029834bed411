import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { localShell } from '../../../src/shell/local.ts'
import { netnsShell } from '../../../src/shell/netns.ts'
import { runChecked } from '../../../src/shell/shell.ts'

const name = 'vmrt-ssh'

describe('`vmr vm ssh`', function () {
  this.timeout(120_000)
  let folder: string

  const run = (...argv: readonly string[]) =>
    localShell.run(['env', `VMR_STATE_DIR=${folder}`, process.execPath, 'dist/cli.js', 'vm', ...argv], {
      timeoutMs: 60_000,
    })
  const knownHosts = () => join(folder, 'vms', name, 'known_hosts')

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'vmr-ssh-test-'))
    const { stderr, exitCode } = await run('create', name, '--nic', 'bridge', '--accel', 'tcg')
    assert.equal(exitCode, 0, stderr)
  })
  after(async () => {
    await run('delete', name, '--yes')
    await localShell.run(['env', `VMR_STATE_DIR=${folder}`, process.execPath, 'dist/cli.js', 'lab', 'down'])
    await rm(folder, { recursive: true })
  })

  it('finds the guest’s keys pinned over its console when it was made', async () => {
    assert.match(await readFile(knownHosts(), 'utf8'), /^[0-9a-f-]{36} ssh-ed25519 AAAA\S+\n$/)
  })

  it('is what `vm wait` waits for, as it does for addresses of IPv6 that may be used', async () => {
    for (const state of ['ssh', 'ipv6']) {
      const { stdout, exitCode, stderr } = await run('wait', name, '--for', state, '--timeout', '30', '--json')
      assert.equal(exitCode, 0, stderr)
      assert.equal((JSON.parse(stdout) as { readonly state: string }).state, state)
    }
  })

  it('runs an operational command of VyOS, or one of Linux, and passes on its status', async () => {
    const { stdout, stderr, exitCode } = await run('ssh', name, '--', 'show', 'interfaces')
    assert.equal(exitCode, 0, stderr)
    assert.match(stdout, /^Codes: S - State.*eth0 +192\.168\.1\.1\/24/s)
    const linux = await run('ssh', name, '--linux', '--', 'sh', '-c', 'printf "%s|" "a  b" "$HOME"; exit 7')
    assert.deepEqual([linux.stdout, linux.exitCode], ['a  b|/home/vyos|', 7])
  })

  it('carries a configuration to the guest as its console does, which both can take back', async () => {
    const file = join(folder, 'net.yaml')
    await writeFile(file, 'ethernets: { eth1: { mtu: 1400, vlans: { "10": { addresses: [10.9.8.1/24] } } } }\n')
    const guest = async (command: string, ...more: readonly string[]) => {
      const argv = ['env', `VMR_STATE_DIR=${folder}`, process.execPath, 'dist/cli.js', 'guest', command, name, '--json']
      const { stdout, stderr, exitCode } = await localShell.run([...argv, ...more], { timeoutMs: 60_000 })
      assert.equal(exitCode, 0, stderr)
      return (JSON.parse(stdout) as { readonly commands: readonly string[] }).commands
    }
    const before = await guest('show', '--via', 'ssh')
    const planned = await guest('plan', '--file', file)
    assert.deepEqual(await guest('plan', '--file', file, '--via', 'ssh'), planned)
    assert.deepEqual(await guest('apply', '--file', file, '--via', 'ssh'), planned)
    assert.deepEqual(await guest('apply', '--file', file, '--via', 'auto'), [])
    const after = await guest('show')
    for (const command of planned) assert.ok(after.includes(command), `${command} in ${after}`)
    await guest('reset')
    // The addresses that it was made with are vmr's too.
    const ofVmr = (commands: readonly string[]) => commands.filter((line) => !/ethernet eth\d address/.test(line))
    assert.deepEqual(ofVmr(await guest('show')), ofVmr(before))
    await guest('apply')
  })

  it('refuses a host key that is not the pinned one, until it is pinned anew over the console', async () => {
    const pinned = await readFile(knownHosts(), 'utf8')
    await writeFile(
      knownHosts(),
      pinned.replace(/(AAAA.{40})./, (_all, start: string) => `${start}z`),
    )
    const { stderr, exitCode, stdout } = await run('ssh', name, '--', 'show', 'version')
    assert.deepEqual([stdout, exitCode], ['', 6])
    assert.equal(stderr.match(/SHA256:\S{43}/g)?.length, 2)
    assert.equal((await run('trust', name)).exitCode, 0)
    assert.equal(await readFile(knownHosts(), 'utf8'), pinned)
    assert.match((await run('ssh', name, '--', 'show', 'version')).stdout, /^Version: /)
  })

  it('says at which addresses nobody answers', async () => {
    await runChecked(netnsShell('vmr-pc1'), ['ip', 'link', 'set', 'eth0', 'down'])
    await runChecked(netnsShell('vmr-pc2'), ['ip', 'link', 'set', 'eth0', 'down'])
    const { stderr, exitCode } = await run('ssh', name, '--', 'show', 'version')
    assert.equal(exitCode, 6)
    assert.match(stderr, /no SSH service answers for vmrt-ssh at 192\.168\.1\.1, 192\.168\.2\.1, 2001:db8:dead:beaf::1/)
  })
})
