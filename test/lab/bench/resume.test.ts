import assert from 'node:assert/strict'
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { randomSource } from '../../../src/bench/statistics.ts'
import { packageRoot } from '../../../src/config/package-root.ts'
import { readRun } from '../../../src/results/run-folder.ts'

const run = promisify(execFile)
const cli = join(packageRoot(), 'dist', 'cli.js')
/** More moments on request: each costs a run's start. */
const kills = Number(process.env.VMR_TEST_KILLS ?? 2)
/** Of a run whose cells take about this long together. */
const longestMs = 10_000

let directory: string
let env: NodeJS.ProcessEnv
/** What all of them said, for when one fails. */
let log = ''

async function leftovers(): Promise<readonly string[]> {
  const [links, namespaces, domains] = await Promise.all([
    run('ip', ['-o', 'link', 'show']),
    run('ip', ['netns', 'list']),
    run('virsh', ['-c', 'qemu:///system', 'list', '--all', '--name']),
  ])
  const names = [
    ...links.stdout.split('\n').map((line) => /^\d+: ([^:@]+)/.exec(line)?.[1] ?? ''),
    ...namespaces.stdout.split('\n').map((line) => line.split(' ')[0] ?? ''),
    ...domains.stdout.split('\n'),
  ]
  const journals = await readdir(join(directory, 'undo')).catch(() => [])
  return [...names.filter((name) => /^vmr-(pc|up|br|far|dut|bench)/.test(name)), ...journals]
}

function start(...args: readonly string[]): ChildProcess {
  const all = ['bench', ...args, '--results', join(directory, 'results')]
  const child = spawn(process.execPath, [cli, ...all], { env, stdio: ['ignore', 'ignore', 'pipe'] })
  child.stderr?.on('data', (chunk) => {
    log += chunk
  })
  log += `\n== ${args.join(' ')}\n`
  return child
}

/** Folders of runs; one begins with a dot until it can be resumed. */
async function runNames(): Promise<readonly string[]> {
  const names = await readdir(join(directory, 'results')).catch(() => [])
  return names.filter((name) => !name.startsWith('.'))
}

async function lines(): Promise<readonly string[]> {
  const [name] = await runNames()
  if (name === undefined) return []
  const text = await readFile(join(directory, 'results', name, 'cells.ndjson'), 'utf8').catch(() => '')
  return text.split('\n').filter((line) => line !== '')
}

describe('a run that is killed again and again', function () {
  this.timeout(120_000 + kills * 60_000)

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'vmr-resume-'))
    env = { ...process.env, VMR_STATE_DIR: directory }
    assert.deepEqual(await leftovers(), [], 'the host is clean before')
  })
  after(async () => {
    await run(process.execPath, [cli, 'cleanup'], { env })
    await rm(directory, { recursive: true, force: true })
  })

  it('is finished by resume: nothing measured twice, nothing lost, the host clean', async () => {
    const seed = Number(process.env.VMR_TEST_SEED ?? Date.now() % 1e6)
    const random = randomSource(seed)
    const selection = ['--matrix', 'deck', '--case', 'nic', 'nic2', '--mode', 'bridge', '--family', 'ipv4']
    let child = start('run', ...selection, '--duration', '1', '--repetitions', '1', '--accel', 'tcg')
    const recorded: string[] = []
    for (let kill = 1; kill <= kills; kill++) {
      // Until there is a run to resume, nothing is to be finished.
      while ((await runNames()).length === 0) {
        assert.equal(child.exitCode, null, 'the run ended before it began')
        await delay(50)
      }
      await Promise.race([delay((random() * longestMs) / kills + 500), once(child, 'exit')])
      child.kill('SIGKILL')
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
      const now = await lines()
      // What was on disk stays as it was.
      assert.deepEqual(now.slice(0, recorded.length), recorded, `seed ${seed}, kill ${kill}`)
      recorded.splice(0, recorded.length, ...now.filter((line) => line.endsWith('}')))
      child = start('resume', 'latest')
    }
    const [status] = await once(child, 'exit')
    assert.equal(status, 0, `seed ${seed}\n${log}`)

    const [name = ''] = await runNames()
    const { manifest, cells } = await readRun(join(directory, 'results', name))
    assert.ok(manifest.endedAt !== undefined)
    assert.deepEqual(
      cells.map(({ id }) => id),
      manifest.planned,
    )
    for (const { id, complete, throughput, verdict } of cells) {
      assert.equal(complete, true, id)
      assert.equal(verdict.verdict, 'healthy', id)
      for (const record of throughput)
        assert.equal(record.status === 'measured' && record.samples.length, 1, `${id}: each repetition once`)
    }
    const ids = (await lines()).map((line) => `${JSON.parse(line).id} ${JSON.parse(line).complete}`)
    assert.equal(new Set(ids).size, ids.length, 'no visit is there twice')
    assert.deepEqual(await leftovers(), [])
  })
})
