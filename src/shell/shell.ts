import { VmrError } from '../errors/vmr-error.ts'

/** What one finished command left behind. Output is decoded as UTF-8; see {@link RunOptions.maxOutputBytes}. */
export interface RunResult {
  readonly stdout: string
  readonly stderr: string
  readonly exitCode: number
  readonly durationMs: number
}

export interface RunOptions {
  /** Given to the command as its whole standard input; without it the input is empty. */
  readonly stdin?: string
  /** The command is ended, and the call fails with TIMED_OUT, after this long. Default 30 000 ms. */
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
  /** Output beyond this many bytes a stream fails the call: nothing outside is trusted to be short. Default 4 MiB. */
  readonly maxOutputBytes?: number
}

/** A command that keeps running (a server, a capture) until stopped. */
export interface RunningCommand {
  /** Resolves when the command has ended, by itself or through {@link stop}. Never rejects. */
  readonly ended: Promise<RunResult>
  /** Lines of standard output as they arrive, each without its newline. */
  readonly lines: AsyncIterable<string>
  /** Ends the command (TERM, then KILL after a grace period) and resolves once it is gone. Safe to call twice. */
  stop(): Promise<RunResult>
}

/** How a machine is reached. It runs argv (never a string for a shell to split) and knows nothing of networks. */
export interface Shell {
  /** For messages: "this host", "network namespace vmr-pc1", "serial console of r1". */
  readonly description: string
  /** Resolves also when the command fails: the exit code is data. Rejects when it could not run, timed out or was aborted. */
  run(argv: readonly string[], options?: RunOptions): Promise<RunResult>
  start(argv: readonly string[], options?: Pick<RunOptions, 'signal' | 'stdin'>): Promise<RunningCommand>
  /** Writes a whole file, replacing it. `mode` as in chmod(2), default 0o644. */
  writeFile(
    path: string,
    content: string,
    options?: { readonly mode?: number; readonly signal?: AbortSignal },
  ): Promise<void>
}

/** Runs argv and returns its standard output; a non-zero exit becomes HOST_COMMAND_FAILED with the command's own words. */
export async function runChecked(shell: Shell, argv: readonly string[], options?: RunOptions): Promise<string> {
  const result = await shell.run(argv, options)
  if (result.exitCode === 0) return result.stdout
  const words = (result.stderr.trim() || result.stdout.trim()).slice(0, 2000)
  throw new VmrError(
    'HOST_COMMAND_FAILED',
    `${argv.join(' ')} failed on ${shell.description} with exit status ${result.exitCode}${words === '' ? '' : `: ${words}`}`,
  )
}
