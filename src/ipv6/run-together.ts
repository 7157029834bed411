import { type RunOptions, runChecked, type Shell } from '../shell/shell.ts'

/**
 * Runs each group of words, all at once, and prints one line for each: its number, exit status and output. A line is
 * written whole (PIPE_BUF), so that they do not mix; a small guest has no /dev/fd for anything finer.
 */
const batchScript = String.raw`n=0
while [ $# -gt 0 ]; do
  c=$1; shift
  a=("${'$'}{@:1:c}"); shift "$c"
  n=$((n + 1))
  { o=$("${'$'}{a[@]}" 2>&1); s=$?; printf 'command %s %s %s\n' "$n" "$s" "${'$'}{o//$'\n'/$'\t'}"; } &
done
wait`

/**
 * Runs short commands at once on one machine, in one round trip to it: on a guest's console each would cost one.
 *
 * @returns what each said, on both outputs, in the order of the commands; nothing of one that could not be run.
 */
export async function runTogether(
  shell: Shell,
  commands: readonly (readonly string[])[],
  options: Pick<RunOptions, 'timeoutMs' | 'signal'> = {},
): Promise<readonly string[]> {
  if (commands.length === 0) return []
  const words = commands.flatMap((argv) => [String(argv.length), ...argv])
  const text = await runChecked(shell, ['bash', '-c', batchScript, 'bash', ...words], options)
  const lines = new Map(
    [...text.matchAll(/^command (\d+) (\d+) (.*)$/gm)].map(([, number, , output = '']) => [Number(number), output]),
  )
  return commands.map((_, index) => (lines.get(index + 1) ?? '').replaceAll('\t', '\n'))
}
