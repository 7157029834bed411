import assert from 'node:assert/strict'
import { existsSync, readFileSync, rmSync, statSync } from 'node:fs'
import fc from 'fast-check'
import { openConsoleSession } from '../../../src/shell/serial/login.ts'
import { type SerialShell, serialShell } from '../../../src/shell/serial/serial-shell.ts'
import { type BashTerminal, bashTerminal } from './bash-terminal.ts'

/** Where the shell keeps its files in the guest, told by the command line of a command's parent. */
async function folderOf(shell: SerialShell): Promise<string> {
  const { stdout } = await shell.run(['sh', '-c', 'cat /proc/$PPID/cmdline'])
  const folder = /\/tmp\/\.vmr-[0-9a-f]+/.exec(stdout)?.[0]
  assert.ok(folder)
  return folder
}

async function openShell(): Promise<{ terminal: BashTerminal; shell: SerialShell; end: () => Promise<void> }> {
  const terminal = bashTerminal()
  const session = await openConsoleSession(terminal.stream, {
    description: 'serial console of r1',
    credentials: { user: 'vyos', password: 'unused' },
    timeoutMs: 8000,
  }).catch(async (error: unknown) => {
    await terminal.end()
    throw error
  })
  const shell = serialShell(session)
  return {
    terminal,
    shell,
    end: async () => {
      await shell.close()
      await session.close()
      await terminal.end()
    },
  }
}

