import assert from 'node:assert/strict'
import { appendFile, mkdir, mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { VmrError } from '../../src/errors/vmr-error.ts'
import { cleanUp } from '../../src/undo/clean-up.ts'
import { hostExecutors } from '../../src/undo/host-executors.ts'
import { type Journal, listJournals, openJournal, reopenJournal } from '../../src/undo/journal.ts'
import type { UndoStep } from '../../src/undo/steps.ts'
import { type UndoneStep, undoAll, withUndo } from '../../src/undo/undo-all.ts'

let root: string
let directory: string
let made: string

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'vmr-undo-'))
  directory = join(root, 'undo')
  made = join(root, 'made')
  await mkdir(made)
})
afterEach(() => rm(root, { recursive: true, force: true }))

const open = (purpose = 'a test') => openJournal({ directory, purpose })
const fileStep = (name: string): UndoStep => ({ kind: 'file', path: join(made, name) })

async function makeFile(journal: Journal, name: string): Promise<number> {
  const id = await journal.before(fileStep(name))
  await writeFile(join(made, name), name)
  return id
}

/** Leaves the journal as a process does that was killed: on disk, and its owner gone. */
async function orphan(journal: Journal, change: { readonly bootId?: string } = {}): Promise<void> {
  const { path } = journal
  const [header = '', ...rest] = (await readFile(path, 'utf8')).split('\n')
  await journal.close()
  const parsed = JSON.parse(header)
  const owner = { ...parsed.owner, startTime: '1', ...change }
  await writeFile(path, [JSON.stringify({ ...parsed, owner }), ...rest].join('\n'))
}

describe('the undo journal', () => {
  it('has the inverse on disk before the step runs', async () => {
    const journal = await open()
    await journal.before(fileStep('a'))
    const [content] = await listJournals(directory)
    assert.deepEqual(
      content?.steps.map(({ step }) => step),
      [fileStep('a')],
    )
    assert.equal(content?.state, 'live')
    await journal.close()
  })

  it('is gone when there is nothing left to take back', async () => {
    const journal = await open()
    const id = await makeFile(journal, 'a')
    await journal.undone(id)
    await journal.close()
    assert.deepEqual(await readdir(directory), [])
  })

  it('is readable by its owner only', async () => {
    const journal = await open()
    assert.equal((await stat(journal.path)).mode & 0o777, 0o600)
    assert.equal((await stat(directory)).mode & 0o777, 0o700)
    await journal.close()
  })

  it('keeps steps that are written at the same time apart', async () => {
    const journal = await open()
    const ids = await Promise.all(Array.from({ length: 20 }, (_, index) => journal.before(fileStep(`f${index}`))))
    assert.equal(new Set(ids).size, 20)
    assert.equal((await listJournals(directory))[0]?.steps.length, 20)
    await journal.close()
  })

  it('refuses a step that would remove what vmr cannot have made', async () => {
    const journal = await open()
    for (const path of ['/', '/etc', 'relative/file', '/var/lib/../../etc/passwd', '/tmp/x/'])
      await assert.rejects(journal.before({ kind: 'directory', path }))
    assert.deepEqual(journal.pending(), [])
    await journal.close()
  })

  it('says which file could not be written, and what to do', async () => {
    await writeFile(directory, 'in the way')
    await assert.rejects(open(), (error: unknown) => {
      assert.ok(error instanceof VmrError)
      assert.match(error.message, /\/undo\/.*\.ndjson could not be written/)
      return true
    })
  })

  it('restores the start, whenever the process dies, and however often the clean-up does', async () => {
    const names = fc.constantFrom('a', 'b', 'c', 'd')
    const action = fc.oneof(
      fc.record({ kind: fc.constant('file' as const), name: names }),
      fc.record({ kind: fc.constant('directory' as const), name: names.map((name) => `dir-${name}`) }),
    )
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(action, { selector: ({ name }) => name, maxLength: 6 }),
        fc.nat(5),
        fc.boolean(),
        fc.option(fc.nat(60), { nil: undefined }),
        fc.nat(6),
        async (actions, failAt, lastStepRan, tornBytes, undoDiesAfter) => {
          const journal = await open()
          const done = actions.slice(0, failAt)
          for (const [index, { kind, name }] of done.entries()) {
            const path = join(made, name)
            await journal.before({ kind, path })
            if (index === done.length - 1 && !lastStepRan) break
            if (kind === 'file') await writeFile(path, 'x')
            else await mkdir(join(path, 'inner'), { recursive: true })
          }
          if (tornBytes !== undefined)
            await appendFile(
              journal.path,
              `{"record":"step","id":99,"step":{"kind":"file","path":"/tmp/x/y"}}`.slice(0, tornBytes),
            )
          await orphan(journal)

          let left = undoDiesAfter
          const dying = {
            ...hostExecutors,
            file: (step: Parameters<typeof hostExecutors.file>[0]) => {
              if (left-- <= 0) throw new Error('the clean-up died')
              return hostExecutors.file(step)
            },
          }
          await cleanUp({ directory, executors: dying }).catch(() => undefined)
          await cleanUp({ directory, executors: hostExecutors })
          assert.deepEqual(await readdir(made), [])
          assert.deepEqual(await readdir(directory), [])
        },
      ),
      { numRuns: 60 },
    )
  })
})

