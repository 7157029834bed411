import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isVmrError } from '../../src/errors/vmr-error.ts'
import { findRun, listRuns } from '../../src/results/find-run.ts'

const older = '20260131T101500Z-quick-1f3a'
const newer = '20260201T080000Z-deck-77aa'

describe('finding a run', () => {
  let results: string
  before(async () => {
    results = await mkdtemp(join(tmpdir(), 'vmr-results-'))
    for (const name of [newer, older, 'notes']) await mkdir(join(results, name))
  })
  after(() => rm(results, { recursive: true }))

  const refused = (name: string, message: RegExp) =>
    assert.rejects(findRun(name, results), (error) => {
      assert.ok(isVmrError(error))
      assert.equal(error.code, 'RESULTS_INVALID')
      assert.match(error.message, message)
      return true
    })

  it('goes by name, by a beginning that fits only one, by path and by age', async () => {
    assert.equal(await findRun(older, results), join(results, older))
    assert.equal(await findRun('20260201', results), join(results, newer))
    assert.equal(await findRun(join(results, 'notes'), results), join(results, 'notes'))
    assert.equal(await findRun('latest', results), join(results, newer))
  })

  it('lists runs by age, and nothing else', async () => {
    assert.deepEqual(await listRuns(results), [older, newer])
    assert.deepEqual(await listRuns(join(results, 'none')), [])
  })

  it('refuses what fits no run or several', async () => {
    await refused('2026', /begins the names of 2 runs/)
    await refused('yesterday', /no run "yesterday"/)
    await refused('', /no run ""/)
    await assert.rejects(findRun('latest', join(results, 'none')), /there is no run/)
  })
})
