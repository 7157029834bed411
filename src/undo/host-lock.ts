import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { VmrError } from '../errors/vmr-error.ts'
import { hasErrno } from '../errors/write-error.ts'
import { throwIfAborted } from '../shell/abort.ts'

export interface HostLockOptions {
  /** What is locked, as "lab vmr-up1": one holder on this host at a time. */
  readonly name: string
  /** How long to wait for the holder, in ms. Default 60 000. */
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
}

const retryMs = 50

/**
 * Runs the task while no other process on this host runs one under the same name.
 *
 * The lock is the name of a Unix socket in the abstract namespace (unix(7)): the kernel gives it to one process, and
 * takes it back when that process ends, however it ends.
 *
 * @throws VmrError HOST_BUSY when the time is over, INTERRUPTED.
 */
export async function withHostLock<T>(options: HostLockOptions, task: () => Promise<T>): Promise<T> {
  const release = await acquire(options)
  try {
    return await task()
  } finally {
    await release()
  }
}

async function acquire({ name, timeoutMs = 60_000, signal }: HostLockOptions): Promise<() => Promise<void>> {
  const path = `\0vmr/${process.getuid?.() ?? 0}/${name}`
  for (const deadline = performance.now() + timeoutMs; ; ) {
    throwIfAborted(signal, `waiting for ${name}`)
    const waiting = new Set<Socket>()
    const server = createServer((socket) => {
      waiting.add(socket)
      socket.on('error', () => undefined)
      socket.once('close', () => waiting.delete(socket))
    })
    server.listen(path)
    try {
      await once(server, 'listening')
      return async () => {
        server.close()
        for (const socket of waiting) socket.destroy()
        await once(server, 'close')
      }
    } catch (error) {
      if (!hasErrno(error, 'EADDRINUSE')) throw error
    }
    const left = deadline - performance.now()
    if (left <= 0)
      throw new VmrError('HOST_BUSY', `another vmr is working on ${name}`, { hint: 'Wait for it to end, or end it.' })
    await holderGone(path, left, signal)
  }
}

/** A connection to the holder ends when the holder does. */
async function holderGone(path: string, timeoutMs: number, signal: AbortSignal | undefined): Promise<void> {
  const socket = connect(path)
  const timer = setTimeout(() => socket.destroy(), timeoutMs)
  const onAbort = () => socket.destroy()
  signal?.addEventListener('abort', onAbort, { once: true })
  if (signal?.aborted) onAbort()
  try {
    await new Promise<void>((resolve) => {
      socket.on('error', () => undefined)
      socket.once('close', () => resolve())
    })
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', onAbort)
  }
  // A holder that is just closing refuses connections for a moment.
  await delay(retryMs)
}
