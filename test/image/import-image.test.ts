import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { imagesDirectory, journalDirectory } from '../../src/config/paths.ts'
import { VmrError } from '../../src/errors/vmr-error.ts'
import { type ImportRequest, type Installer, importImage, planImport } from '../../src/image/import-image.ts'
import { writeIso9660 } from '../../src/image/iso9660.ts'
import { checkImageName, findStoredImage, listStoredImages } from '../../src/image/stored-image.ts'
import { verifyImage } from '../../src/image/verify-image.ts'
import { localShell } from '../../src/shell/local.ts'
import { hostExecutors } from '../../src/undo/host-executors.ts'
import { listJournals, openJournal } from '../../src/undo/journal.ts'
import { withUndo } from '../../src/undo/undo-all.ts'

const signal = new AbortController().signal
const tools = { shell: localShell, signal, onProgress: () => undefined }

describe('The image store', function () {
  this.timeout(20_000)
  let folder: string
  let before: string | undefined
  const at = (name: string) => join(folder, name)
  const noInstaller: Installer = () => Promise.reject(new Error('this is no installer'))
  const bring = async (request: ImportRequest, install: Installer = noInstaller, end: AbortSignal = signal) => {
    const plan = await planImport(request, tools)
    const journal = await openJournal({ directory: journalDirectory(), purpose: 'image import' })
    return withUndo(journal, { executors: hostExecutors }, (tracked) =>
      importImage(plan, { ...tools, signal: end, journal: tracked, install }),
    )
  }
  /** Everything in the store, and what waits to be cleaned up. */
  const left = async () => [
    ...(await readdir(imagesDirectory(), { recursive: true }).catch(() => [])).toSorted(),
    ...(await listJournals(journalDirectory())).map(({ path }) => path),
  ]
  const digest = async (file: string) =>
    createHash('sha256')
      .update(await readFile(file))
      .digest('hex')

  beforeEach(async () => {
    before = process.env.VMR_STATE_DIR
    folder = await mkdtemp(join(tmpdir(), 'vmr-images-'))
    process.env.VMR_STATE_DIR = at('state')
    await execa('qemu-img', ['create', '-q', '-f', 'qcow2', at('VyOS 1.4.1.qcow2'), '24M'])
  })
  afterEach(async () => {
    if (before === undefined) delete process.env.VMR_STATE_DIR
    else process.env.VMR_STATE_DIR = before
    await rm(folder, { recursive: true, force: true })
  })

  it('keeps a disk under the name of its file, with what is known of it', async () => {
    const file = at('VyOS 1.4.1.qcow2')
    const image = await bring({ file, sha256: (await digest(file)).toUpperCase() })
    assert.equal(image.name, 'vyos-1.4.1')
    assert.equal(image.virtualBytes, 24 * 1024 ** 2)
    assert.equal(await digest(image.file), image.sha256)
    assert.deepEqual(await findStoredImage('vyos-1.4.1'), image)
    assert.deepEqual(
      (await listStoredImages()).map(({ name }) => name),
      ['vyos-1.4.1'],
    )
    assert.deepEqual(await left(), ['vyos-1.4.1', 'vyos-1.4.1/disk.qcow2', 'vyos-1.4.1/image.json'])
  })

  it('refuses a second image of the same name, and leaves the first as it is', async () => {
    const first = await bring({ file: at('VyOS 1.4.1.qcow2'), name: 'r' })
    await assert.rejects(bring({ file: at('VyOS 1.4.1.qcow2'), name: 'r' }), { code: 'IMAGE_EXISTS' })
    assert.deepEqual(await listStoredImages(), [first])
  })

  it('takes nothing whose digest is another than the one that was given', async () => {
    await assert.rejects(bring({ file: at('VyOS 1.4.1.qcow2'), sha256: 'a'.repeat(64) }), {
      code: 'IMAGE_INVALID',
      message: /^the SHA-256 of .* is [0-9a-f]{64}, not a{64}$/,
    })
    assert.deepEqual(await left(), [])
  })

  it('remembers of a disk that it has cloud-init, which no installer’s has', async () => {
    const { name } = await bring({ file: at('VyOS 1.4.1.qcow2'), cloudInit: true })
    assert.equal((await findStoredImage(name)).cloudInit, true)
    const file = await iso()
    await assert.rejects(bring({ file, cloudInit: true }), { code: 'USAGE', message: /is an installer/ })
  })

  it('takes no disk that stands on another file', async () => {
    const file = at('overlay.qcow2')
    await execa('qemu-img', ['create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-b', at('VyOS 1.4.1.qcow2'), file])
    await assert.rejects(bring({ file }), { code: 'IMAGE_INVALID', message: /stands on the backing file/ })
  })

  it('takes no file that is neither disk nor installer', async () => {
    await writeFile(at('notes.txt'), 'no image')
    await assert.rejects(bring({ file: at('notes.txt') }), { code: 'IMAGE_INVALID' })
    await assert.rejects(bring({ file: at('nothing.qcow2') }), { code: 'IMAGE_NOT_FOUND' })
  })

  it('keeps what an installer left, with the release that it says it is', async () => {
    const image = await bring({ file: await iso() }, async (_iso, disk) => {
      await execa('qemu-img', ['create', '-q', '-f', 'qcow2', disk, '3G'])
      return { release: 'VyOS 1.4.1' }
    })
    assert.equal(image.release, 'VyOS 1.4.1')
    assert.equal(image.virtualBytes, 3 * 1024 ** 3)
    assert.equal(image.source.kind, 'installer')
    assert.equal(image.source.sha256, await digest(await iso()))
  })

  it('leaves nothing of an import whose installer fails, or that is interrupted', async () => {
    const file = await iso()
    const halfway: Installer = async (_iso, disk) => {
      await writeFile(disk, 'half a disk')
      throw new VmrError('IMAGE_INSTALL_FAILED', 'no suitable disk')
    }
    await assert.rejects(bring({ file }, halfway), { code: 'IMAGE_INSTALL_FAILED' })
    const stop = AbortSignal.abort(new VmrError('INTERRUPTED', 'interrupted'))
    await assert.rejects(bring({ file: at('VyOS 1.4.1.qcow2') }, noInstaller, stop), { code: 'INTERRUPTED' })
    assert.deepEqual(await left(), [])
  })

  it('finds a disk that changed since, and one that is gone', async () => {
    const image = await bring({ file: at('VyOS 1.4.1.qcow2') })
    const verify = () => verifyImage(image, { ...tools, onProgress: () => undefined })
    assert.deepEqual(await verify(), { name: 'vyos-1.4.1', intact: true })
    await execa('qemu-io', ['-c', 'write 0 512', image.file])
    assert.match((await verify()).problem ?? '', /^its SHA-256 is /)
    await rm(image.file)
    assert.equal((await verify()).intact, false)
  })

  it('says which record of an image is damaged', async () => {
    await mkdir(join(imagesDirectory(), 'torn'), { recursive: true })
    await writeFile(join(imagesDirectory(), 'torn', 'image.json'), '{"version":1')
    await assert.rejects(listStoredImages(), { code: 'IMAGE_INVALID', message: /torn.image\.json/ })
  })

  it('takes no name that is a file’s, a path’s or the built image’s', () => {
    for (const name of ['lab', 'lab-router', 'a.qcow2', '../a', 'a/b', '.a', 'a..b', 'a.', 'A', ''])
      assert.throws(() => checkImageName(name), { code: 'NAME_INVALID' }, name)
    assert.equal(checkImageName('vyos-1.4.1-amd64'), 'vyos-1.4.1-amd64')
  })

  describe('with a signature', () => {
    it('takes a disk that minisign finds good, and says by which key', async () => {
      await execa('minisign', ['-G', '-W', '-p', at('key.pub'), '-s', at('key')])
      const file = at('VyOS 1.4.1.qcow2')
      await execa('minisign', ['-S', '-s', at('key'), '-m', file, '-x', at('good.minisig')])
      const signature = { signature: at('good.minisig'), key: at('key.pub') }
      const image = await bring({ file, signature, name: 'signed' })
      assert.match(image.source.signedBy ?? '', /^minisign RW/)
      await execa('qemu-io', ['-c', 'write 0 512', file])
      await assert.rejects(bring({ file, signature }), { code: 'IMAGE_INVALID', message: /is no good signature of/ })
    })

    it('takes a disk that GnuPG finds good by that key, and by no other', async () => {
      const gpg = (home: string) => [
        '--homedir',
        at(home),
        '--batch',
        '--pinentry-mode',
        'loopback',
        '--passphrase',
        '',
      ]
      for (const home of ['ours', 'theirs']) {
        await mkdir(at(home), { mode: 0o700 })
        await execa('gpg', [...gpg(home), '--quick-generate-key', `${home}@example.org`, 'ed25519', 'sign'])
        await execa('gpg', [...gpg(home), '--armor', '--output', at(`${home}.asc`), '--export'])
      }
      const file = at('VyOS 1.4.1.qcow2')
      await execa('gpg', [...gpg('ours'), '--armor', '--output', at('good.asc'), '--detach-sign', file])
      for (const home of ['ours', 'theirs']) await execa('gpgconf', ['--homedir', at(home), '--kill', 'all'])
      const signature = { signature: at('good.asc'), key: at('ours.asc') }
      assert.match((await bring({ file, signature, name: 'signed' })).source.signedBy ?? '', /^OpenPGP [0-9A-F]{40}$/)
      await assert.rejects(bring({ file, signature: { ...signature, key: at('theirs.asc') } }), {
        code: 'IMAGE_INVALID',
        message: /is no good signature of/,
      })
    })
  })

  async function iso(): Promise<string> {
    await writeFile(at('vyos.iso'), writeIso9660('VYOS', []))
    return at('vyos.iso')
  }
})
