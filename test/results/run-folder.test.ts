import assert from 'node:assert/strict'
import { appendFile, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createRunFolder, readRun, reopenRunFolder, runFolderName } from '../../src/results/run-folder.ts'
import { healthyCell, manifest, run } from './example-run.ts'

describe('a run’s folder', () => {
  let results: string
  beforeEach(async () => {
    results = await mkdtemp(join(tmpdir(), 'vmr-results-'))
  })
  afterEach(() => rm(results, { recursive: true, force: true }))

  const recorded = async () => {
    const folder = await createRunFolder(join(results, 'results'), 'a-run', manifest)
    for (const cell of run.cells) await folder.appendCell(cell)
    return folder
  }

  it('gives back what was recorded', async () => {
    const { path } = await recorded()
    assert.deepEqual(await readRun(path), run)
  })

  it('keeps raw files in folders of their own, and never replaces one', async () => {
    const folder = await recorded()
    const path = await folder.writeRaw('nic_bridge_vm_ipv4/pc1-dut-1.json', '{}')
    assert.equal(path, 'raw/nic_bridge_vm_ipv4/pc1-dut-1.json')
    assert.equal(await readFile(join(folder.path, path), 'utf8'), '{}')
    assert.equal(await folder.writeRaw('nic_bridge_vm_ipv4/pc1-dut-1.json', 'other'), `${path}.2`)
    assert.equal(await readFile(join(folder.path, path), 'utf8'), '{}')
    await assert.rejects(folder.writeRaw('../outside', ''), { code: 'INTERNAL' })
  })

  it('is readable after a death at any byte of the last line, and goes on after it', async () => {
    const { path } = await recorded()
    const file = join(path, 'cells.ndjson')
    const whole = await readFile(file)
    const lastLine = whole.lastIndexOf('\n', whole.length - 2) + 1
    for (const length of [lastLine + 1, lastLine + 20, whole.length - 1]) {
      await writeFile(file, whole)
      await truncate(file, length)
      assert.deepEqual((await readRun(path)).cells, run.cells.slice(0, -1))
      const folder = await reopenRunFolder(path)
      const [last] = run.cells.slice(-1)
      assert.ok(last)
      await folder.appendCell(last)
      assert.deepEqual(await readRun(path), run)
    }
  })

  it('counts the later result of a cell that ran twice', async () => {
    const folder = await recorded()
    const again = { ...healthyCell('nic/bridge/vm/ipv4', 'bridge'), seconds: 99 }
    await folder.appendCell(again)
    const { cells } = await readRun(folder.path)
    assert.equal(cells.length, run.cells.length)
    assert.equal(cells.find(({ id }) => id === again.id)?.seconds, 99)
  })

  it('that is damaged is refused by file, line and field', async () => {
    const { path } = await recorded()
    const file = join(path, 'cells.ndjson')
    await appendFile(file, '{"id":"x"}\n')
    await assert.rejects(readRun(path), { code: 'RESULTS_INVALID', message: /cells\.ndjson:6: case: / })
    await writeFile(file, '{"id"\n')
    await assert.rejects(readRun(path), { code: 'RESULTS_INVALID', message: /cells\.ndjson:1: not JSON/ })
    await writeFile(join(path, 'manifest.json'), JSON.stringify({ ...manifest, format: 99 }))
    await assert.rejects(reopenRunFolder(path), { code: 'RESULTS_INVALID', message: /manifest\.json: format: / })
  })

  it('that is none is refused', async () => {
    await assert.rejects(readRun(join(results, 'none')), {
      code: 'RESULTS_INVALID',
      message: /no run’s folder|no run's folder/,
    })
  })

  it('does not take what it could not read back', async () => {
    const folder = await recorded()
    const cell = { ...healthyCell('nic/bridge/vm/ipv4', 'bridge'), seconds: Number.NaN }
    await assert.rejects(folder.appendCell(cell), { code: 'INTERNAL', message: /seconds/ })
    assert.deepEqual(await readRun(folder.path), run)
  })

  it('sorts by time, and two of one second differ', () => {
    const at = new Date('2026-01-31T10:15:00.123Z')
    assert.match(runFolderName(at, 'quick'), /^20260131T101500Z-quick-[0-9a-f]{4}$/)
    assert.ok(runFolderName(at, 'quick') < runFolderName(new Date('2026-02-01T00:00:00Z'), 'deck'))
  })
})