describe('taking everything back', () => {
  it('goes backward and to the end, and reports the first failure', async () => {
    const journal = await open()
    for (const name of ['a', 'b', 'c', 'd']) await journal.before(fileStep(name))
    const seen: string[] = []
    const executors = {
      file: async ({ path }: { readonly path: string }) => {
        const name = path.slice(-1)
        seen.push(name)
        if (name === 'c' || name === 'b') throw new Error(`${name} is stuck`)
        return 'undone' as const
      },
    }
    const outcomes: UndoneStep[] = []
    await assert.rejects(undoAll(journal, { executors, onStep: (step) => outcomes.push(step) }), (error: unknown) => {
      assert.ok(error instanceof VmrError)
      assert.equal(error.code, 'CLEANUP_INCOMPLETE')
      assert.match(error.message, /made\/c could not be taken back: c is stuck \(and 1 more\)/)
      return true
    })
    assert.deepEqual(seen, ['d', 'c', 'b', 'a'])
    assert.deepEqual(
      outcomes.map(({ outcome }) => outcome),
      ['undone', 'failed', 'failed', 'undone'],
    )
    await journal.close()
    const [content] = await listJournals(directory)
    assert.equal(content?.steps.length, 2, 'what failed is kept for the next time')
  })

  it('takes what is gone already for done', async () => {
    const journal = await open()
    await journal.before(fileStep('never-made'))
    await journal.before({ kind: 'link', name: 'vmrnolink0', linkKind: 'veth' })
    await journal.before({ kind: 'link', name: 'eth0', linkKind: 'veth', netns: 'vmr-no-such' })
    await journal.before({ kind: 'netns', name: 'vmr-no-such' })
    await journal.before({ kind: 'uplink-bridge', bridge: 'vmrnobr0', uplink: 'vmrnolink0' })
    await journal.before({ kind: 'sysctl', key: 'net/ipv6/conf/vmrnolink0/disable_ipv6', value: '0' })
    await journal.before({ kind: 'link-settings', name: 'vmrnolink0', up: false })
    await journal.before({ kind: 'process', mark: '00000000-0000-0000-0000-000000000000', command: 'none' })
    const outcomes: string[] = []
    await undoAll(journal, { executors: hostExecutors, onStep: ({ outcome }) => outcomes.push(outcome) })
    assert.deepEqual(outcomes, Array(8).fill('gone'))
    await journal.close()
  })

  it('leaves a link alone that has taken the name since', async () => {
    const journal = await open()
    await journal.before({ kind: 'link', name: 'lo', linkKind: 'veth' })
    const outcomes: string[] = []
    await undoAll(journal, { executors: hostExecutors, onStep: ({ outcome }) => outcomes.push(outcome) })
    assert.deepEqual(outcomes, ['gone'])
    await journal.close()
  })

  it('says what it has no means for', async () => {
    const journal = await open()
    const uuid = '11111111-2222-4333-8444-555555555555'
    await journal.before({ kind: 'domain', uri: 'qemu:///system', name: 'r1', uuid })
    await assert.rejects(undoAll(journal, { executors: hostExecutors }), /VM r1 could not be taken back/)
    await journal.close()
  })
})

describe('a task with undo', () => {
  it('leaves nothing of what it made, and returns its result', async () => {
    const result = await withUndo(await open(), { executors: hostExecutors }, async (journal) => {
      await makeFile(journal, 'a')
      return 5
    })
    assert.equal(result, 5)
    assert.deepEqual([await readdir(made), await readdir(directory)], [[], []])
  })

  it('throws its own error, also when the clean-up fails too', async () => {
    const executors = { file: () => Promise.reject(new Error('stuck')) }
    const task = withUndo(await open(), { executors }, async (journal) => {
      await makeFile(journal, 'a')
      throw new Error('the task failed')
    })
    await assert.rejects(task, /the task failed/)
    assert.equal((await listJournals(directory))[0]?.steps.length, 1)
  })

  it('throws the error of the clean-up when it succeeded itself', async () => {
    const executors = { file: () => Promise.reject(new Error('stuck')) }
    await assert.rejects(
      withUndo(await open(), { executors }, (journal) => makeFile(journal, 'a')),
      /could not be taken back/,
    )
  })

  it('keeps what is meant to stay, unless it fails after all', async () => {
    await withUndo(await open('lab'), { executors: hostExecutors }, async (journal) => {
      await makeFile(journal, 'a')
      await journal.keep()
    })
    assert.deepEqual(await readdir(made), ['a'])
    assert.equal((await listJournals(directory))[0]?.state, 'kept')
    const failing = withUndo(await open('lab'), { executors: hostExecutors }, async (journal) => {
      await makeFile(journal, 'b')
      await journal.keep()
      throw new Error('too early')
    })
    await assert.rejects(failing, /too early/)
    assert.deepEqual(await readdir(made), ['a'])
  })
})

