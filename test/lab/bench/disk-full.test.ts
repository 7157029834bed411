import assert from 'node:assert/strict'
import { appendFile, mkdtemp, readdir, rm, truncate } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createRunFolder, readRun } from '../../../src/results/run-folder.ts'
import { localShell } from '../../../src/shell/local.ts'
import { runChecked } from '../../../src/shell/shell.ts'
import { run } from '../../results/example-run.ts'

describe('a run whose disk fills up', () => {
  let disk: string
  before(async () => {
    disk = await mkdtemp(join(tmpdir(), 'vmr-disk-'))
    await runChecked(localShell, ['mount', '-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', disk])
  })
  after(async () => {
    await localShell.run(['umount', disk])
    await rm(disk, { recursive: true })
  })

  it('says so, keeps every whole cell, and takes more when there is space again', async () => {
    const folder = await createRunFolder(disk, 'a-run', run.manifest)
    const [first, second] = run.cells
    assert.ok(first && second)
    await folder.appendCell(first)
    const ballast = join(disk, 'ballast')
    await assert.rejects(appendFile(ballast, Buffer.alloc(1 << 20)), { code: 'ENOSPC' })

    // A page of the cells' file is there already: only a result larger than that meets the end of the disk.
    const large = { ...second, solicitations: Array(200).fill({ ...run.cells[3]?.solicitations[0] }) }
    await assert.rejects(folder.appendCell(large), {
      code: 'HOST_DISK_FULL',
      message: /cells\.ndjson/,
      hint: /Free space/,
    })
    await assert.rejects(folder.writeRaw('x.json', '{}'.repeat(5000)), { code: 'HOST_DISK_FULL' })
    await assert.rejects(folder.writeManifest(run.manifest), { code: 'HOST_DISK_FULL' })
    await assert.rejects(createRunFolder(join(disk, 'more'), 'b', run.manifest), {
      code: 'HOST_DISK_FULL',
    })
    // What could not be made whole is not there at all.
    assert.deepEqual(await readdir(join(disk, 'more')).catch(() => []), [])
    assert.deepEqual((await readRun(folder.path)).cells, [first])

    await truncate(ballast, 0)
    await folder.appendCell(second)
    assert.deepEqual(await readRun(folder.path), { manifest: run.manifest, cells: [first, second] })
  })
})
