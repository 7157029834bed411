import { once } from 'node:events'
import type { Duplex } from 'node:stream'

/** Ctrl-], as in telnet and `virsh console`: a guest's own programs hardly ever need it. */
const leaveKey = 0x1d

export type ConsoleEnd = 'left' | 'closed'

/**
 * Joins the person's terminal and a console stream until Ctrl-] ('left') or the far end closes ('closed').
 * The terminal is raw in between (Ctrl-C goes to the guest) and is given back as it was, whatever happens.
 */
export async function joinTerminal(
  stream: Duplex,
  { stdin, stdout }: { readonly stdin: NodeJS.ReadStream; readonly stdout: NodeJS.WritableStream },
  signal: AbortSignal,
): Promise<ConsoleEnd> {
  const wasRaw = stdin.isTTY === true && stdin.isRaw
  let leave: (end: ConsoleEnd) => void = () => undefined
  const left = new Promise<ConsoleEnd>((resolve) => {
    leave = resolve
  })
  const onInput = (chunk: Buffer) => {
    const end = chunk.indexOf(leaveKey)
    if (end === -1) return void stream.write(chunk)
    if (end > 0) stream.write(chunk.subarray(0, end))
    leave('left')
  }
  const onOutput = (chunk: Buffer) => void stdout.write(chunk)
  const closed = once(stream, 'close', { signal }).then((): ConsoleEnd => 'closed')
  try {
    if (stdin.isTTY === true) stdin.setRawMode(true)
    stdin.on('data', onInput)
    stream.on('data', onOutput)
    return await Promise.race([left, closed])
  } finally {
    stdin.off('data', onInput)
    stream.off('data', onOutput)
    if (stdin.isTTY === true) stdin.setRawMode(wasRaw)
    stdin.pause()
    closed.catch(() => undefined)
    stream.destroy()
  }
}
