import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { VmrError } from '../../src/errors/vmr-error.ts'
import { localShell } from '../../src/shell/local.ts'

const hasCode = (code: string, pattern: RegExp) => (error: unknown) => {
  assert.ok(error instanceof VmrError, String(error))
  assert.equal(error.code, code)
  assert.match(error.message, pattern)
  return true
}

async function isRunning(pid: number): Promise<boolean> {
  try {
    return !/^State:\s+Z/m.test(await readFile(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

async function untilGone(pid: number): Promise<void> {
  const deadline = performance.now() + 5000
  while (await isRunning(pid)) {
    assert.ok(performance.now() < deadline, `process ${pid} is still there`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

describe('the local shell', () => {
  it('gives a command its words as they are, whatever they hold', async () => {
    const words = ['', ' a  b ', '$(id)', '`id`', '"', "'", '*', ';', '\n', 'ä€😀', '-n']
    const { stdout } = await localShell.run(['printf', '%s\\0', ...words])
    assert.deepEqual(stdout.split('\0').slice(0, -1), words)
  })

  it('resolves with the exit status and both outputs of a command that fails', async () => {
    const result = await localShell.run(['sh', '-c', 'echo out; echo err >&2; exit 7'])
    assert.deepEqual([result.stdout, result.stderr, result.exitCode], ['out\n', 'err\n', 7])
    assert.ok(result.durationMs > 0)
  })

  it('gives a command that a signal ended the status that a shell would', async () => {
    assert.equal((await localShell.run(['sh', '-c', 'kill -KILL $$'])).exitCode, 137)
  })

  it('gives a command an empty input, or the one it was told', async () => {
    assert.equal((await localShell.run(['cat'])).stdout, '')
    assert.equal((await localShell.run(['cat'], { stdin: 'hello' })).stdout, 'hello')
  })

  it('survives a command that does not read its input', async () => {
    assert.equal((await localShell.run(['true'], { stdin: 'x'.repeat(1_000_000) })).exitCode, 0)
  })

  it('speaks English whatever the locale of the user, and hands down nothing else of the environment', async () => {
    const before = process.env.VMR_TEST_SECRET
    process.env.VMR_TEST_SECRET = 'yes'
    try {
      const { stdout } = await localShell.run(['env'])
      assert.match(stdout, /^LC_ALL=C$/m)
      assert.doesNotMatch(stdout, /VMR_TEST_SECRET/)
    } finally {
      if (before === undefined) delete process.env.VMR_TEST_SECRET
    }
  })

  it('finds the tools that Debian hides from users', async () => {
    const path = process.env.PATH
    process.env.PATH = '/usr/bin:/bin'
    try {
      assert.equal((await localShell.run(['sysctl', '-n', 'kernel.ostype'])).stdout, 'Linux\n')
    } finally {
      process.env.PATH = path
    }
  })

  it('names a missing program, and the package to install', async () => {
    await assert.rejects(localShell.run(['no-such-program']), hasCode('HOST_TOOL_MISSING', /no-such-program/))
    const path = process.env.PATH
    process.env.PATH = '/nowhere'
    try {
      await assert.rejects(localShell.run(['ovs-vsctl', 'show']), (error: unknown) => {
        assert.ok(error instanceof VmrError)
        assert.match(error.hint ?? '', /apt-get install openvswitch-switch/)
        return true
      })
    } finally {
      process.env.PATH = path
    }
  })

  it('says which file may not be executed', async () => {
    await assert.rejects(localShell.run(['/etc/passwd']), hasCode('HOST_PERMISSION', /\/etc\/passwd/))
  })

  it('refuses an argument that no program could be given', async () => {
    await assert.rejects(localShell.run(['printf', 'a\0b']), hasCode('USAGE', /NUL/))
  })

  it('ends a command and its children when the time is over, and says which command it was', async () => {
    const start = performance.now()
    const lines = await mkdtemp(join(tmpdir(), 'vmr-local-'))
    try {
      const script = `sleep 60 & echo $! >${lines}/pid; wait`
      await assert.rejects(
        localShell.run(['sh', '-c', script], { timeoutMs: 300 }),
        hasCode('TIMED_OUT', /^sh -c sleep 60 .* within 0\.3 s/),
      )
      assert.ok(performance.now() - start < 2000)
      await untilGone(Number(await readFile(`${lines}/pid`, 'utf8')))
    } finally {
      await rm(lines, { recursive: true })
    }
  })

  it('kills a command that ignores TERM', async () => {
    const start = performance.now()
    await assert.rejects(
      localShell.run(['sh', '-c', 'trap "" TERM; while :; do sleep 0.1; done'], { timeoutMs: 100 }),
      hasCode('TIMED_OUT', /within/),
    )
    assert.ok(performance.now() - start < 4000)
  })

  it('does not wait for a child that left the session and holds the output open', async () => {
    const start = performance.now()
    await assert.rejects(
      localShell.run(['sh', '-c', 'setsid sleep 3 & exec sleep 60'], { timeoutMs: 200 }),
      hasCode('TIMED_OUT', /within/),
    )
    assert.ok(performance.now() - start < 2000)
  })

  it('rejects with the reason of the caller who aborts', async () => {
    const controller = new AbortController()
    const running = localShell.run(['sleep', '60'], { signal: controller.signal })
    const reason = new VmrError('INTERRUPTED', 'interrupted by SIGINT')
    controller.abort(reason)
    await assert.rejects(running, (error) => error === reason)
    await assert.rejects(localShell.run(['true'], { signal: controller.signal }), (error) => error === reason)
    await assert.rejects(
      localShell.run(['sleep', '60'], { signal: AbortSignal.timeout(50) }),
      hasCode('TIMED_OUT', /sleep 60/),
    )
  })

  it('ends a command that writes more than its limit', async () => {
    await assert.rejects(
      localShell.run(['yes'], { maxOutputBytes: 100_000 }),
      hasCode('HOST_COMMAND_FAILED', /100000 bytes/),
    )
    const exact = await localShell.run(['head', '-c', '1000', '/dev/zero'], { maxOutputBytes: 1000 })
    assert.equal(exact.stdout.length, 1000)
  })

  it('decodes characters that arrive in pieces', async () => {
    const { stdout } = await localShell.run(['sh', '-c', "printf '\\303'; sleep 0.05; printf '\\244'"])
    assert.equal(stdout, 'ä')
  })

  it('writes a file in one piece, with its mode', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'vmr-local-'))
    try {
      const path = join(directory, 'key')
      await localShell.writeFile(path, 'one', { mode: 0o600 })
      await localShell.writeFile(path, 'two', { mode: 0o600 })
      assert.equal(await readFile(path, 'utf8'), 'two')
      assert.equal((await stat(path)).mode & 0o777, 0o600)
      await assert.rejects(
        localShell.writeFile(join(directory, 'no', 'such'), ''),
        hasCode('HOST_COMMAND_FAILED', /no\/such/),
      )
    } finally {
      await rm(directory, { recursive: true })
    }
  })
})

describe('a command that the local shell starts', () => {
  it('delivers its lines as they arrive, the last one also without a newline', async () => {
    const command = await localShell.start(['sh', '-c', 'echo one; echo; printf three'])
    const lines: string[] = []
    for await (const line of command.lines) lines.push(line)
    assert.deepEqual(lines, ['one', '', 'three'])
    const { exitCode, stdout } = await command.ended
    assert.deepEqual([exitCode, stdout], [0, 'one\n\nthree'])
  })

  it('waits for a slow reader instead of filling memory', async () => {
    const command = await localShell.start(['yes', 'x'.repeat(1000)])
    let count = 0
    for await (const line of command.lines) {
      assert.equal(line.length, 1000)
      count += 1
      if (count % 5000 === 0) await new Promise((resolve) => setTimeout(resolve, 5))
      if (count === 50_000) break
    }
    assert.equal((await command.stop()).exitCode, 143)
  })

  it('keeps the end of its output when nobody reads the lines, and refuses a reader who comes too late', async () => {
    const command = await localShell.start(['sh', '-c', 'seq 1000000; echo last'])
    const { stdout, exitCode } = await command.ended
    assert.equal(exitCode, 0)
    assert.ok(stdout.endsWith('\nlast\n') && stdout.length <= 4 * 1024 * 1024)
    await assert.rejects(
      async () => {
        for await (const line of command.lines) assert.fail(line)
      },
      hasCode('HOST_COMMAND_FAILED', /nobody read/),
    )
  })

  it('stops with its children, also twice, and also when it has ended by itself', async () => {
    const command = await localShell.start(['sh', '-c', 'sleep 60 & echo $!; wait'])
    const reader = command.lines[Symbol.asyncIterator]()
    const pid = Number((await reader.next()).value)
    const [first, second] = await Promise.all([command.stop(), command.stop()])
    assert.equal(first.exitCode, 143)
    assert.equal(second.exitCode, 143)
    await untilGone(pid)
    const short = await localShell.start(['true'])
    await short.ended
    assert.equal((await short.stop()).exitCode, 0)
  })

  it('stops when its signal is aborted', async () => {
    const controller = new AbortController()
    const command = await localShell.start(['sleep', '60'], { signal: controller.signal })
    controller.abort()
    assert.equal((await command.ended).exitCode, 143)
  })

  it('ends with vmr when vmr exits', async () => {
    const program = `
      import { localShell } from './src/shell/local.ts'
      const command = await localShell.start(['sh', '-c', 'echo $$; exec sleep 60'])
      for await (const line of command.lines) { console.log(line); process.exit(0) }`
    const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [line] = await once(createInterface(child.stdout), 'line')
    await once(child, 'exit')
    await untilGone(Number(line))
  })
})
