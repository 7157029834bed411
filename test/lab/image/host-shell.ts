import { execa } from 'execa'
import type { Shell } from '../../../src/shell/shell.ts'

/** This host, for what building an image needs of it. */
export const hostShell: Shell = {
  description: 'this host',
  run: async (argv, options = {}) => {
    const [command, ...rest] = argv
    const result = await execa(command ?? '', rest, {
      reject: false,
      timeout: options.timeoutMs ?? 30_000,
      maxBuffer: options.maxOutputBytes ?? 4 * 1024 * 1024,
      ...(options.signal === undefined ? {} : { cancelSignal: options.signal }),
    })
    options.signal?.throwIfAborted()
    return {
      stdout: result.stdout,
      stderr: result.stderr,
      exitCode: result.exitCode ?? 127,
      durationMs: result.durationMs,
    }
  },
  start: () => Promise.reject(new Error('building an image starts nothing')),
  writeFile: () => Promise.reject(new Error('building an image writes no file through the shell')),
}
