import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

/** The configuration engine of the lab router, in a Perl process of this machine. */
export interface Engine {
  call(name: string, ...values: readonly unknown[]): Promise<unknown>
  stop(): void
}

export type Path = readonly string[]

export interface SessionResult {
  readonly texts: readonly string[]
  readonly level: string
  readonly paths: readonly Path[]
}

export function startEngine(): Engine {
  const library = fileURLToPath(new URL('../../guest/lab-router/rootfs/usr/lib/lab-router', import.meta.url))
  const perl: ChildProcessWithoutNullStreams = spawn('perl', [
    '-w',
    `-I${library}`,
    fileURLToPath(new URL('engine.pl', import.meta.url)),
  ])
  let complaints = ''
  perl.stderr.on('data', (chunk: Buffer) => {
    complaints += chunk.toString('utf8')
  })
  const lines = createInterface({ input: perl.stdout })[Symbol.asyncIterator]()
  return {
    call: async (name, ...values) => {
      perl.stdin.write(`${JSON.stringify([name, ...values])}\n`)
      const { value: line } = await lines.next()
      if (typeof line !== 'string' || complaints !== '') throw new Error(`the engine complains: ${complaints}`)
      const answer: { readonly value?: unknown; readonly error?: string } = JSON.parse(line)
      if (answer.error !== undefined) throw new Error(answer.error)
      return answer.value
    },
    stop: () => {
      perl.stdin.end()
    },
  }
}
