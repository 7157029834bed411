import { execa } from 'execa'

/** The words of each `set` or `delete` line, as bash reads them. */
export async function wordsOf(lines: readonly string[]): Promise<string[][]> {
  const script = `set() { printf '%s\\0' set "$@"; printf '\\n\\0'; }\ndelete() { printf '%s\\0' delete "$@"; printf '\\n\\0'; }\n${lines.join('\n')}\n`
  const { stdout } = await execa('bash', ['--norc', '-s'], {
    input: script,
    stripFinalNewline: false,
    maxBuffer: 64 * 1024 * 1024,
  })
  return stdout
    .split('\n\0')
    .slice(0, -1)
    .map((line) => line.split('\0').slice(0, -1))
}
