import { randomBytes } from 'node:crypto'
import { constants } from 'node:os'
import { Transform } from 'node:stream'
import { finished } from 'node:stream/promises'
import type { ClientChannel } from 'ssh2'
import { VmrError } from '../../errors/vmr-error.ts'
import { abortError, throwIfAborted } from '../abort.ts'
import { collectOutput, collectTail, streamLines } from '../local/output.ts'
import { quoteForScript } from '../serial/quote.ts'
import type { RunningCommand, RunOptions, RunResult, Shell } from '../shell.ts'
import type { SshConnection } from './connect.ts'
import { writeBySftp } from './sftp.ts'

export interface SshShell extends Shell {
  /** Stops what still runs in the background; the connection stays open. Never rejects. */
  close(): Promise<void>
}

const defaultTimeoutMs = 30_000
const defaultMaxOutputBytes = 4 * 1024 * 1024
/** Dropbear refuses more in a command (MAX_CMD_LEN in its sysoptions.h is 9000); longer ones go through standard input, read by
 * the byte so that what follows is left for the command. */
const maxLineBytes = 8000
/** What a login shell may say before the command starts; VyOS's prints an empty line. */
const maxGreetingBytes = 64 * 1024
const graceMs = 2000
/** A shorter file is written by one command, in fewer round trips. */
const sftpFromLength = 256 * 1024

/**
 * Runs commands over an SSH connection, any number at once. The host needs a POSIX sh, /proc, setsid and coreutils.
 *
 * A command has a process group of its own, so that ending it ends its children too. A command ended by a signal has
 * the exit status a POSIX shell gives it, 128 plus the signal's number.
 *
 * @throws VmrError TIMED_OUT, INTERRUPTED, GUEST_SSH_LOST, and HOST_COMMAND_FAILED when it could not be started or the
 * output exceeds its limit.
 */
export function sshShell(connection: SshConnection): SshShell {
  const { description } = connection
  const running = new Set<RunningCommand>()

  const run = async (argv: readonly string[], options: RunOptions = {}): Promise<RunResult> => {
    const { signal, timeoutMs = defaultTimeoutMs, maxOutputBytes = defaultMaxOutputBytes } = options
    const command = `${argv.join(' ').slice(0, 300)} on ${description}`
    throwIfAborted(signal, command)
    const remote = await execute(connection, argv, options.stdin)
    let failure: VmrError | undefined
    let ending: Promise<void> | undefined
    const fail = (error: VmrError) => {
      failure ??= error
      ending ??= remote.end()
    }
    const onAbort = () => signal !== undefined && fail(abortError(signal, command))
    const tooMuch = () =>
      fail(new VmrError('HOST_COMMAND_FAILED', `${command} wrote more than its limit of ${maxOutputBytes} bytes`))
    const stdout = collectOutput(remote.stdout, maxOutputBytes, tooMuch)
    const stderr = collectOutput(remote.stderr, maxOutputBytes, tooMuch)
    const timer = setTimeout(
      () => fail(new VmrError('TIMED_OUT', `${command} did not finish within ${timeoutMs / 1000} s`)),
      timeoutMs,
    )
    signal?.addEventListener('abort', onAbort, { once: true })
    if (signal?.aborted) onAbort()
    try {
      const { exitCode, durationMs } = await remote.ended
      await ending
      if (failure !== undefined) throw failure
      if (exitCode === undefined) throw notRun(connection, command, remote.greeting())
      return { stdout: stdout.text(), stderr: stderr.text(), exitCode, durationMs }
    } finally {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
    }
  }

  return {
    description,
    run,
    async start(argv, options = {}) {
      const { signal } = options
      const command = `${argv.join(' ').slice(0, 300)} on ${description}`
      throwIfAborted(signal, command)
      const remote = await execute(connection, argv, options.stdin)
      const stdout = collectTail(remote.stdout, defaultMaxOutputBytes)
      const stderr = collectTail(remote.stderr, defaultMaxOutputBytes)
      const lines = streamLines(remote.stdout, defaultMaxOutputBytes, command)
      let stopping: Promise<void> | undefined
      const onAbort = () => void stop()
      const ended = remote.ended.then(({ exitCode = 255, durationMs }) => {
        signal?.removeEventListener('abort', onAbort)
        running.delete(started)
        return { stdout: stdout.text(), stderr: stderr.text(), exitCode, durationMs }
      })
      const stop = async () => {
        stopping ??= remote.end()
        await stopping
        return ended
      }
      const started: RunningCommand = { ended, lines, stop }
      running.add(started)
      if (signal?.aborted) onAbort()
      else signal?.addEventListener('abort', onAbort, { once: true })
      return started
    },
    async writeFile(path, content, options = {}) {
      if (content.length >= sftpFromLength && (await writeBySftp(connection, path, content, options))) return
      // A connection that is lost ends the input too: what came is not taken for the whole.
      const script =
        'trap "exit 1" TERM; trap \'rm -f "$1.$3"\' EXIT; umask 077; cat >"$1.$3" && [ "$(wc -c <"$1.$3")" -eq "$4" ] && chmod "$2" "$1.$3" && mv -f "$1.$3" "$1" || exit 1'
      const mode = (options.mode ?? 0o644).toString(8)
      const word = randomBytes(6).toString('hex')
      const { exitCode, stderr } = await run(
        ['sh', '-c', script, 'sh', path, mode, word, String(Buffer.byteLength(content))],
        {
          stdin: content,
          timeoutMs: defaultTimeoutMs + content.length / 100,
          ...(options.signal === undefined ? {} : { signal: options.signal }),
        },
      )
      if (exitCode !== 0)
        throw new VmrError(
          'HOST_COMMAND_FAILED',
          `${path} could not be written by the ${description}: ${stderr.trim().slice(0, 500)}`,
        )
    },
    async close() {
      await Promise.all([...running].map((command) => command.stop()))
    },
  }
}

