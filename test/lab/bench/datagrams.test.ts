import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { packageRoot } from '../../../src/config/package-root.ts'
import { findRun } from '../../../src/results/find-run.ts'
import { readRun } from '../../../src/results/run-folder.ts'

const cli = join(packageRoot(), 'dist', 'cli.js')

describe('a run with datagrams', function () {
  this.timeout(120_000)
  let folder: string
  const vmr = (...words: readonly string[]) =>
    execa(process.execPath, [cli, ...words], {
      reject: false,
      stdin: 'ignore',
      env: { VMR_STATE_DIR: join(folder, 'state') },
    })

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'vmr-datagrams-'))
  })
  after(async () => {
    await vmr('lab', 'down')
    await rm(folder, { recursive: true, force: true })
  })

  const cells = ['--matrix', 'deck', '--case', 'forward', '--dut', 'host', '--direction', 'there', '--family', 'ipv6']
  const short = ['--protocol', 'udp', '--duration', '1', '--repetitions', '1']

  it('tells loss and jitter, and the highest rate without loss that the host forwards', async () => {
    const results = join(folder, 'results')
    const ran = await vmr('bench', 'run', ...cells, ...short, '--zero-loss', '512', '1518', '--results', results)
    assert.equal(ran.exitCode, 0, ran.stderr)
    const { cells: measured } = await readRun(await findRun('latest', results))
    assert.equal(measured.length, 1)
    const [cell] = measured
    const [record] = cell?.throughput ?? []
    assert.ok(record?.status === 'measured' && record.protocol === 'udp')
    assert.ok(record.samples[0]?.lossShare !== undefined && record.samples[0].jitterMs !== undefined)

    assert.deepEqual(
      cell?.zeroLoss?.map(({ frameBytes }) => frameBytes),
      [512, 1518],
    )
    for (const { bitsPerSecond, wireLimitBitsPerSecond, trials } of cell?.zeroLoss ?? []) {
      assert.ok(bitsPerSecond !== undefined && bitsPerSecond <= wireLimitBitsPerSecond)
      // What it says was offered in a trial and lost nothing, and every higher one lost something.
      const lossless = trials.filter(({ lossShare }) => lossShare === 0).map((trial) => trial.offeredBitsPerSecond)
      assert.equal(Math.max(...lossless), bitsPerSecond)
      assert.ok(trials.every((trial) => trial.lossShare > 0 || trial.offeredBitsPerSecond <= bitsPerSecond))
    }
    const shown = ran.stdout.split('\n').filter((line) => /│ forward │ host.*│ (512|1518) +│/.test(line))
    assert.equal(shown.length, 2, ran.stdout)
  })

  it('refuses what is no size of a frame before anything is made', async () => {
    const { exitCode, stderr } = await vmr('bench', 'run', ...cells, '--zero-loss', '12')
    assert.equal(exitCode, 2)
    assert.match(stderr, /--zero-loss takes sizes of Ethernet frames, 64 to 9018 bytes, not "12"/)
  })
})
