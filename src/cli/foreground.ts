import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { constants } from 'node:os'
import { VmrError } from '../errors/vmr-error.ts'

/**
 * Hands the terminal to a program until it ends, and returns its exit status, as a shell says it of one that a signal
 * ended. Keys such as Ctrl-C are the program's; what ends vmr ends it too.
 *
 * @throws VmrError HOST_TOOL_MISSING.
 */
export async function runInForeground(
  [program = '', ...rest]: readonly string[],
  { env = {}, signal }: { readonly env?: Readonly<Record<string, string>>; readonly signal: AbortSignal },
): Promise<number> {
  const child = spawn(program, rest, { stdio: 'inherit', env: { ...process.env, ...env } })
  const end = () => child.kill()
  signal.addEventListener('abort', end)
  try {
    const [status, ended] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null]
    return status ?? 128 + (ended === null ? 0 : constants.signals[ended])
  } catch (error) {
    throw new VmrError('HOST_TOOL_MISSING', `${program} could not be started`, {
      hint: `Install it (Debian: see \`apt-file search bin/${program}\`).`,
      cause: error,
    })
  } finally {
    signal.removeEventListener('abort', end)
  }
}
