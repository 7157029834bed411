import { Duplex } from 'node:stream'
import { execa } from 'execa'

/** Carries bytes between its standard streams and a TCP connection; an address is no name, so nothing is looked up. */
const program = `
const socket = require('node:net').connect({ host: process.argv[1], port: Number(process.argv[2]), noDelay: true })
socket.on('error', (error) => { process.stderr.write(error.message); process.exit(1) })
process.stdin.pipe(socket).pipe(process.stdout)
socket.on('close', () => process.exit(0))
process.stdout.on('error', () => process.exit(1))`

/**
 * A TCP connection that is made from somewhere else on this host, such as a network namespace. Ending the stream ends the
 * process that carries it.
 *
 * @param through words before a program, so that it runs there: "ip netns exec vmr-pc1".
 */
export function openRelay(through: readonly string[], address: string, port: number): Duplex {
  const [file = process.execPath, ...args] = [...through, process.execPath, '-e', program, address, String(port)]
  const child = execa(file, args, {
    reject: false,
    buffer: false,
    encoding: 'buffer',
    stdin: 'pipe',
    stderr: 'pipe',
    forceKillAfterDelay: 1000,
  })
  let words = ''
  child.stderr.on('data', (chunk: Buffer) => {
    words = `${words}${chunk.toString('utf8')}`.slice(0, 500)
  })
  child.stdin.on('error', () => stream.destroy())
  const stream = new Duplex({
    read: () => {
      child.stdout.resume()
    },
    write: (chunk: Buffer, _encoding, done) => {
      if (child.stdin.write(chunk)) done()
      else child.stdin.once('drain', () => done())
    },
    final: (done) => {
      child.stdin.end(() => done())
    },
    destroy: (error, done) => {
      child.kill()
      done(error)
    },
  })
  child.stdout.on('data', (chunk: Buffer) => {
    if (!stream.push(chunk)) child.stdout.pause()
  })
  void child.then(({ exitCode }) => {
    if (exitCode === 0 || stream.destroyed) stream.push(null)
    else stream.destroy(new Error(words.trim() || `the relay to ${address} ended`))
  })
  return stream
}
