import assert from 'node:assert/strict'
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { packageRoot } from '../../../src/config/package-root.ts'

const run = promisify(execFile)
const cli = join(packageRoot(), 'dist', 'cli.js')

let directory: string
let env: NodeJS.ProcessEnv

/** What a run makes on the host, by name. */
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
  return [...names.filter((name) => /^vmr-(pc|up|br|bench)/.test(name)), ...journals]
}

async function commandLines(): Promise<readonly string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  return Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')))
}

const points = {
  'while the lab is being made': async () => (await leftovers()).includes('vmr-pc1'),
  'while the VM boots': async () => (await leftovers()).includes('vmr-bench'),
  'while iperf3 measures': async () => (await commandLines()).some((line) => line.includes('iperf3\0-c')),
} as const

async function startRun(): Promise<ChildProcess> {
  const args = ['bench', 'run', '--mode', 'bridge', '--family', 'ipv4', '--duration', '5', '--accel', 'tcg']
  return spawn(process.execPath, [cli, ...args, '--results', join(directory, 'results')], { env, stdio: 'ignore' })
}

async function reach(point: keyof typeof points, child: ChildProcess): Promise<void> {
  const deadline = Date.now() + 120_000
  while (!(await points[point]())) {
    assert.equal(child.exitCode, null, `the run ended before "${point}"`)
    assert.ok(Date.now() < deadline, `"${point}" was not reached in time`)
    await delay(50)
  }
}

describe('a run that is interrupted', function () {
  this.timeout(240_000)

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'vmr-interrupt-'))
    env = { ...process.env, VMR_STATE_DIR: directory }
    assert.deepEqual(await leftovers(), [], 'the host is clean before')
  })

  afterEach(async () => {
    await run(process.execPath, [cli, 'cleanup'], { env })
    await rm(directory, { recursive: true, force: true })
  })

  const cases = [
    ['SIGINT', 130, 'while the lab is being made'],
    ['SIGTERM', 143, 'while the VM boots'],
    ['SIGINT', 130, 'while iperf3 measures'],
  ] as const
  for (const [signal, status, point] of cases) {
    it(`by ${signal} ${point} takes back what it made and exits ${status}`, async () => {
      const child = await startRun()
      await reach(point, child)
      const ended = once(child, 'exit')
      child.kill(signal)
      assert.deepEqual(await ended, [status, null])
      assert.deepEqual(await leftovers(), [])
      assert.ok(!(await commandLines()).some((line) => line.includes('guest=vmr-bench')))
    })
  }

  for (const point of ['while the VM boots', 'while iperf3 measures'] as const) {
    it(`by SIGKILL ${point} leaves what \`vmr cleanup\` removes`, async () => {
      const child = await startRun()
      await reach(point, child)
      const ended = once(child, 'exit')
      child.kill('SIGKILL')
      await ended
      assert.notDeepEqual(await leftovers(), [])
      await run(process.execPath, [cli, 'cleanup'], { env })
      assert.deepEqual(await leftovers(), [])
      assert.ok(!(await commandLines()).some((line) => line.includes('iperf3\0-c')))
    })
  }
})
