import { Duplex } from 'node:stream'
import { execa } from 'execa'

/** A real interactive bash on a terminal of its own (util-linux script), with VyOS's prompt. */
export interface BashTerminal {
  readonly stream: Duplex
  /** Bytes that this returns take the place of what the terminal sent. */
  onOutput(change: (bytes: Buffer) => Buffer): void
  says(text: string): void
  end(): Promise<void>
}

export function bashTerminal(): BashTerminal {
  const child = execa('script', ['-qfec', 'bash --norc --noprofile -i', '/dev/null'], {
    env: { PROMPT_COMMAND: "PS1='vyos@vyos:\\w$ '", TERM: 'vt220', HISTFILE: '', HOME: '/tmp' },
    cwd: '/tmp',
    buffer: false,
    reject: false,
    encoding: 'buffer',
  })
  let change = (bytes: Buffer): Buffer => bytes
  const stream = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      child.stdin.write(chunk, () => done())
    },
  })
  child.stdin.on('error', () => {})
  child.stdout.on('data', (chunk: Buffer) => stream.push(change(chunk)))
  child.stdout.on('end', () => stream.push(null))
  return {
    stream,
    onOutput: (next) => {
      change = next
    },
    says: (text) => stream.push(Buffer.from(text)),
    async end() {
      child.kill('SIGKILL')
      await child
      stream.destroy()
    },
  }
}
