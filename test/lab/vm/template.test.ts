import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { localShell } from '../../../src/shell/local.ts'

const name = 'vmrt-template'

describe('`vmr vm create --template`', function () {
  this.timeout(120_000)
  let folder: string

  const run = (...argv: readonly string[]) =>
    localShell.run(['env', `VMR_STATE_DIR=${folder}`, process.execPath, 'dist/cli.js', ...argv], { timeoutMs: 60_000 })
  const create = (...argv: readonly string[]) => run('vm', 'create', name, '--accel', 'tcg', ...argv)
  const assertNothingMade = async () => {
    const { stdout } = await localShell.run(['virsh', '--connect', 'qemu:///system', 'list', '--all', '--name'])
    assert.ok(!stdout.includes(name))
    assert.ok(!(await readdir(folder)).includes('vms'))
  }

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'vmr-template-'))
  })
  afterEach(async () => {
    await run('vm', 'delete', name, '--yes')
    await run('lab', 'down')
    await rm(folder, { recursive: true })
  })

  it('makes a router whose configuration reads back as the template says, active and saved', async () => {
    const { stdout, stderr, exitCode } = await create(
      '--json',
      ...['--template', 'ds-lite', '--set', 'uplink_ipv6=2001:db8::2/64'],
      ...['--set', 'gateway_ipv6=2001:db8::1', '--set', 'aftr=2001:db8:ffff::1'],
      ...['--set', 'lan_ipv4=192.168.7.1/24', '--set', 'lan_ipv6=2001:db8:1::1/64', '--set', 'tunnel_mtu=1400'],
    )
    assert.equal(exitCode, 0, stderr)
    const { template } = JSON.parse(stdout) as { readonly template: { readonly commands: readonly string[] } }
    assert.equal(template.commands.length, 11)
    const shown = await run('guest', 'show', name, '--json')
    const { commands } = JSON.parse(shown.stdout) as { readonly commands: readonly string[] }
    assert.deepEqual(
      template.commands.filter((command) => !commands.includes(command)),
      [],
    )
    assert.ok(commands.includes("set interfaces tunnel tun0 mtu '1400'"))
    const saved = await run('vm', 'ssh', name, '--linux', '--', 'cat', '/config/config.boot')
    assert.match(saved.stdout, /remote "2001:db8:ffff::1"/)
    assert.ok(!saved.stdout.includes('192.168.1.1/24'), 'the testbed’s address, which is not saved')
    const reset = await run('guest', 'reset', name, '--json')
    const { commands: takenBack } = JSON.parse(reset.stdout) as { readonly commands: readonly string[] }
    assert.ok(takenBack.length > 0)
    // The user's own commands are not vmr's to take back.
    assert.ok(!takenBack.some((line) => /tun0|protocols|2001:db8::2|192\.168\.7\.1/.test(line)), takenBack.join('\n'))
  })

  it('makes nothing for a value of another type, or a NIC that the VM does not have', async () => {
    const bad = await create('--template', 'ssh-key', '--set', 'key=ssh-ed25519')
    assert.match(bad.stderr, /^vmr: .*ssh-key\.set:5: key is "ssh-ed25519": it must be a public key of SSH/)
    assert.equal(bad.exitCode, 2)
    const file = join(folder, 'own.set')
    await writeFile(file, '# a bridge for what there is not\nset interfaces ethernet eth7 mtu 1400\n')
    const missing = await create('--template', file)
    assert.match(missing.stderr, /own\.set:2: the VM has no eth7, but 2 NICs from eth0 on/)
    assert.equal(missing.exitCode, 2)
    await assertNothingMade()
  })

  it('leaves no VM when the guest refuses a command, and says which, in the guest’s words', async () => {
    const file = join(folder, 'own.set')
    await writeFile(file, 'set system host-name r9\nset service no-such-service\n')
    const { stderr, exitCode } = await create('--template', file)
    assert.match(stderr, /set service no-such-service: .*is not valid/)
    assert.equal(exitCode, 6)
    const { stdout } = await localShell.run(['virsh', '--connect', 'qemu:///system', 'list', '--all', '--name'])
    assert.ok(!stdout.includes(name))
  })
})
