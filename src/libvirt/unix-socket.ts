import { connect, type Socket } from 'node:net'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { type CallOptions, whenOverdue } from './call-options.ts'
import { ConnectError, type ConnectFailure } from './errors.ts'
import type { SocketEnvironment } from './uri.ts'

/** This process's part in where sockets are. */
export function socketEnvironment(readOnly: boolean): SocketEnvironment {
  const { XDG_RUNTIME_DIR, XDG_CACHE_HOME } = process.env
  return {
    isRoot: process.geteuid?.() === 0,
    userDirectory: XDG_RUNTIME_DIR || XDG_CACHE_HOME || join(homedir(), '.cache'),
    readOnly,
  }
}

const failures: Readonly<Record<string, ConnectFailure>> = {
  ENOENT: 'socket-missing',
  ENOTDIR: 'socket-missing',
  ECONNREFUSED: 'connection-refused',
  ENOTSOCK: 'connection-refused',
  EACCES: 'permission-denied',
  EPERM: 'permission-denied',
  // The listening socket's queue is full: a daemon that has long accepted nothing.
  EAGAIN: 'daemon-silent',
}

const explanations: Readonly<Partial<Record<ConnectFailure, string>>> = {
  'connection-refused': 'no daemon serves it',
  'permission-denied': 'permission denied',
  'daemon-silent': 'the daemon accepts no connections',
}

/**
 * Connects to the first of these sockets that exists.
 *
 * @throws {ConnectError} with the reason, naming the path.
 */
export async function connectSocket(paths: readonly string[], options: CallOptions): Promise<Socket> {
  for (const path of paths) {
    try {
      return await connectPath(path, options)
    } catch (error) {
      const code = systemErrorCode(error)
      if (code === undefined) throw error
      const reason = failures[code] ?? 'connection-failed'
      if (reason === 'socket-missing') continue
      throw new ConnectError(reason, `${path}: ${explanations[reason] ?? code}`, { cause: error })
    }
  }
  throw new ConnectError('socket-missing', `no socket at ${paths.join(' or ')}`)
}

/** A system error's code, as ENOENT; undefined for what is none, as the reason of an abort. */
function systemErrorCode(error: unknown): string | undefined {
  return error instanceof Error && 'syscall' in error && 'code' in error ? String(error.code) : undefined
}

/** net.connect's own signal would go on to destroy the socket long after it is connected. */
function connectPath(path: string, options: CallOptions): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path })
    const timedOut = () => new ConnectError('daemon-silent', `${path}: no connection within ${options.timeoutMs} ms`)
    const stopWaiting = whenOverdue(options, timedOut, (error) => {
      socket.destroy()
      reject(error)
    })
    socket.once('error', (error) => {
      stopWaiting()
      reject(error)
    })
    socket.once('connect', () => {
      stopWaiting()
      socket.removeAllListeners('error')
      resolve(socket)
    })
  })
}
