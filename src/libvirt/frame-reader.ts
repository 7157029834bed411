import { headerSize, messageLimit } from './protocol/message.ts'

/** Bytes that are no libvirt message: the stream cannot be followed any further. */
export class FrameError extends Error {
  override readonly name = 'FrameError'
}

/** The first allocation for a message that arrives in parts; it doubles as bytes come, so a false length costs nothing. */
const firstAllocation = 65_536

/**
 * Cuts a byte stream, however it is chunked, into messages. A message that lies whole in a chunk is passed without
 * being copied, and shares the chunk's memory.
 *
 * @returns a function that takes the next chunk.
 * @throws {FrameError} from that function, on a length below the header's or above 32 MiB.
 */
export function frameReader(onFrame: (frame: Buffer) => void): (chunk: Buffer) => void {
  let partial = Buffer.alloc(0)
  let received = 0

  const append = (bytes: Buffer, upTo: number): number => {
    const taken = Math.min(bytes.length, upTo - received)
    if (received + taken > partial.length) {
      const size = Math.min(upTo, Math.max(received + taken, partial.length * 2, firstAllocation))
      const grown = Buffer.allocUnsafe(size)
      partial.copy(grown, 0, 0, received)
      partial = grown
    }
    bytes.copy(partial, received, 0, taken)
    received += taken
    return taken
  }

  return (chunk) => {
    let rest = chunk
    while (rest.length > 0) {
      if (received === 0 && rest.length >= 4) {
        const length = checkedLength(rest.readUInt32BE(0))
        if (rest.length >= length) {
          const frame = rest.subarray(0, length)
          rest = rest.subarray(length)
          onFrame(frame)
          continue
        }
      }
      if (received < 4) {
        rest = rest.subarray(append(rest, 4))
        if (received < 4) return
      }
      const length = checkedLength(partial.readUInt32BE(0))
      rest = rest.subarray(append(rest, length))
      if (received < length) return
      const frame = partial.subarray(0, length)
      partial = Buffer.alloc(0)
      received = 0
      onFrame(frame)
    }
  }
}

function checkedLength(length: number): number {
  if (length < headerSize || length > messageLimit) {
    throw new FrameError(`a message of ${length} bytes, allowed are ${headerSize} to ${messageLimit}`)
  }
  return length
}
