import { constants } from 'node:os'
import { execa } from 'execa'
import writeFileAtomic from 'write-file-atomic'
import { VmrError } from '../errors/vmr-error.ts'
import { writeError } from '../errors/write-error.ts'
import { abortError, throwIfAborted } from './abort.ts'
import { collectOutput, collectTail, streamLines } from './local/output.ts'
import { endGroup, forgetGroup, rememberGroup, signalGroup } from './local/process-group.ts'
import { findTool, searchPath } from './local/tools.ts'
import type { RunningCommand, RunOptions, RunResult, Shell } from './shell.ts'

const defaultTimeoutMs = 30_000
const defaultMaxOutputBytes = 4 * 1024 * 1024
const shownCommandLength = 300

const description = 'this host'

/**
 * Runs commands on this host. Each gets a session of its own, so that ending it ends its children too, an empty
 * standard input, and an environment of the C locale with nothing of the caller's but PATH and HOME.
 *
 * A command ended by a signal has the exit status a POSIX shell gives it, 128 plus the signal's number.
 *
 * @throws VmrError HOST_TOOL_MISSING, HOST_PERMISSION, TIMED_OUT, INTERRUPTED, and HOST_COMMAND_FAILED when the output
 * exceeds its limit.
 */
export const localShell: Shell = { description, run, start, writeFile }

async function run(argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const { signal, timeoutMs = defaultTimeoutMs, maxOutputBytes = defaultMaxOutputBytes } = options
  const command = shownCommand(argv)
  throwIfAborted(signal, command)
  const child = await spawn(argv, options.stdin)

  let failure: VmrError | undefined
  let ending: Promise<void> | undefined
  const fail = (error: VmrError) => {
    failure ??= error
    ending ??= child.end()
  }
  const onAbort = () => signal !== undefined && fail(abortError(signal, command))
  const tooMuch = () =>
    fail(new VmrError('HOST_COMMAND_FAILED', `${command} wrote more than its limit of ${maxOutputBytes} bytes`))
  const stdout = collectOutput(child.stdout, maxOutputBytes, tooMuch)
  const stderr = collectOutput(child.stderr, maxOutputBytes, tooMuch)
  const timer = setTimeout(
    () => fail(new VmrError('TIMED_OUT', `${command} did not finish within ${timeoutMs / 1000} s`)),
    timeoutMs,
  )
  signal?.addEventListener('abort', onAbort, { once: true })
  if (signal?.aborted) onAbort()
  try {
    const { exitCode, durationMs } = await child.ended
    await ending
    if (failure !== undefined) throw failure
    return { stdout: stdout.text(), stderr: stderr.text(), exitCode, durationMs }
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', onAbort)
  }
}

/** The result of a command that was started holds at most the last 4 MiB of each stream. */
async function start(
  argv: readonly string[],
  options: Pick<RunOptions, 'signal' | 'stdin'> = {},
): Promise<RunningCommand> {
  const { signal } = options
  const command = shownCommand(argv)
  throwIfAborted(signal, command)
  const child = await spawn(argv, options.stdin)
  const stdout = collectTail(child.stdout, defaultMaxOutputBytes)
  const stderr = collectTail(child.stderr, defaultMaxOutputBytes)
  const lines = streamLines(child.stdout, defaultMaxOutputBytes, command)

  let stopping: Promise<void> | undefined
  const onAbort = () => void stop()
  const ended = child.ended.then(({ exitCode, durationMs }) => {
    signal?.removeEventListener('abort', onAbort)
    return { stdout: stdout.text(), stderr: stderr.text(), exitCode, durationMs }
  })
  const stop = async () => {
    stopping ??= child.end()
    await stopping
    return ended
  }
  if (signal?.aborted) onAbort()
  else signal?.addEventListener('abort', onAbort, { once: true })
  return { ended, lines, stop }
}

async function writeFile(
  path: string,
  content: string,
  { mode = 0o644, signal }: { readonly mode?: number; readonly signal?: AbortSignal } = {},
): Promise<void> {
  throwIfAborted(signal, `writing ${path} on ${description}`)
  try {
    await writeFileAtomic(path, content, { mode })
  } catch (error) {
    throw writeError(path, error, { permission: 'Run vmr as root.' })
  }
}

interface Child {
  readonly stdout: NonNullable<ReturnType<typeof execa>['stdout']>
  readonly stderr: NonNullable<ReturnType<typeof execa>['stderr']>
  /** Resolves when the process has ended and its output is complete. Never rejects. */
  readonly ended: Promise<{ readonly exitCode: number; readonly durationMs: number }>
  /** Ends the process and its children, and resolves when they are gone. */
  end(): Promise<void>
}

async function spawn(argv: readonly string[], stdin: string | undefined): Promise<Child> {
  const [name, ...args] = argv
  if (name === undefined || name === '') throw new VmrError('INTERNAL', 'a command needs at least a program name')
  if (argv.some((word) => word.includes('\0')))
    throw new VmrError(
      'USAGE',
      `an argument of ${shownCommand(argv)} holds a NUL character, which no program can be given`,
    )
  const file = await findTool(name)
  const startedAt = performance.now()
  const subprocess = execa(file, args, {
    argv0: name,
    reject: false,
    buffer: false,
    encoding: 'buffer',
    detached: true,
    extendEnv: false,
    env: environment(),
    ...(stdin === undefined ? { stdin: 'ignore' } : { input: stdin }),
  })
  const { pid, stdout, stderr } = subprocess
  if (pid === undefined) {
    const { cause } = await subprocess
    throw new VmrError('HOST_COMMAND_FAILED', `${shownCommand(argv)} could not be started`, { cause })
  }
  rememberGroup(pid)
  const exited = new Promise<void>((resolve) => subprocess.once('exit', () => resolve()))
  const ended = subprocess.then((result) => {
    forgetGroup(pid)
    const signalNumber = result.signal === undefined ? 0 : constants.signals[result.signal]
    return { exitCode: result.exitCode ?? 128 + signalNumber, durationMs: performance.now() - startedAt }
  })
  return {
    stdout,
    stderr,
    ended,
    async end() {
      await endGroup(pid, exited)
      signalGroup(pid, 'SIGKILL')
      // A descendant that left the group may hold the pipes open; nobody waits for what it has to say.
      stdout.destroy()
      stderr.destroy()
    },
  }
}

function environment(): Record<string, string> {
  const home = process.env.HOME
  return { PATH: searchPath(), LC_ALL: 'C', ...(home === undefined ? {} : { HOME: home }) }
}

/** For messages: "ip link show on this host", cut to a readable length. */
function shownCommand(argv: readonly string[]): string {
  const words = argv.join(' ')
  const shown = words.length > shownCommandLength ? `${words.slice(0, shownCommandLength)}…` : words
  return `${shown} on ${description}`
}
