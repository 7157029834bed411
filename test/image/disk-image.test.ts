import assert from 'node:assert/strict'
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { type DiskFormat, inspectDiskImage } from '../../src/image/disk-image.ts'
import { localShell } from '../../src/shell/local.ts'

describe('A disk image', function () {
  this.timeout(20_000)
  let directory: string
  const at = (name: string) => join(directory, name)
  const create = (...args: readonly string[]) => execa('qemu-img', ['create', '-q', ...args])
  const inspect = (file: string, format: DiskFormat = 'qcow2', allowBackingFile = false) =>
    inspectDiskImage(file, format, { allowBackingFile, shell: localShell, signal: AbortSignal.timeout(20_000) })

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'vmr images,'))
    await create('-f', 'qcow2', at('base.qcow2'), '16M')
    await create('-f', 'qcow2', '-F', 'qcow2', '-b', at('base.qcow2'), at('middle.qcow2'))
    await create('-f', 'qcow2', '-F', 'qcow2', '-b', 'middle.qcow2', at('top.qcow2'))
    await create('-f', 'qcow2', '-o', `data_file=${at('data').replaceAll(',', ',,')}`, at('split.qcow2'), '1M')
    await execa('qemu-img', ['create', '-q', '-f', 'vmdk', at('other.vmdk'), '1M'])
    await writeFile(at('text'), 'hello')
    await writeFile(at('disk.raw'), '')
    await truncate(at('disk.raw'), 1024 * 1024)
  })
  after(() => rm(directory, { recursive: true, force: true }))

  it('is described by format, size and the whole chain below it', async () => {
    assert.deepEqual(await inspect(at('base.qcow2')), {
      file: at('base.qcow2'),
      format: 'qcow2',
      virtualBytes: 16 * 1024 * 1024,
      backing: [],
    })
    assert.deepEqual((await inspect(at('top.qcow2'), 'qcow2', true)).backing, [
      { file: at('middle.qcow2'), format: 'qcow2' },
      { file: at('base.qcow2'), format: 'qcow2' },
    ])
    assert.equal((await inspect(at('disk.raw'), 'raw')).virtualBytes, 1024 * 1024)
  })

  const refused: readonly (readonly [file: string, format: DiskFormat, code: string, message: RegExp])[] = [
    ['missing.qcow2', 'qcow2', 'IMAGE_NOT_FOUND', /^there is no \/.*missing\.qcow2$/],
    ['text', 'qcow2', 'IMAGE_INVALID', /text is no qcow2 image$/],
    ['other.vmdk', 'qcow2', 'IMAGE_INVALID', /is no qcow2 image$/],
    ['disk.raw', 'qcow2', 'IMAGE_INVALID', /is no qcow2 image$/],
    ['text', 'raw', 'IMAGE_INVALID', /is no raw disk image: 5 bytes/],
    ['base.qcow2', 'raw', 'IMAGE_INVALID', /is a qcow2 image, not a raw one$/],
    ['other.vmdk', 'raw', 'IMAGE_INVALID', /is a VMDK image, not a raw one$/],
    ['top.qcow2', 'qcow2', 'IMAGE_INVALID', /stands on the backing file "middle\.qcow2"$/],
    ['split.qcow2', 'qcow2', 'IMAGE_INVALID', /keeps its data in another file$/],
    ['.', 'qcow2', 'IMAGE_INVALID', /is no file$|cannot be read/],
  ]
  for (const [name, format, code, message] of refused) {
    it(`${name} is refused as ${format}, in one line with what to do`, async () => {
      await assert.rejects(
        inspect(at(name), format),
        (error: Error & { readonly hint?: string; readonly code?: string }) => {
          assert.equal(error.code, code)
          assert.match(error.message, message)
          assert.doesNotMatch(error.message, /\n/)
          assert.ok(error.hint)
          return true
        },
      )
    })
  }

  it('that is damaged is refused with qemu-img’s words', async () => {
    await execa('cp', [at('base.qcow2'), at('short.qcow2')])
    await truncate(at('short.qcow2'), 60)
    await assert.rejects(inspect(at('short.qcow2')), {
      code: 'IMAGE_INVALID',
      message: /short\.qcow2 cannot be used: /,
    })
  })
})