interface RemoteCommand {
  readonly stdout: Transform
  readonly stderr: Transform
  /** Resolves when the command has ended and its output is complete; without a status when that got lost. Never rejects. */
  readonly ended: Promise<{ readonly exitCode: number | undefined; readonly durationMs: number }>
  /** What came instead of the command's own output. */
  greeting(): string
  /** Ends the command and its children, and resolves when they are gone. Never rejects. */
  end(): Promise<void>
}

async function execute(
  connection: SshConnection,
  argv: readonly string[],
  stdin: string | undefined,
): Promise<RemoteCommand> {
  if (argv[0] === undefined || argv[0] === '') throw new VmrError('INTERNAL', 'a command needs at least a program name')
  const word = `vmr-${randomBytes(9).toString('hex')}`
  const { line, input } = commandLine(argv, word)
  const startedAt = performance.now()
  const stdout = afterGreeting(word)
  const stderr = afterGreeting(word)
  let exitCode: number | undefined
  const { channel, closed } = await openChannel(connection, line, (opened) => {
    opened.pipe(stdout.stream)
    opened.stderr.pipe(stderr.stream)
    opened.on('exit', (code: number | null, signalName?: string) => {
      const known = constants.signals[`SIG${signalName?.replace(/^SIG/, '')}` as NodeJS.Signals] ?? 0
      exitCode = code ?? 128 + known
    })
  })
  // The status may come before the last of the output: all is there when the channel is closed.
  const ended = Promise.allSettled([closed, finished(stdout.stream), finished(stderr.stream)]).then(() => ({
    exitCode,
    durationMs: performance.now() - startedAt,
  }))
  channel.end(`${input}${stdin ?? ''}`)
  return {
    stdout: stdout.stream,
    stderr: stderr.stream,
    ended,
    greeting: () => `${stdout.text()}\n${stderr.text()}`.trim().slice(0, 500),
    async end() {
      const pid = await Promise.race([stderr.reached, ended.then(() => undefined), after(graceMs)])
      if (pid !== undefined) await signalGroup(connection, pid, 'TERM')
      await Promise.race([ended, after(graceMs)])
      // Children that outlived the command are killed too; they may hold its output open.
      if (pid !== undefined) await signalGroup(connection, pid, 'KILL')
      await Promise.race([ended, after(graceMs)])
      channel.destroy()
      stdout.stream.end()
      stderr.stream.end()
    },
  }
}

