import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { localShell } from '../../../src/shell/local.ts'

const name = 'vmrt-api'

describe('`vmr guest … --via api`', function () {
  this.timeout(120_000)
  let folder: string
  let net: string

  const run = (...argv: readonly string[]) =>
    localShell.run(['env', `VMR_STATE_DIR=${folder}`, process.execPath, 'dist/cli.js', ...argv], { timeoutMs: 60_000 })
  const json = async <T>(...argv: readonly string[]): Promise<T> => {
    const { stdout, stderr, exitCode } = await run(...argv, '--json')
    assert.equal(exitCode, 0, stderr)
    return JSON.parse(stdout) as T
  }
  const commands = async (verb: string, ...more: readonly string[]) =>
    (await json<{ readonly commands: readonly string[] }>('guest', verb, name, ...more)).commands
  const inGuest = async (script: string) => {
    const { stdout, stderr, exitCode } = await run('vm', 'ssh', name, '--linux', '--', 'sudo', 'sh', '-c', script)
    assert.equal(exitCode, 0, stderr)
    return stdout
  }
  const key = async () => (await readFile(join(folder, 'vms', name, 'api-key'), 'utf8')).trim()

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'vmr-api-test-'))
    net = join(folder, 'net.yaml')
    await writeFile(net, 'ethernets: { eth1: { mtu: 1400, vlans: { "10": { addresses: [10.9.8.1/24] } } } }\n')
    const { stderr, exitCode } = await run('vm', 'create', name, '--nic', 'bridge', '--accel', 'tcg')
    assert.equal(exitCode, 0, stderr)
  })
  after(async () => {
    await run('vm', 'delete', name, '--yes')
    await run('lab', 'down')
    await rm(folder, { recursive: true })
  })

  it('says how to switch it on where it is off', async () => {
    const { stderr, exitCode } = await run('guest', 'show', name, '--via', 'api')
    assert.match(stderr, /^vmr: no key of vmrt-api’s HTTP API is known\n.*vmr guest enable-api vmrt-api/)
    assert.equal(exitCode, 6)
  })

  it('is switched on with a key that nobody but the owner of the VM’s files can read, and that stays', async () => {
    const { stdout, stderr, exitCode } = await run('guest', 'enable-api', name, '--json')
    assert.equal(exitCode, 0, stderr)
    const first = JSON.parse(stdout) as { readonly changed: boolean; readonly fingerprint: string }
    assert.equal(first.changed, true)
    const certificate = await inGuest(
      'openssl x509 -in /etc/ssl/certs/ssl-cert-snakeoil.pem -noout -fingerprint -sha256',
    )
    assert.equal(certificate.trim().split('=')[1], first.fingerprint)
    const again = await json<{ readonly changed: boolean; readonly fingerprint: string }>('guest', 'enable-api', name)
    assert.deepEqual(again, { ...first, changed: false })
    assert.equal((await stat(join(folder, 'vms', name, 'api-key'))).mode & 0o777, 0o600)
    const records = join(folder, 'consoles')
    const recorded = await Promise.all((await readdir(records)).map((file) => readFile(join(records, file), 'utf8')))
    for (const text of [stdout, stderr, ...recorded]) assert.ok(!text.includes(await key()), 'the key is shown')
  })

  it('shows the configuration that the console shows, and not the key', async () => {
    const shown = await commands('show', '--via', 'api')
    assert.deepEqual(shown.toSorted(), (await commands('show')).toSorted())
    assert.ok(shown.includes("set service https api keys id vmr key '********'"), shown.join('\n'))
  })

  it('plans, applies, saves and takes back what the console does', async () => {
    const before = await commands('show', '--via', 'api')
    const planned = await commands('plan', '--file', net)
    assert.ok(planned.length > 1)
    assert.deepEqual(await commands('plan', '--file', net, '--via', 'api'), planned)
    assert.deepEqual(await commands('apply', '--file', net, '--via', 'api', '--save'), planned)
    assert.deepEqual(await commands('apply', '--file', net), [])
    assert.match(
      await inGuest('cat /config/config.boot /sys/class/net/eth1/mtu'),
      /address "10\.9\.8\.1\/24"[\s\S]*\n1400\n$/,
    )
    await commands('reset', '--via', 'api', '--save')
    assert.deepEqual((await commands('show', '--via', 'api')).toSorted(), before.toSorted())
  })

  it('sets what the console takes back, with what came by other ways', async () => {
    await commands('apply', '--file', net, '--via', 'api')
    const taken = await commands('reset')
    assert.ok(
      taken.some((line) => /eth1 vif|eth1 mtu/.test(line)),
      taken.join('\n'),
    )
    assert.ok(!(await commands('show')).some((line) => /eth1 (?:vif|mtu)/.test(line)))
    // The addresses that it was made with are vmr's too.
    await commands('apply')
  })

  it('changes over the console what could cut its own way, and takes it back', async () => {
    const own = join(folder, 'own.yaml')
    await writeFile(own, 'ethernets: { eth0: { mtu: 1400 } }\n')
    const consoles = async () => (await readdir(join(folder, 'consoles'))).length
    const before = await consoles()
    assert.deepEqual(await commands('apply', '--file', own, '--via', 'api'), [
      "set interfaces ethernet eth0 mtu '1400'",
    ])
    assert.equal(await consoles(), before + 1)
    assert.deepEqual(await commands('reset', '--via', 'api'), ['delete interfaces ethernet eth0 mtu'])
    assert.equal(await consoles(), before + 2)
  })

  it('undoes a commit of which the guest refused a part, in the guest’s words', async () => {
    const before = await commands('show', '--via', 'api')
    const bad = join(folder, 'bad.yaml')
    await writeFile(bad, 'ethernets: { eth1: { addresses: [10.9.9.1/24] } }\nbridges: { br0: { members: [eth1] } }\n')
    const { stderr, exitCode } = await run('guest', 'apply', name, '--file', bad, '--via', 'api')
    assert.match(stderr, /Cannot assign address to interface "eth1" as it is a member of bridge "br0"!/)
    assert.match(stderr, /Commit failed\nThe configuration is as it was before\./)
    assert.equal(exitCode, 6)
    assert.deepEqual((await commands('show', '--via', 'api')).toSorted(), before.toSorted())
  })

  it('is refused with another key', async () => {
    const file = join(folder, 'wrong-key')
    await writeFile(file, 'quite-another-key\n')
    const { stderr, exitCode } = await run('guest', 'show', name, '--via', 'api', '--api-key-file', file)
    assert.match(stderr, /^vmr: the HTTP API of vmrt-api refuses the key\n/)
    assert.ok(!stderr.includes('quite-another-key'))
    assert.equal(exitCode, 6)
  })

  it('gets no key when it shows another certificate, until that is pinned over its console', async () => {
    const template = '/opt/vyatta/etc/functions/script-template'
    const script = `source ${template}\nconfigure\nset service https port 443\ncommit\nexit\n`
    await inGuest('rm /etc/ssl/private/*')
    const restarted = await run('vm', 'ssh', name, '--linux', '--', 'vbash', '-c', script)
    assert.equal(restarted.exitCode, 0, restarted.stderr)
    const { stderr, exitCode } = await run('guest', 'show', name, '--via', 'api')
    assert.match(
      stderr,
      /shows the certificate [0-9A-F:]+, and not the pinned [0-9A-F:]+\n.*Else somebody is in between/,
    )
    assert.equal(exitCode, 6)
    await run('guest', 'enable-api', name)
    assert.deepEqual((await commands('show', '--via', 'api')).toSorted(), (await commands('show')).toSorted())
  })
})
