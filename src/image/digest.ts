import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { writeError } from '../errors/write-error.ts'
import { abortError } from '../shell/abort.ts'
import { unreadable } from './disk-image.ts'

const chunkBytes = 1024 * 1024

export interface Digest {
  readonly bytes: number
  /** Hexadecimal. */
  readonly sha256: string
}

export interface DigestOptions {
  readonly signal: AbortSignal
  /** Bytes read so far. */
  readonly onProgress?: (bytes: number) => void
}

/** @throws VmrError IMAGE_NOT_FOUND, IMAGE_INVALID when it cannot be read, INTERRUPTED. */
export function digestOf(file: string, options: DigestOptions): Promise<Digest> {
  return readThrough(file, options, async () => undefined)
}

/**
 * Copies a file and says what was copied, on disk when it returns. The digest is of the very bytes that were written,
 * whatever becomes of the source meanwhile.
 *
 * @throws VmrError as digestOf; HOST_DISK_FULL, HOST_PERMISSION.
 */
export async function copyWithDigest(from: string, to: string, options: DigestOptions): Promise<Digest> {
  let target: FileHandle
  try {
    target = await open(to, 'wx', 0o644)
  } catch (error) {
    throw notWritten(to, error)
  }
  try {
    const digest = await readThrough(from, options, async (chunk) => {
      try {
        await target.writeFile(chunk)
      } catch (error) {
        throw notWritten(to, error)
      }
    })
    await target.sync()
    return digest
  } finally {
    await target.close()
  }
}

async function readThrough(
  file: string,
  { signal, onProgress }: DigestOptions,
  take: (chunk: Uint8Array) => Promise<void>,
): Promise<Digest> {
  const hash = createHash('sha256')
  let bytes = 0
  const stream = createReadStream(file, { highWaterMark: chunkBytes })
  const chunks: AsyncIterator<Uint8Array> = stream[Symbol.asyncIterator]()
  try {
    for (;;) {
      if (signal.aborted) throw abortError(signal, `reading ${file}`)
      const next = await chunks.next().catch((error: unknown) => {
        throw unreadable(file, error)
      })
      if (next.done === true) break
      hash.update(next.value)
      bytes += next.value.length
      await take(next.value)
      onProgress?.(bytes)
    }
  } finally {
    stream.destroy()
  }
  return { bytes, sha256: hash.digest('hex') }
}

function notWritten(file: string, error: unknown): unknown {
  return writeError(file, error, { permission: 'Run vmr as root, or set VMR_STATE_DIR to a directory of yours.' })
}
