import assert from 'node:assert/strict'
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { parseDocument } from 'yaml'
import { cacheDirectory } from '../../../src/config/paths.ts'
import { buildLabImage } from '../../../src/image/lab-image.ts'
import { localShell } from '../../../src/shell/local.ts'
import { netnsShell } from '../../../src/shell/netns.ts'

const name = 'vmrt_seeded'

interface Seed {
  readonly commands: readonly string[]
  readonly sent: readonly string[]
}

/** The lab router has no cloud-init, so that it does nothing with its seed: what is left over is everything. */
describe('a VM of an image that was imported as one with cloud-init', function () {
  this.timeout(120_000)
  let folder: string
  const at = (file: string) => join(folder, file)

  const vmr = async <T>(...argv: readonly string[]): Promise<T> => {
    const { stdout, stderr, exitCode } = await localShell.run(
      ['env', `VMR_STATE_DIR=${folder}`, process.execPath, 'dist/cli.js', ...argv],
      { timeoutMs: 90_000 },
    )
    assert.equal(exitCode, 0, stderr)
    return JSON.parse(stdout) as T
  }

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'vmr-first-'))
    // QEMU reads the image as a user of its own.
    await chmod(folder, 0o755)
    await execa('qemu-img', ['create', '-q', '-f', 'qcow2', at('cloud.qcow2'), '16M'])
    await execa('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', "it's me", '-f', at('key')])
    const image = await buildLabImage({ cacheDirectory: cacheDirectory(), shell: localShell })
    const { kernel, initramfs, commandLine } = image
    await writeFile(
      at('seeded.yaml'),
      // JSON is YAML.
      JSON.stringify({
        os: 'lab-router',
        image: 'cloudy',
        kernel: { file: kernel, initrd: initramfs, cmdline: commandLine },
        memory: '384 MiB',
        nics: [{}, {}],
      }),
    )
  })
  after(async () => {
    await vmr('vm', 'delete', name, '--yes', '--json')
    await vmr('lab', 'down', '--json')
    await rm(folder, { recursive: true })
  })

  it('has its first configuration on a seed, which is read back, and what is not so then is set over its console', async () => {
    const imported = await vmr<{ readonly cloudInit?: boolean }>(
      ...['image', 'import', at('cloud.qcow2'), '--name', 'cloudy', '--cloud-init', '--json'],
    )
    assert.equal(imported.cloudInit, true)
    const { seed } = await vmr<{ readonly seed: Seed }>(
      ...['vm', 'create', name, '--domain', at('seeded.yaml'), '--accel', 'tcg'],
      ...['--ssh-key', at('key.pub'), '--json'],
    )
    const blob = (await readFile(at('key.pub'), 'utf8')).split(' ')[1]
    for (const command of [
      "set system host-name 'vmrt-seeded'",
      "set interfaces ethernet eth0 address '192.168.1.1/24'",
      "set system login user vyos authentication plaintext-password '********'",
      `set system login user vyos authentication public-keys vmr key '${blob}'`,
    ])
      assert.ok(seed.commands.includes(command), `${command} in ${seed.commands.join('\n')}`)
    const { commands } = await vmr<{ readonly commands: readonly string[] }>('guest', 'show', name, '--json')
    for (const command of seed.sent) assert.ok(commands.includes(command), `${command} in ${commands.join('\n')}`)
    assert.ok(seed.sent.some((command) => command.includes('public-keys')))
    assert.ok(seed.sent.some((command) => command.includes('host-name')))

    const iso = join(folder, 'vms', name, 'seed.iso')
    assert.equal((await stat(iso)).mode & 0o777, 0o600)
    await execa('xorriso', [
      ...['-osirrox', 'on', '-read_fs', 'any', '-indev', iso, '-extract', '/user-data', at('user-data')],
    ])
    const said = parseDocument(await readFile(at('user-data'), 'utf8')).toJS() as {
      readonly vyos_config_commands: readonly string[]
    }
    assert.deepEqual(
      said.vyos_config_commands.map((line) => line.replace("password 'vyos'", "password '********'")),
      seed.commands,
    )
  })

  it('is let in by SSH with that key', async () => {
    const { stdout, stderr, exitCode } = await localShell.run(
      [
        'env',
        `VMR_STATE_DIR=${folder}`,
        process.execPath,
        'dist/cli.js',
        'vm',
        'ssh',
        name,
        '--linux',
        '--',
        'hostname',
      ],
      { timeoutMs: 60_000 },
    )
    assert.equal(exitCode, 0, stderr)
    assert.equal(stdout.trim(), 'vmrt-seeded')
    const known = join(folder, 'vms', name, 'known_hosts')
    const uuid = (await readFile(known, 'utf8')).split(' ')[0] ?? ''
    const byKey = await netnsShell('vmr-pc1').run([
      ...['ssh', '-F', 'none', '-o', 'BatchMode=yes', '-o', `UserKnownHostsFile=${known}`],
      ...['-o', `HostKeyAlias=${uuid}`, '-o', 'IdentitiesOnly=yes', '-i', at('key')],
      ...['vyos@192.168.1.1', 'hostname'],
    ])
    assert.equal(byKey.stdout.trim(), 'vmrt-seeded', byKey.stderr)
  })
})
