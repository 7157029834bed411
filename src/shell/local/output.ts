import type { Readable } from 'node:stream'
import { VmrError } from '../../errors/vmr-error.ts'

/** Collects a stream whole. `onOverflow` is called once when it exceeds the limit; what comes after is dropped. */
export function collectOutput(stream: Readable, maxBytes: number, onOverflow: () => void): { text(): string } {
  const chunks: Buffer[] = []
  let length = 0
  stream.on('data', (chunk: Buffer) => {
    if (length > maxBytes) return
    length += chunk.length
    if (length > maxBytes) onOverflow()
    else chunks.push(chunk)
  })
  return { text: () => Buffer.concat(chunks).toString('utf8') }
}

/** Collects the last `maxBytes` of a stream that may never end. */
export function collectTail(stream: Readable, maxBytes: number): { text(): string } {
  let chunks: Buffer[] = []
  let length = 0
  stream.on('data', (chunk: Buffer) => {
    chunks.push(chunk)
    length += chunk.length
    // Compacting only at twice the limit keeps the cost of a byte constant.
    if (length < 2 * maxBytes) return
    chunks = [Buffer.concat(chunks).subarray(-maxBytes)]
    length = maxBytes
  })
  return { text: () => Buffer.concat(chunks).subarray(-maxBytes).toString('utf8') }
}

const newline = 0x0a

/**
 * The lines of a stream for one reader, each without its newline. While the reader is behind by more than `maxBytes`
 * the stream is paused. Before there is a reader nothing may stall the writer: then that many bytes are kept, and a
 * reader who comes after more have arrived is refused instead of being given part of the lines.
 */
export function streamLines(stream: Readable, maxBytes: number, description: string): AsyncIterable<string> {
  const lines: string[] = []
  let queuedBytes = 0
  let rest: Buffer[] = []
  let restBytes = 0
  let reading = false
  let lost = false
  let ended = false
  let wake: () => void = () => {}

  const push = (line: Buffer) => {
    lines.push(line.toString('utf8'))
    queuedBytes += line.length
  }
  stream.on('data', (chunk: Buffer) => {
    if (lost) return
    let start = 0
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, start)) {
      push(Buffer.concat([...rest, chunk.subarray(start, end)]))
      rest = []
      restBytes = 0
      start = end + 1
    }
    if (start < chunk.length) {
      rest.push(chunk.subarray(start))
      restBytes += chunk.length - start
    }
    if (restBytes > maxBytes || (!reading && queuedBytes > maxBytes)) {
      lost = true
      lines.length = 0
      rest = []
    } else if (queuedBytes > maxBytes) stream.pause()
    wake()
  })
  stream.once('close', () => {
    ended = true
    if (restBytes > 0 && !lost) push(Buffer.concat(rest))
    wake()
  })

  async function* read(): AsyncGenerator<string> {
    reading = true
    try {
      for (;;) {
        if (lost)
          throw new VmrError('HOST_COMMAND_FAILED', `${description} wrote more than ${maxBytes} bytes that nobody read`)
        const line = lines.shift()
        if (line !== undefined) {
          queuedBytes -= Buffer.byteLength(line)
          if (queuedBytes <= maxBytes / 2) stream.resume()
          yield line
        } else if (ended) return
        else
          await new Promise<void>((resolve) => {
            wake = resolve
          })
      }
    } finally {
      // A reader who has seen enough must not leave the command blocked on a full pipe.
      reading = false
      stream.resume()
    }
  }
  return { [Symbol.asyncIterator]: read }
}
