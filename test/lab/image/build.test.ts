import assert from 'node:assert/strict'
import { appendFile, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isVmrError } from '../../../src/errors/vmr-error.ts'
import { buildLabImage, findLabImage, verifyLabImage } from '../../../src/image/lab-image.ts'
import { localShell } from '../../../src/shell/local.ts'
import type { Shell } from '../../../src/shell/shell.ts'

describe('building the lab router image from Debian packages', function () {
  this.timeout(240_000)
  let cache: string
  before(async () => {
    cache = await mkdtemp(join(tmpdir(), 'vmr-image-'))
  })
  after(() => rm(cache, { recursive: true, force: true }))

  const contents = async () => (await readdir(join(cache, 'lab-router'))).filter((name) => name.startsWith('.build-'))

  it('leaves nothing half-made when it is interrupted', async () => {
    const controller = new AbortController()
    await assert.rejects(
      buildLabImage({
        cacheDirectory: cache,
        shell: localShell,
        signal: controller.signal,
        onProgress: (step) => {
          if (step === 'unpacking') controller.abort(new Error('the user said so'))
        },
      }),
    )
    assert.deepEqual(await contents(), [])
    assert.equal(await findLabImage(cache), undefined)
  })

  it('gives the same bytes again, also to two builds at once', async () => {
    const [first, second] = await Promise.all([
      buildLabImage({ cacheDirectory: cache, shell: localShell }),
      buildLabImage({ cacheDirectory: cache, shell: localShell }),
    ])
    assert.deepEqual(first, second)
    const bytes = await readFile(first.initramfs)
    await rm(join(first.kernel, '..'), { recursive: true })
    const again = await buildLabImage({ cacheDirectory: cache, shell: localShell })
    assert.ok(bytes.equals(await readFile(again.initramfs)))
    assert.deepEqual(await contents(), [])
    await verifyLabImage(again)
  })

  it('is found again without asking apt, in milliseconds', async () => {
    const noShell: Shell = {
      description: 'a host without apt',
      run: () => Promise.reject(new Error('nothing may be run')),
      start: () => Promise.reject(new Error('nothing may be started')),
      writeFile: () => Promise.reject(new Error('nothing may be written')),
    }
    const start = performance.now()
    const image = await buildLabImage({ cacheDirectory: cache, shell: noShell })
    assert.ok(performance.now() - start < 500)
    assert.ok(image.packages.some((each) => each.name === 'iproute2'))
  })

  it('tells an image that was changed from the one that was built', async () => {
    const image = await findLabImage(cache)
    assert.ok(image !== undefined)
    await appendFile(image.initramfs, 'x')
    await assert.rejects(verifyLabImage(image), (error) => isVmrError(error) && error.code === 'IMAGE_INVALID')
    await rm(image.initramfs)
    await assert.rejects(verifyLabImage(image), (error) => isVmrError(error) && error.code === 'IMAGE_NOT_FOUND')
  })
})