/**
 * What the login shell runs. Each stream first says a word that nothing else can say, standard error with the process's
 * number. A host that runs each command in a group of its own (OpenSSH) is left to it; else setsid makes one.
 */
function commandLine(argv: readonly string[], word: string): { readonly line: string; readonly input: string } {
  const words = argv.map(quoteForScript).join(' ')
  const start = (first: string) =>
    `${first}printf "\\n%s\\n" ${word}; printf "\\n%s %s\\n" ${word} $$ >&2; read -r a b c d g e </proc/$$/stat; [ "$g" = $$ ] || set -- setsid "$@"; exec "$@"`
  const line = `exec sh -c '${start('')}' sh ${words}`
  const length = Buffer.byteLength(words)
  if (Buffer.byteLength(line) <= maxLineBytes) return { line, input: '' }
  return { line: `exec sh -c '${start(`eval "set -- $(dd bs=1 count=${length} 2>/dev/null)"; `)}' sh`, input: words }
}

/** @param listen called at once: a short command's end can come together with the answer that it was started. */
function openChannel(
  { client, lost, description }: SshConnection,
  line: string,
  listen: (channel: ClientChannel) => void,
): Promise<{ readonly channel: ClientChannel; readonly closed: Promise<void> }> {
  return new Promise((resolve, reject) => {
    const gone = lost()
    if (gone !== undefined) return reject(gone)
    const fail = (cause: unknown) =>
      reject(lost() ?? new VmrError('HOST_COMMAND_FAILED', `the ${description} starts no command`, { cause }))
    const onClose = () => fail(undefined)
    client.once('close', onClose)
    try {
      client.exec(line, (error, channel) => {
        client.removeListener('close', onClose)
        if (error !== undefined) return fail(error)
        channel.on('error', () => undefined)
        const closed = new Promise<void>((done) => channel.once('close', () => done()))
        listen(channel)
        resolve({ channel, closed })
      })
    } catch (error) {
      client.removeListener('close', onClose)
      fail(error)
    }
  })
}

/** Drops what comes before the word, and tells the rest of that line. */
function afterGreeting(word: string): {
  readonly stream: Transform
  readonly reached: Promise<string>
  text(): string
} {
  let before: Buffer | undefined = Buffer.alloc(0)
  let tell: (rest: string) => void = () => undefined
  const reached = new Promise<string>((resolve) => {
    tell = resolve
  })
  const stream = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      if (before === undefined) return done(null, chunk)
      before = Buffer.concat([before, chunk])
      const at = before.indexOf(`\n${word}`)
      const end = at < 0 ? -1 : before.indexOf('\n', at + 1)
      if (end >= 0) {
        tell(
          before
            .subarray(at + 1 + word.length, end)
            .toString('latin1')
            .trim(),
        )
        const rest = before.subarray(end + 1)
        before = undefined
        return rest.length === 0 ? done() : done(null, rest)
      }
      if (before.length > maxGreetingBytes) before = before.subarray(-word.length - 32)
      done()
    },
  })
  return { stream, reached, text: () => before?.toString('utf8') ?? '' }
}

async function signalGroup(connection: SshConnection, pid: string, name: 'TERM' | 'KILL'): Promise<void> {
  if (!/^\d{1,10}$/.test(pid) || connection.lost() !== undefined) return
  // A command that became root is ended by root.
  const line = `kill -${name} -- -${pid} 2>/dev/null || sudo -n kill -${name} -- -${pid} 2>/dev/null`
  try {
    const { closed } = await openChannel(connection, line, (channel) => {
      channel.resume()
      channel.stderr.resume()
    })
    await Promise.race([closed, after(graceMs)])
  } catch {
    // The connection is lost, and whoever waits for the command hears of it.
  }
}

function notRun(connection: SshConnection, command: string, words: string): VmrError {
  return (
    connection.lost() ??
    new VmrError('HOST_COMMAND_FAILED', `${command} did not tell its exit status${words === '' ? '' : `: ${words}`}`)
  )
}

function after(milliseconds: number): Promise<undefined> {
  return new Promise((resolve) => {
    setTimeout(() => resolve(undefined), milliseconds).unref()
  })
}
