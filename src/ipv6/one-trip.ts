import { VmrError } from '../errors/vmr-error.ts'
import type { RunOptions, RunResult, Shell } from '../shell/shell.ts'

/** Runs groups of words one after the other; behind each a line with its exit status on both outputs. */
const script = `while [ $# -gt 0 ]; do n=$1; "\${@:2:n}"; s=$?; printf '\\n==%d\\n' $s; printf '\\n==%d\\n' $s >&2; shift $((n+1)); done`

/**
 * Runs what the task asks its shell for before it first waits, one command after the other, in one round trip: on a
 * guest's console each costs one. Also when one fails the next ones run. What the task asks for later is run as ever.
 *
 * @throws what the task throws; a shell that cannot run them rejects each.
 */
export async function inOneTrip<T>(
  shell: Shell,
  task: (shell: Shell) => Promise<T>,
  options: Pick<RunOptions, 'timeoutMs' | 'signal'> = {},
): Promise<T> {
  const asked: { argv: readonly string[]; resolve: (result: RunResult) => void; reject: (error: unknown) => void }[] =
    []
  let gathers = true
  const outcome = task({
    ...shell,
    run: (argv, own) =>
      gathers ? new Promise((resolve, reject) => void asked.push({ argv, resolve, reject })) : shell.run(argv, own),
  })
  gathers = false
  try {
    const results = await runInTurn(
      shell,
      asked.map(({ argv }) => argv),
      options,
    )
    for (const [index, { resolve, reject }] of asked.entries()) {
      const result = results[index]
      if (result === undefined)
        reject(new VmrError('HOST_COMMAND_FAILED', `a command gave no answer on ${shell.description}`))
      else resolve(result)
    }
  } catch (error) {
    for (const { reject } of asked) reject(error)
  }
  return outcome
}

async function runInTurn(
  shell: Shell,
  commands: readonly (readonly string[])[],
  options: Pick<RunOptions, 'timeoutMs' | 'signal'>,
): Promise<readonly RunResult[]> {
  if (commands.length === 0) return []
  const words = commands.flatMap((argv) => [String(argv.length), ...argv])
  const { stdout, stderr, durationMs } = await shell.run(['bash', '-c', script, 'bash', ...words], options)
  const said = piecesOf(stderr)
  return piecesOf(stdout).map(({ text, exitCode }, index) => ({
    stdout: text,
    stderr: said[index]?.text ?? '',
    exitCode,
    durationMs,
  }))
}

function piecesOf(text: string): readonly { readonly text: string; readonly exitCode: number }[] {
  const pieces: { text: string; exitCode: number }[] = []
  let start = 0
  for (const mark of text.matchAll(/\n==(\d+)\n/g)) {
    pieces.push({ text: text.slice(start, mark.index), exitCode: Number(mark[1]) })
    start = mark.index + mark[0].length
  }
  return pieces
}
