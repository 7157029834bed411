import { VmrError } from '../../errors/vmr-error.ts'
import type { RunningCommand, RunOptions, RunResult, Shell } from '../shell.ts'
import { startBackground } from './background-command.ts'
import { guestRunner } from './guest-runner.ts'
import type { ConsoleSession } from './login.ts'

const defaultTimeoutMs = 30_000
const defaultMaxOutputBytes = 4 * 1024 * 1024
/** A byte takes four thirds of a character, and a guest without KVM takes some 4 kB a second at its prompt. */
const uploadBytesPerMs = 1

export interface SerialShell extends Shell {
  /** Stops what still runs in the background and removes the folder in the guest; the session stays open. Never rejects. */
  close(): Promise<void>
}

/**
 * Runs commands over a logged-in serial console, one at a time in the order of the calls. The guest needs bash,
 * coreutils and setsid. Output goes to files of a private folder below the guest's /tmp first.
 *
 * A command that is aborted or runs out of time gets Ctrl-C, and is killed when it ignores that. When the shell does
 * not answer even then, and when the guest restarts, every later call fails with GUEST_CONSOLE_LOST.
 */
export function serialShell(session: ConsoleSession): SerialShell {
  const runner = guestRunner(session)
  const running = new Set<RunningCommand>()
  let backgroundNumber = 0

  const limits = (options: RunOptions | undefined, uploadBytes: number) => ({
    timeoutMs: (options?.timeoutMs ?? defaultTimeoutMs) + uploadBytes / uploadBytesPerMs,
    maxOutputBytes: options?.maxOutputBytes ?? defaultMaxOutputBytes,
    signal: options?.signal,
  })

  const run = async (argv: readonly string[], options?: RunOptions): Promise<RunResult> => {
    const start = performance.now()
    const stdin = options?.stdin === undefined || options.stdin === '' ? undefined : Buffer.from(options.stdin)
    const outcome = await runner.run(argv, {
      ...limits(options, stdin?.length ?? 0),
      ...(stdin === undefined ? {} : { file: { name: 'stdin', content: stdin }, input: 'stdin' }),
    })
    return {
      stdout: outcome.stdout.toString('utf8'),
      stderr: outcome.stderr.toString('utf8'),
      exitCode: outcome.exitCode ?? 255,
      durationMs: performance.now() - start,
    }
  }

  return {
    description: session.console.description,
    run,
    async start(argv, options = {}) {
      backgroundNumber += 1
      const name = `b${backgroundNumber}`
      const stdin = options.stdin === undefined || options.stdin === '' ? undefined : Buffer.from(options.stdin)
      const words = ['bash', runner.program, 'start', name, stdin === undefined ? '-' : `${name}.in`, ...argv]
      const command = await startBackground(runner, name, options.signal, () =>
        runner.run(words, {
          ...limits({ ...(options.signal === undefined ? {} : { signal: options.signal }) }, stdin?.length ?? 0),
          ...(stdin === undefined ? {} : { file: { name: `${name}.in`, content: stdin } }),
        }),
      )
      running.add(command)
      void command.ended.then(() => running.delete(command))
      return command
    },
    async writeFile(path, content, options = {}) {
      const bytes = Buffer.from(content)
      const mode = (options.mode ?? 0o644).toString(8)
      const outcome = await runner.run(['bash', runner.program, 'replace', path, mode], {
        ...limits({ ...(options.signal === undefined ? {} : { signal: options.signal }) }, bytes.length),
        file: { name: 'upload', content: bytes },
      })
      if (outcome.exitCode !== 0) {
        throw new VmrError(
          'HOST_COMMAND_FAILED',
          `${path} could not be written on the ${session.console.description}: ${outcome.stderr.toString('utf8').trim().slice(0, 500)}`,
        )
      }
    },
    async close() {
      await Promise.all([...running].map((command) => command.stop()))
      try {
        await runner.remove()
      } catch {
        // A guest that is gone has nothing left to remove.
      }
    },
  }
}
