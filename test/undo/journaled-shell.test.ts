import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { localShell } from '../../src/shell/local.ts'
import { cleanUp } from '../../src/undo/clean-up.ts'
import { hostExecutors } from '../../src/undo/host-executors.ts'
import { openJournal } from '../../src/undo/journal.ts'
import { journaledShell } from '../../src/undo/journaled-shell.ts'

let directory: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'vmr-undo-'))
})
afterEach(() => rm(directory, { recursive: true, force: true }))

async function isRunning(pid: number): Promise<boolean> {
  try {
    return !/^State:\s+Z/m.test(await readFile(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

/** Runs a program of its own that starts a command, is killed with SIGKILL, and returns the pids that it printed. */
async function killedRun(script: string): Promise<readonly number[]> {
  const program = `
    import { localShell } from './src/shell/local.ts'
    import { openJournal } from './src/undo/journal.ts'
    import { journaledShell } from './src/undo/journaled-shell.ts'
    const journal = await openJournal({ directory: ${JSON.stringify(directory)}, purpose: 'a run' })
    const command = await journaledShell(localShell, journal).start(['sh', '-c', ${JSON.stringify(script)}])
    for await (const line of command.lines) console.log(line)`
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [line] = await once(createInterface(child.stdout), 'line')
  child.kill('SIGKILL')
  await once(child, 'exit')
  return String(line).split(' ').map(Number)
}

describe('a command started under the undo journal', () => {
  it('is ended by the clean-up when vmr was killed, with a child that left its session', async () => {
    const pids = await killedRun('setsid sleep 60 & echo $$ $!; wait')
    assert.deepEqual(await Promise.all(pids.map(isRunning)), [true, true], 'they outlive a killed vmr')
    await cleanUp({ directory, executors: hostExecutors })
    assert.deepEqual(await Promise.all(pids.map(isRunning)), [false, false])
    assert.deepEqual(await readdir(directory), [])
  })

  it('is killed when it ignores TERM', async () => {
    const [pid = 0] = await killedRun('trap "" TERM; echo $$; while :; do sleep 0.1; done')
    await cleanUp({ directory, executors: hostExecutors })
    assert.equal(await isRunning(pid), false)
  })

  it('is forgotten when it ends by itself or is stopped', async () => {
    const journal = await openJournal({ directory, purpose: 'a test' })
    const shell = journaledShell(localShell, journal)
    const short = await shell.start(['echo', 'hello'])
    assert.equal((await short.ended).stdout, 'hello\n')
    const long = await shell.start(['sleep', '60'])
    assert.equal(journal.pending().length, 1)
    await long.stop()
    assert.deepEqual(journal.pending(), [])
    await journal.close()
  })

  it('leaves no trace when the program does not exist', async () => {
    const journal = await openJournal({ directory, purpose: 'a test' })
    await assert.rejects(journaledShell(localShell, journal).start(['no-such-program']), /no-such-program/)
    assert.deepEqual(journal.pending(), [])
    await journal.close()
  })
})
