import { randomBytes } from 'node:crypto'
import type { SFTPWrapper } from 'ssh2'
import { isVmrError, VmrError } from '../../errors/vmr-error.ts'
import { abortError, throwIfAborted } from '../abort.ts'
import type { SshConnection } from './connect.ts'

/** What a server takes in one request for certain (draft-ietf-secsh-filexfer-02, section 3). */
const pieceBytes = 32 * 1024
/** Requests that are under way at once: a guest that answers in 10 ms takes 50 MB/s. */
const atOnce = 16
/** A server that answers nothing for this long is gone. */
const stallMs = 30_000

interface WriteOptions {
  /** As in chmod(2), default 0o644. */
  readonly mode?: number
  readonly signal?: AbortSignal
}

/**
 * Writes a whole file by SFTP, replacing what is there in one step.
 *
 * @returns false, with nothing done, where the server has no SFTP or cannot replace a file in one step.
 * @throws VmrError HOST_COMMAND_FAILED with the server's words, GUEST_SSH_LOST, TIMED_OUT, INTERRUPTED.
 */
export async function writeBySftp(
  connection: SshConnection,
  path: string,
  content: string,
  { mode = 0o644, signal }: WriteOptions = {},
): Promise<boolean> {
  const { client, description, lost } = connection
  const doing = `writing ${path} by the ${description}`
  throwIfAborted(signal, doing)
  const sftp = await new Promise<SFTPWrapper | undefined>((resolve, reject) => {
    const gone = lost()
    if (gone !== undefined) return reject(gone)
    const onClose = () => reject(lost() ?? unwritten(path, description, 'the connection was closed'))
    client.once('close', onClose)
    client.sftp((error, opened) => {
      client.removeListener('close', onClose)
      resolve(error === undefined ? opened : undefined)
    })
  })
  if (sftp === undefined) return false
  let end: ((reason: unknown) => void) | undefined
  const ended = new Promise<never>((_resolve, reject) => {
    end = reject
  })
  ended.catch(() => undefined)
  const onAbort = () => signal !== undefined && end?.(abortError(signal, doing))
  const onClose = () => end?.(lost() ?? unwritten(path, description, 'the server ended SFTP'))
  signal?.addEventListener('abort', onAbort, { once: true })
  // While the server was opening it.
  if (signal?.aborted) onAbort()
  sftp.once('close', onClose)
  sftp.on('error', () => undefined)
  const stalled = setTimeout(
    () => end?.(new VmrError('TIMED_OUT', `${doing}: no answer for ${stallMs / 1000} s`)),
    stallMs,
  )
  /** One request; its answer shows that the server lives. */
  const ask = <T = void>(send: (done: (error?: Error | null, value?: T) => void) => void): Promise<T> =>
    Promise.race([
      ended,
      new Promise<T>((resolve, reject) =>
        send((error, value) => {
          stalled.refresh()
          if (error) reject(unwritten(path, description, error.message))
          else resolve(value as T)
        }),
      ),
    ])
  const made = `${path}.${randomBytes(6).toString('hex')}`
  const bytes = Buffer.from(content, 'utf8')
  let inPlace = false
  try {
    const handle = await ask<Buffer>((done) => sftp.open(made, 'wx', { mode: 0o600 }, done))
    const starts = Array(Math.ceil(bytes.length / pieceBytes)).keys()
    const write = async () => {
      for (const piece of starts) {
        const start = piece * pieceBytes
        const length = Math.min(pieceBytes, bytes.length - start)
        await ask((done) => sftp.write(handle, bytes, start, length, start, done))
      }
    }
    await Promise.all(Array.from({ length: atOnce }, write))
    await ask((done) => sftp.fchmod(handle, mode, done))
    await ask((done) => sftp.close(handle, done))
    try {
      await ask((done) => sftp.ext_openssh_rename(made, path, done))
    } catch (error) {
      // ssh2 itself throws for a server that does not know the request.
      if (isVmrError(error)) throw error
      return false
    }
    inPlace = true
    return true
  } finally {
    // Requests that another one's failure has left behind.
    end?.(new Error('it is over'))
    // Whatever is left of it, also by a request that nobody waits for any more; a server that is gone is not asked.
    if (!inPlace && lost() === undefined) sftp.unlink(made, () => sftp.end())
    else sftp.end()
    clearTimeout(stalled)
    signal?.removeEventListener('abort', onAbort)
    sftp.removeListener('close', onClose)
  }
}

function unwritten(path: string, description: string, words: string): VmrError {
  return new VmrError('HOST_COMMAND_FAILED', `${path} could not be written by the ${description}: ${words}`)
}
