import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { frameReader } from '../../src/libvirt/frame-reader.ts'
import { type Connection, type ConnectOptions, connect } from '../../src/libvirt/index.ts'
import {
  encodeHeader,
  encodeMessage,
  headerSize,
  type MessageHeader,
  messageStatus,
  messageType,
  programs,
  readHeader,
} from '../../src/libvirt/protocol/message.ts'
import { type Procedure, type ProcedureName, procedures } from '../../src/libvirt/protocol/procedures.ts'
import { remoteError } from '../../src/libvirt/protocol/types.ts'
import { decode, type Xdr } from '../../src/libvirt/protocol/xdr.ts'

/** A call that the fake received. */
export interface FakeCall {
  readonly name: ProcedureName
  readonly header: MessageHeader
  readonly client: FakeClient
  readonly args: <A, R>(procedure: Procedure<A, R>) => A
  readonly reply: <A, R>(procedure: Procedure<A, R>, result: R) => void
  readonly fail: (code: number, message: string) => void
  /** One packet of the stream that this call opened. */
  readonly stream: (status: keyof typeof messageStatus, data?: Buffer) => boolean
  /** A stream packet that is an error. */
  readonly failStream: (code: number, message: string) => void
}

/** One connection to the fake. */
export interface FakeClient {
  readonly socket: Socket
  /** Stream packets received, by the serial of the call that opened the stream. */
  readonly packets: { readonly serial: number; readonly status: number; readonly data: Buffer }[]
  /** Keep-alive messages received. */
  readonly pings: () => number
  readonly event: <T>(procedure: number, codec: Xdr<T>, message: T) => void
}

export type FakeBehaviour = Partial<Record<ProcedureName, (call: FakeCall) => void>> & {
  /** Whether pings are answered; they are by default. */
  readonly pong?: boolean
  readonly onConnect?: (client: FakeClient) => void
  readonly onPacket?: (client: FakeClient) => void
}

/** A fake daemon that listens on a socket of its own. */
export interface FakeDaemon {
  readonly uri: string
  readonly socketPath: string
  readonly clients: readonly FakeClient[]
  readonly calls: readonly FakeCall[]
  readonly close: () => Promise<void>
}

const names = new Map(Object.values(procedures).map((each) => [`${each.program}:${each.number}`, each.name]))

/** What a friendly daemon does to let a client in. */
const welcome: FakeBehaviour = {
  AUTH_LIST: (call) => call.reply(procedures.AUTH_LIST, { types: [0] }),
  AUTH_POLKIT: (call) => call.reply(procedures.AUTH_POLKIT, { complete: true }),
  CONNECT_SUPPORTS_FEATURE: (call) => call.reply(procedures.CONNECT_SUPPORTS_FEATURE, { value: true }),
  CONNECT_OPEN: (call) => call.reply(procedures.CONNECT_OPEN, undefined),
}

/**
 * Starts a fake daemon. It lets clients in as a real one does; what it does with other calls is `behaviour`, and calls
 * that have none are never answered.
 */
export async function fakeDaemon(behaviour: FakeBehaviour = {}): Promise<FakeDaemon> {
  const directory = await mkdtemp(join(tmpdir(), 'libvirt-fake-'))
  const socketPath = join(directory, 'sock')
  const handlers: FakeBehaviour = { ...welcome, ...behaviour }
  const clients: FakeClient[] = []
  const calls: FakeCall[] = []

  const server: Server = createServer((socket) => {
    let pings = 0
    const client: FakeClient = {
      socket,
      packets: [],
      pings: () => pings,
      event: (procedure, codec, message) => {
        const header = { program: programs.remote, procedure, type: messageType.message, serial: 0, status: 0 }
        socket.write(encodeMessage(header, codec, message))
      },
    }
    clients.push(client)
    socket.on('error', () => {})
    handlers.onConnect?.(client)
    const readFrames = frameReader((frame) => {
      const header = readHeader(frame)
      const payload = Buffer.from(frame.subarray(headerSize))
      if (header.program === programs.keepAlive) {
        pings++
        if (handlers.pong !== false) socket.write(encodeHeader({ ...header, procedure: 2 }))
      } else if (header.type === messageType.stream) {
        client.packets.push({ serial: header.serial, status: header.status, data: payload })
        handlers.onPacket?.(client)
      } else {
        const call = fakeCall(client, header, payload)
        calls.push(call)
        handlers[call.name]?.(call)
      }
    })
    socket.on('data', readFrames)
  })
  await new Promise<void>((resolve) => server.listen(socketPath, resolve))
  return {
    uri: `qemu:///system?socket=${encodeURIComponent(socketPath)}`,
    socketPath,
    clients,
    calls,
    close: async () => {
      for (const { socket } of clients) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
      await rm(directory, { recursive: true, force: true })
    },
  }
}

function fakeCall(client: FakeClient, header: MessageHeader, payload: Buffer): FakeCall {
  const name = names.get(`${header.program}:${header.procedure}`)
  if (!name) throw new Error(`no procedure ${header.procedure}`)
  const reply = { ...header, type: messageType.reply }
  const packet = { ...header, type: messageType.stream }
  const error = (code: number, message: string) => ({
    ...{ code, domain: 10, message, level: 2, dom: null, net: null },
    ...{ str1: null, str2: null, str3: null, int1: 0, int2: 0 },
  })
  return {
    name,
    header,
    client,
    args: (procedure) => decode(procedure.args, payload),
    reply: (procedure, result) => void client.socket.write(encodeMessage(reply, procedure.result, result)),
    fail: (code, message) =>
      void client.socket.write(
        encodeMessage({ ...reply, status: messageStatus.error }, remoteError, error(code, message)),
      ),
    stream: (status, data = Buffer.alloc(0)) => {
      client.socket.write(encodeHeader({ ...packet, status: messageStatus[status] }, data.length))
      return client.socket.write(data)
    },
    failStream: (code, message) =>
      void client.socket.write(
        encodeMessage({ ...packet, status: messageStatus.error }, remoteError, error(code, message)),
      ),
  }
}

/** Connects to a fake daemon for the action, and ends both whatever happens. */
export async function withFake(
  behaviour: FakeBehaviour,
  action: (connection: Connection, daemon: FakeDaemon) => Promise<void>,
  options?: ConnectOptions,
): Promise<void> {
  const daemon = await fakeDaemon(behaviour)
  try {
    const connection = await connect(daemon.uri, options)
    try {
      await action(connection, daemon)
    } finally {
      await connection.close()
    }
  } finally {
    await daemon.close()
  }
}
