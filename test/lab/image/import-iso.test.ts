import assert from 'node:assert/strict'
import { chmod, mkdtemp, open, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { execa } from 'execa'
import { packageRoot } from '../../../src/config/package-root.ts'
import { imagesDirectory, storedDisk } from '../../../src/config/paths.ts'
import { makeFakeInstaller } from './fake-installer.ts'

const cli = join(packageRoot(), 'dist', 'cli.js')
const name = `fake-${process.pid}`
const router = `vmr-test-image-${process.pid}`

describe('vmr image import of an installer', function () {
  this.timeout(180_000)
  let folder: string
  let iso: string

  const vmr = (...words: readonly string[]) =>
    execa(process.execPath, [cli, ...words], { reject: false, stdin: 'ignore' })
  const installing = ['image', 'import', '--accel', 'tcg', '--disk-size', '2 GiB'] as const
  const domains = async () => (await execa('virsh', ['--quiet', 'list', '--all', '--name'])).stdout.trim()
  /** Everything that is in the store, and the folders of imports under way. */
  const stored = () => readdir(imagesDirectory()).catch((): readonly string[] => [])
  /** What the fake keeps on its disk: an archive 512 MiB and a sector into it. */
  const keptBy = async (disk: string) => {
    const raw = join(folder, 'disk.raw')
    await execa('qemu-img', ['convert', '-O', 'raw', disk, raw])
    const handle = await open(raw, 'r')
    const archive = Buffer.alloc(1024 * 1024)
    await handle.read(archive, 0, archive.length, 512 * 1024 ** 2 + 512)
    await handle.close()
    await rm(raw)
    const tar = (...words: readonly string[]) => execa('tar', words, { input: archive, reject: false })
    return {
      names: (await tar('-t')).stdout.split('\n'),
      config: (await tar('-x', '--to-stdout', 'config/config.boot')).stdout,
      machineId: (await tar('-x', '--to-stdout', 'etc/machine-id')).stdout,
    }
  }

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'vmr-import-'))
    await chmod(folder, 0o755)
    iso = await makeFakeInstaller(folder)
  })
  after(async () => {
    await vmr('vm', 'delete', router, '--yes')
    await vmr('image', 'delete', name, '--yes')
    await vmr('lab', 'down')
    await rm(folder, { recursive: true, force: true })
  })

  it('leaves nothing when it is killed and cleaned up, and says what it was about before', async () => {
    const running = vmr(...installing, iso, '--name', name)
    // Its VM is there once it is about to boot.
    while ((await domains()) === '') await delay(100)
    running.kill('SIGKILL')
    await running
    assert.match((await vmr('cleanup', '--dry-run')).stdout, /VM image-import-/)
    assert.equal((await vmr('cleanup')).exitCode, 0)
    assert.deepEqual([await domains(), await stored()], ['', []])
  })

  it('leaves nothing when it is interrupted', async () => {
    const running = vmr(...installing, iso, '--name', name)
    while ((await domains()) === '') await delay(100)
    running.kill('SIGINT')
    assert.equal((await running).exitCode, 130)
    assert.deepEqual([await domains(), await stored()], ['', []])
  })

  it('installs it without a hand on it, and keeps the sealed disk', async () => {
    const { stdout, stderr, exitCode } = await vmr(...installing, iso, '--name', name, '--json')
    assert.equal(exitCode, 0, stderr)
    const image = JSON.parse(stdout)
    assert.match(image.release, /^VyOS 1\.4\.1/)
    assert.equal(image.virtualBytes, 2 * 1024 ** 3)
    assert.deepEqual([await domains(), await stored()], ['', [name]])
    const kept = await keptBy(storedDisk(name))
    // It had a NIC, and noted no more than that.
    assert.match(kept.config, /ethernet eth0 \{\n *\}/)
    assert.doesNotMatch(kept.config, /hw-id/)
    assert.equal(kept.machineId, '')
    assert.deepEqual(
      kept.names.filter((each) => each.includes('ssh_host')),
      [],
    )
  })

  it('makes VMs of it, which boot from overlays and cannot lose it', async () => {
    const definition = join(folder, 'small.yaml')
    await writeFile(definition, `os: vyos\nmemory: 384 MiB\nnics: [{}]\nimage: ${name}\n`)
    const words = ['vm', 'create', router, '--domain', definition, '--accel', 'tcg', '--no-addresses', '--json']
    const made = await vmr(...words)
    assert.equal(made.exitCode, 0, made.stderr)
    const refused = await vmr('image', 'delete', name, '--yes')
    assert.equal(refused.exitCode, 7)
    assert.match(refused.stderr, new RegExp(`the disk of ${router} stands on the image ${name}`))
    assert.equal((await vmr('image', 'verify', name)).stdout, `${name} is intact`)
    assert.equal((await vmr('vm', 'delete', router, '--yes')).exitCode, 0)
    assert.equal((await vmr('image', 'delete', name, '--yes')).exitCode, 0)
    assert.deepEqual(await stored(), [])
  })

  it('runs a live ISO without installing it', async () => {
    const definition = join(folder, 'live.yaml')
    await writeFile(definition, 'os: vyos\nmemory: 384 MiB\nnics: [{}]\nimage: none.qcow2\n')
    const words = ['--domain', definition, '--iso', iso, '--accel', 'tcg', '--no-addresses']
    const made = await vmr('vm', 'create', router, ...words)
    assert.equal(made.exitCode, 0, made.stderr)
    assert.equal((await vmr('vm', 'delete', router, '--yes')).exitCode, 0)
  })
})
