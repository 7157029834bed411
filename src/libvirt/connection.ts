import type { Duplex } from 'node:stream'
import { deviceCalls } from './calls/devices.ts'
import { domainFactCalls } from './calls/domain-facts.ts'
import { domainCalls } from './calls/domains.ts'
import { guestCalls } from './calls/guest.ts'
import { hostCalls } from './calls/host.ts'
import { networkCalls } from './calls/networks.ts'
import { nodeDeviceCalls } from './calls/node-devices.ts'
import { snapshotCalls } from './calls/snapshots.ts'
import { statisticsCalls } from './calls/statistics.ts'
import { storageCalls } from './calls/storage.ts'
import type { ConnectionLostError } from './errors.ts'
import { eventCalls } from './events.ts'
import type { KeepAliveOptions } from './keep-alive.ts'
import { openDriver } from './open-driver.ts'
import { rpc } from './rpc.ts'
import { connectSocket, socketEnvironment } from './unix-socket.ts'
import { parseUri } from './uri.ts'

export interface ConnectOptions {
  /** Aborting it gives up connecting; it has no effect afterwards. */
  readonly signal?: AbortSignal
  /** Milliseconds that the daemon may take for each step of connecting; 10 s by default. polkit has at least 60 s. */
  readonly connectTimeoutMs?: number
  /** Milliseconds that a call may take if it does not say otherwise; 120 s by default. */
  readonly callTimeoutMs?: number
  /** When a daemon counts as dead; by default after 3 pings 5 s apart, so within 20 s. `false`: never. */
  readonly keepAlive?: KeepAliveOptions | false
  /** Only look: libvirt refuses every change. */
  readonly readOnly?: boolean
  /**
   * Calls that are with the daemon at a time; further ones wait here. libvirtd works on 5 requests of one client
   * (max_client_requests in libvirtd.conf), of which one place must stay free, or it reads no keep-alive. Default 4.
   */
  readonly maxCallsInFlight?: number
  /** Bytes that may wait for a stream's slow reader while other calls are under way; 64 MiB by default. */
  readonly streamBacklogLimit?: number
}

type Calls = ReturnType<typeof hostCalls> &
  ReturnType<typeof domainCalls> &
  ReturnType<typeof domainFactCalls> &
  ReturnType<typeof deviceCalls> &
  ReturnType<typeof statisticsCalls> &
  ReturnType<typeof snapshotCalls> &
  ReturnType<typeof networkCalls> &
  ReturnType<typeof storageCalls> &
  ReturnType<typeof nodeDeviceCalls> &
  ReturnType<typeof guestCalls> &
  ReturnType<typeof eventCalls>

/**
 * An open connection to libvirt. Every call takes `signal` and `timeoutMs` among its last options, and rejects with
 * `LibvirtError`, with `ConnectionLostError` once the connection has ended, or with the signal's reason.
 */
export interface Connection extends Calls {
  /** The URI that was asked for. */
  readonly uri: string
  /** Whether calls are possible still. */
  readonly isOpen: () => boolean
  /** Fulfilled when the connection has ended, with why; never rejected. */
  readonly ended: Promise<ConnectionLostError>
  /**
   * Ends the connection: pending calls reject, streams are destroyed, loops over events end. Safe at any time, any
   * number of times; nothing of it keeps the process alive afterwards.
   */
  readonly close: () => Promise<void>
}

const defaults = {
  connectTimeoutMs: 10_000,
  callTimeoutMs: 120_000,
  keepAlive: { intervalMs: 5000, count: 3 },
  maxCallsInFlight: 4,
  streamBacklogLimit: 64 * 1024 * 1024,
} as const

/**
 * Connects to a daemon of this host.
 *
 * ```ts
 * const connection = await connect('qemu:///system')
 * try {
 *   for (const domain of await connection.listAllDomains()) {
 *     console.log(domain.name, (await connection.domainState(domain)).state)
 *   }
 * } finally {
 *   await connection.close()
 * }
 * ```
 *
 * @param uri `qemu:///system`, `qemu:///session` or `test:///default`; see parseUri for its parameters.
 * @throws {ConnectError} with a `reason`; or the signal's reason.
 */
export async function connect(uri: string, options: ConnectOptions = {}): Promise<Connection> {
  const target = parseUri(uri, socketEnvironment(options.readOnly ?? false))
  options.signal?.throwIfAborted()
  const connectTimeoutMs = options.connectTimeoutMs ?? defaults.connectTimeoutMs
  const socket = await connectSocket(target.sockets, { signal: options.signal, timeoutMs: connectTimeoutMs })
  return open(socket, uri, target.driverUri, options)
}

/**
 * Connects over any byte stream that leads to a daemon's socket, as one forwarded by SSH.
 *
 * @param duplex taken over: it is destroyed when the connection ends, and when connecting fails.
 * @param uri as for `connect`; its parameters are not used.
 */
export async function connectOver(duplex: Duplex, uri: string, options: ConnectOptions = {}): Promise<Connection> {
  try {
    const target = parseUri(uri, socketEnvironment(options.readOnly ?? false))
    options.signal?.throwIfAborted()
    return await open(duplex, uri, target.driverUri, options)
  } catch (error) {
    duplex.destroy()
    throw error
  }
}

async function open(duplex: Duplex, uri: string, driverUri: string, options: ConnectOptions): Promise<Connection> {
  const client = rpc(duplex, {
    callTimeoutMs: options.callTimeoutMs ?? defaults.callTimeoutMs,
    maxCallsInFlight: options.maxCallsInFlight ?? defaults.maxCallsInFlight,
    streamBacklogLimit: options.streamBacklogLimit ?? defaults.streamBacklogLimit,
  })
  try {
    await openDriver(client, driverUri, {
      signal: options.signal,
      timeoutMs: options.connectTimeoutMs ?? defaults.connectTimeoutMs,
      readOnly: options.readOnly ?? false,
      keepAlive: options.keepAlive ?? defaults.keepAlive,
    })
  } catch (error) {
    await client.close()
    throw error
  }
  return {
    ...hostCalls(client),
    ...domainCalls(client),
    ...domainFactCalls(client),
    ...deviceCalls(client),
    ...statisticsCalls(client),
    ...snapshotCalls(client),
    ...networkCalls(client),
    ...storageCalls(client),
    ...nodeDeviceCalls(client),
    ...guestCalls(client),
    ...eventCalls(client),
    uri,
    isOpen: client.isOpen,
    ended: client.ended,
    close: client.close,
  }
}