describe('serial shell', () => {
  let shell: SerialShell
  let terminal: BashTerminal
  let end: (() => Promise<void>) | undefined
  let folder: string

  before(async () => {
    ;({ shell, terminal, end } = await openShell())
    folder = await folderOf(shell)
  })
  after(async () => {
    await end?.()
    assert.equal(existsSync(folder), false)
  })

  it('runs a command and tells its output, its errors and its exit status apart', async () => {
    const result = await shell.run(['sh', '-c', 'echo out; echo err >&2; exit 7'])
    assert.deepEqual({ ...result, durationMs: 0 }, { stdout: 'out\n', stderr: 'err\n', exitCode: 7, durationMs: 0 })
    assert.equal((await shell.run(['true'])).stdout, '')
    assert.equal((await shell.run(['no-such-program'])).exitCode, 127)
  })

  it('gives a program exactly the arguments that were meant, short ones and long ones', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc
            .oneof(fc.string({ unit: 'binary', maxLength: 20 }), fc.string({ minLength: 450, maxLength: 900 }))
            .map((text) => text.replaceAll('\0', '')),
          {
            minLength: 1,
            maxLength: 3,
          },
        ),
        async (words) => {
          const { stdout } = await shell.run(['printf', '%s\\n--\\n', ...words])
          assert.equal(stdout, words.map((word) => `${word}\n--\n`).join(''))
        },
      ),
      { numRuns: 25 },
    )
  })

  it('gives a program its standard input unchanged', async () => {
    const stdin = 'tabs\tand ?\r\nbinary \x00\x01\x03\x04\x1b[6n and UTF-8 ü€😀, no end of line'
    assert.equal((await shell.run(['cat'], { stdin })).stdout, stdin)
    assert.equal((await shell.run(['cat'])).stdout, '')
  })

  it('takes nothing in the output for a prompt or for the end of the command', async () => {
    const text =
      'vyos@vyos:~$ \nvyos login: \n[edit]\nvyos@vyos# \nPassword: \nvmr-0123456789abcdef01 end 1 0 0 0 x y\nvyos@vyos:~$ '
    assert.equal((await shell.run(['cat'], { stdin: text })).stdout, text)
  })

  it('carries 1 MB of output', async () => {
    const { stdout } = await shell.run(['sh', '-c', 'yes 0123456789 | head -c 1000000'])
    assert.equal(stdout.length, 1_000_000)
  })

  it('refuses output beyond the limit without sending it', async () => {
    await assert.rejects(shell.run(['head', '-c', '5000', '/dev/zero'], { maxOutputBytes: 4000 }), {
      code: 'HOST_COMMAND_FAILED',
      message: /more than the allowed 4000 bytes: 5000 to standard output/,
    })
  })

  it('gets the output again when a kernel message fell into it', async () => {
    let noise = 3
    terminal.onOutput((bytes) => {
      const text = bytes.toString('latin1')
      const place = text.indexOf('the middle')
      if (noise === 0 || place < 0) return bytes
      noise -= 1
      return Buffer.from(
        `${text.slice(0, place + 4)}[   99.123456] kernel: hello\r\n${text.slice(place + 4)}`,
        'latin1',
      )
    })
    assert.equal(
      (await shell.run(['sh', '-c', 'echo begin; echo the "middle"; echo end'])).stdout,
      'begin\nthe middle\nend\n',
    )
    assert.ok(noise < 3)
    terminal.onOutput((bytes) => bytes)
  })

  it('gets the output again when the end of the command was lost', async () => {
    let losses = 1
    terminal.onOutput((bytes) => {
      const text = bytes.toString('latin1')
      if (losses === 0 || !/ end \d+ 0 /.test(text)) return bytes
      losses -= 1
      return Buffer.from(text.replace(/ end \d+ 0 /, ' e[  1.0] oops'), 'latin1')
    })
    assert.equal((await shell.run(['echo', 'here'])).stdout, 'here\n')
    assert.equal(losses, 0)
    terminal.onOutput((bytes) => bytes)
  })

  it('asks again for the digest of a file that was lost among what never falls silent', async () => {
    let losses = 1
    const file = `${folder}/noisy`
    const noise = setInterval(() => terminal.says('noise\r\n'), 200)
    try {
      terminal.onOutput((bytes) => {
        const text = bytes.toString('latin1')
        if (losses === 0 || !/[0-9a-f]{64} {2}-/.test(text)) return bytes
        losses -= 1
        return Buffer.from(text.replace(/([0-9a-f]{64}) {2}-/, '[  1.0] oops'), 'latin1')
      })
      await shell.writeFile(file, 'whole')
      assert.equal(losses, 0)
      assert.equal(readFileSync(file, 'utf8'), 'whole')
    } finally {
      terminal.onOutput((bytes) => bytes)
      clearInterval(noise)
    }
  }).timeout(40_000)

  it('ends a command that takes too long, and goes on', async () => {
    await assert.rejects(shell.run(['sleep', '60'], { timeoutMs: 300 }), {
      code: 'TIMED_OUT',
      message: /sleep 60 did not end within 0.3 s/,
    })
    assert.equal((await shell.run(['echo', 'next'])).stdout, 'next\n')
  })

  it('ends an aborted command, also one that ignores Ctrl-C, and drops one that still waits for its turn', async () => {
    const controller = new AbortController()
    const first = shell.run(['bash', '-c', 'trap "" INT; sleep 60 & wait; sleep 60'], {
      signal: controller.signal,
      timeoutMs: 20_000,
    })
    const second = shell.run(['echo', 'never'], { signal: controller.signal })
    const third = shell.run(['echo', 'third'])
    setTimeout(() => controller.abort(), 300)
    await assert.rejects(second, { code: 'INTERRUPTED' })
    await assert.rejects(first, { code: 'INTERRUPTED' })
    assert.equal((await third).stdout, 'third\n')
  }).timeout(20_000)

  it('runs commands one after the other, however they are called', async () => {
    const results = await Promise.all(['a', 'b', 'c', 'd'].map((word) => shell.run(['echo', word])))
    assert.deepEqual(
      results.map(({ stdout }) => stdout),
      ['a\n', 'b\n', 'c\n', 'd\n'],
    )
  })

  it('writes a file whole, with its mode, and says why it could not', async () => {
    const path = `/tmp/vmr-serial-test-${process.pid}`
    const content = `${'línea ?\t\'"\\$(x)\r\n'.repeat(300)}no end`
    try {
      await shell.writeFile(path, content, { mode: 0o600 })
      assert.equal(readFileSync(path, 'utf8'), content)
      assert.equal(statSync(path).mode & 0o777, 0o600)
      await shell.writeFile(path, '')
      assert.equal(readFileSync(path, 'utf8'), '')
    } finally {
      rmSync(path, { force: true })
    }
    await assert.rejects(shell.writeFile('/no/such/folder/file', 'x'), {
      code: 'HOST_COMMAND_FAILED',
      message: /No such file or directory/,
    })
  })

  it('follows a command in the background while others run', async () => {
    const command = await shell.start([
      'sh',
      '-c',
      'for i in 1 2 3; do echo "line $i"; sleep 0.1; done; echo bad >&2; exit 3',
    ])
    assert.equal((await shell.run(['echo', 'meanwhile'])).stdout, 'meanwhile\n')
    const lines: string[] = []
    for await (const line of command.lines) lines.push(line)
    assert.deepEqual(lines, ['line 1', 'line 2', 'line 3'])
    const { exitCode, stdout, stderr } = await command.ended
    assert.deepEqual({ exitCode, stdout, stderr }, { exitCode: 3, stdout: 'line 1\nline 2\nline 3\n', stderr: 'bad\n' })
  })

  it('stops a command in the background with all its children, politely first', async () => {
    const started = async (trap: string) => {
      const command = await shell.start(['sh', '-c', `trap "${trap}" TERM; echo ready; while true; do sleep 0.1; done`])
      for await (const line of command.lines) if (line === 'ready') break
      return command
    }
    const polite = await started('echo bye; exit 0')
    const [first, again] = await Promise.all([polite.stop(), polite.stop()])
    assert.deepEqual([first.exitCode, first.stdout], [0, 'ready\nbye\n'])
    assert.equal(again, first)
    const stubborn = await started('')
    assert.equal((await stubborn.stop()).exitCode, 137)
  })

  it('stops a command in the background when it is aborted', async () => {
    const controller = new AbortController()
    const command = await shell.start(['sleep', '60'], { signal: controller.signal })
    controller.abort()
    assert.equal((await command.ended).exitCode, 143)
  })

  it('is lost, and says so, when the guest is back at its login prompt', async () => {
    const other = await openShell()
    const left = await folderOf(other.shell)
    const command = await other.shell.start(['sleep', '60'])
    try {
      const waiting = other.shell.run(['sleep', '3'])
      setTimeout(() => other.terminal.says('\r\n[    0.000000] Linux version 6.1.0\r\n\r\nvyos login: '), 300)
      await assert.rejects(waiting, { code: 'GUEST_CONSOLE_LOST', message: /back at its login prompt/ })
      await assert.rejects(other.shell.run(['true']), { code: 'GUEST_CONSOLE_LOST' })
      assert.equal((await command.stop()).exitCode, 255)
    } finally {
      await other.end()
      process.kill(-Number(readFileSync(`${left}/b1.pid`, 'utf8')), 'SIGKILL')
      await removeOnceEnded(left)
    }
  })

  it('notices in the middle of typing a file that the guest is back at its login prompt', async () => {
    const other = await openShell()
    const left = await folderOf(other.shell)
    const writing = other.shell.writeFile('/tmp/never', 'x'.repeat(200_000))
    setTimeout(() => other.terminal.says('\r\n\r\nvyos login: '), 30)
    await assert.rejects(writing, { code: 'GUEST_CONSOLE_LOST', message: /back at its login prompt/ })
    assert.equal(existsSync('/tmp/never'), false)
    await other.end()
    rmSync(left, { recursive: true })
  })

  it('ends every call when the stream ends in the middle of one', async () => {
    const other = await openShell()
    const left = await folderOf(other.shell)
    const command = await other.shell.start(['true'])
    assert.equal((await command.ended).exitCode, 0)
    const waiting = other.shell.run(['sleep', '60'])
    setTimeout(() => void other.terminal.end(), 200)
    await assert.rejects(waiting, { code: 'GUEST_CONSOLE_LOST' })
    await other.end()
    await removeOnceEnded(left)
  })
})

/** The program writes the status of its background command as its last act. */
async function removeOnceEnded(folder: string): Promise<void> {
  while (!existsSync(`${folder}/b1.rc`)) await new Promise((resolve) => setTimeout(resolve, 20))
  rmSync(folder, { recursive: true })
}
