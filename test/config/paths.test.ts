import assert from 'node:assert/strict'
import { cacheDirectory, journalDirectory, stateDirectory } from '../../src/config/paths.ts'

describe('where vmr keeps things', () => {
  const saved = { state: process.env.VMR_STATE_DIR, cache: process.env.VMR_CACHE_DIR }
  beforeEach(() => {
    delete process.env.VMR_STATE_DIR
    delete process.env.VMR_CACHE_DIR
  })
  after(() => {
    if (saved.state !== undefined) process.env.VMR_STATE_DIR = saved.state
    if (saved.cache !== undefined) process.env.VMR_CACHE_DIR = saved.cache
  })

  it('is the system’s for root, where QEMU may read it, and the user’s for a user', () => {
    if (process.getuid?.() === 0) {
      assert.equal(stateDirectory(), '/var/lib/vmr')
      assert.equal(cacheDirectory(), '/var/cache/vmr')
    } else {
      assert.match(stateDirectory(), /state\/vmr$/)
      assert.match(cacheDirectory(), /cache\/vmr$/)
    }
  })

  it('is where the environment says, as an absolute path', () => {
    process.env.VMR_STATE_DIR = 'here'
    process.env.VMR_CACHE_DIR = '/there'
    assert.equal(journalDirectory(), `${process.cwd()}/here/undo`)
    assert.equal(cacheDirectory(), '/there')
  })
})
