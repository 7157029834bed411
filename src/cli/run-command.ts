import { exitStatus } from '../errors/codes.ts'
import { isVmrError } from '../errors/vmr-error.ts'
import type { CommandContext, CommandStatus } from './context.ts'
import { listenForInterrupt } from './interrupt.ts'
import { createTerminal, type Terminal } from './terminal.ts'

interface OutputOptions {
  readonly json?: boolean | undefined
  readonly debug?: boolean | undefined
}

/**
 * Runs one command to its exit status: the only place where errors become text and where the process's exit code is
 * set. The process is left to end by itself, so that whatever the command forgot to close shows as a hang in the tests.
 */
export async function runCommand(
  output: OutputOptions,
  command: (context: CommandContext) => Promise<CommandStatus>,
): Promise<void> {
  const terminal = createTerminal({ stdout: process.stdout, stderr: process.stderr, env: process.env })
  endQuietlyWhenReaderIsGone()
  const interrupt = listenForInterrupt(terminal)
  try {
    process.exitCode = (await command({ terminal, signal: interrupt.signal })) ?? exitStatus.ok
  } catch (error) {
    reportError(terminal, error, output)
    process.exitCode = interrupt.status() ?? (isVmrError(error) ? error.exitStatus : exitStatus.internal)
  } finally {
    interrupt.dispose()
  }
}

/** `vmr vm list | head -1`: the reader has seen enough, which is no error of ours. */
function endQuietlyWhenReaderIsGone(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
    process.exitCode ??= exitStatus.ok
  })
}

function reportError(terminal: Terminal, error: unknown, output: OutputOptions): void {
  if (!isVmrError(error)) {
    const detail = error instanceof Error ? (error.stack ?? error.message) : String(error)
    if (output.json) terminal.json<'error'>({ error: { code: 'INTERNAL', message: String(error) } })
    terminal.notice(`vmr: internal error: ${detail}`)
    terminal.notice('  This is a defect in vmr; please report it with the command that you ran.')
    return
  }
  const { code, message, hint } = error
  if (output.json) terminal.json<'error'>({ error: { code, message, ...(hint === undefined ? {} : { hint }) } })
  terminal.notice(`vmr: ${message}`)
  if (hint !== undefined) terminal.notice(`  ${hint}`)
  if (output.debug) terminal.notice(error.stack ?? '')
  if (output.debug && error.cause !== undefined) terminal.notice(`caused by: ${inspectCause(error.cause)}`)
}

function inspectCause(cause: unknown): string {
  return cause instanceof Error ? (cause.stack ?? cause.message) : String(cause)
}