describe('cleaning up after others', () => {
  it('leaves alone what a running vmr works on and what is meant to stay, unless forced', async () => {
    const live = await open('running')
    await makeFile(live, 'live')
    const kept = await open('kept')
    await makeFile(kept, 'kept')
    await kept.keep()
    await orphan(kept)
    const stale = await open('killed')
    await makeFile(stale, 'stale')
    await orphan(stale)

    const cleaned: string[] = []
    await cleanUp({ directory, executors: hostExecutors, onJournal: ({ purpose }) => cleaned.push(purpose) })
    assert.deepEqual(cleaned, ['killed'])
    assert.deepEqual((await readdir(made)).sort(), ['kept', 'live'])
    await cleanUp({ directory, executors: hostExecutors, force: true })
    assert.deepEqual(await readdir(made), [])
    await live.close()
  })

  it('does not look in the kernel for what an earlier boot made, but removes its files', async () => {
    const journal = await open()
    await makeFile(journal, 'a')
    await journal.before({ kind: 'netns', name: 'vmr-pc1' })
    await orphan(journal, { bootId: 'another' })
    const executors = {
      ...hostExecutors,
      netns: () => assert.fail('a namespace does not survive a boot'),
    }
    await cleanUp({ directory, executors })
    assert.deepEqual([await readdir(made), await readdir(directory)], [[], []])
  })

  it('drops the journal of a lab that went with the last boot', async () => {
    const journal = await open('lab')
    await journal.before({ kind: 'netns', name: 'vmr-pc1' })
    await journal.keep()
    await orphan(journal, { bootId: 'another' })
    await cleanUp({ directory, executors: hostExecutors })
    assert.deepEqual(await readdir(directory), [])
  })

  it('takes back the rest of a damaged journal, names the line and keeps the file', async () => {
    const journal = await open()
    await makeFile(journal, 'a')
    await appendFile(journal.path, '{"record":"step","id":2,"step":{"kind":"future"}}\n')
    await orphan(journal)
    await assert.rejects(cleanUp({ directory, executors: hostExecutors }), /ndjson:3: not readable/)
    assert.deepEqual(await readdir(made), [])
    assert.equal((await readdir(directory)).length, 1)
  })

  it('goes on with the next journal when one fails, and reports the first failure', async () => {
    const stuck = await open('stuck')
    await stuck.before({ kind: 'domain', uri: 'x:///', name: 'r1', uuid: '11111111-2222-4333-8444-555555555555' })
    await orphan(stuck)
    const other = await open('other')
    await makeFile(other, 'a')
    await orphan(other)
    await assert.rejects(cleanUp({ directory, executors: hostExecutors }), /VM r1/)
    assert.deepEqual(await readdir(made), [])
  })

  it('has nothing to do where vmr never ran', async () => {
    await cleanUp({ directory: join(root, 'none'), executors: hostExecutors })
  })

  it('reads no foreign or truncated file as a journal, and says which', async () => {
    await mkdir(directory)
    await writeFile(join(directory, 'x.ndjson'), 'hello\n')
    await writeFile(join(directory, 'empty.ndjson'), '')
    await writeFile(join(directory, 'readme.txt'), '')
    const unreadable: string[] = []
    assert.deepEqual(await listJournals(directory, (path) => unreadable.push(path)), [])
    assert.equal(unreadable.length, 2)
  })

  it('never fails on a journal of random bytes, and never takes back what was not journaled', async () => {
    await mkdir(directory, { recursive: true })
    const journal = await open()
    await journal.before(fileStep('a'))
    const whole = await readFile(journal.path)
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length), fc.uint8Array({ maxLength: 40 }), async (cut, noise) => {
        const path = join(directory, 'fuzz.ndjson')
        await writeFile(path, Buffer.concat([whole.subarray(0, cut), noise]))
        const found = (await listJournals(directory)).find((content) => content.path === path)
        for (const { step } of found?.steps ?? []) assert.deepEqual(step, fileStep('a'))
      }),
      { numRuns: 100 },
    )
    await rm(join(directory, 'fuzz.ndjson'))
    await truncate(journal.path, whole.length)
    const again = await reopenJournal(journal.path)
    assert.equal(again.pending().length, 1)
    await again.close()
    await journal.close()
  })
})
