import type { Duplex } from 'node:stream'
import { onAbort } from './abort.ts'
import { type CallOptions, whenOverdue } from './call-options.ts'
import { ConnectionLostError, clientError, LibvirtError } from './errors.ts'
import { FrameError, frameReader } from './frame-reader.ts'
import { type KeepAliveOptions, startKeepAlive } from './keep-alive.ts'
import {
  encodeHeader,
  encodeMessage,
  headerSize,
  keepAliveProcedure,
  type MessageHeader,
  messageStatus,
  messageType,
  programs,
  readHeader,
} from './protocol/message.ts'
import type { Procedure } from './protocol/procedures.ts'
import { remoteError } from './protocol/types.ts'
import { decode, XdrError, XdrReader } from './protocol/xdr.ts'
import { type StreamDirection, type WiredStream, wireStream } from './stream.ts'

export interface RpcOptions {
  readonly callTimeoutMs: number
  readonly maxCallsInFlight: number
  readonly streamBacklogLimit: number
}

/** A reply, seen while the message that brought it is handled: before any message that follows it. */
interface ReplyHooks<R> {
  readonly accepted?: (result: R, serial: number) => void
  /** The call had been given up (time limit, abort) when the daemon carried it out after all. */
  readonly abandoned?: (result: R, serial: number) => void
}

/** Where the events of one registration go. */
export interface EventSink {
  readonly read: (reader: XdrReader) => { readonly callbackId: number; readonly event: unknown }
  readonly deliver: (event: unknown) => void
  /** The connection ended; without an error, on purpose. */
  readonly lose: (error: ConnectionLostError | undefined) => void
}

/** Calls, streams and events over one byte stream. */
export interface Rpc {
  readonly call: <A, R>(procedure: Procedure<A, R>, args: A, options?: CallOptions, hooks?: ReplyHooks<R>) => Promise<R>
  /** Calls a procedure that opens a stream; the signal holds for the stream's whole life. */
  readonly openStream: <A, R>(
    procedure: Procedure<A, R>,
    args: A,
    direction: StreamDirection,
    options?: CallOptions,
  ) => Promise<{ readonly stream: Duplex; readonly result: R }>
  /** Delivers the messages of a procedure that carry this callback number. Returns how to stop it. */
  readonly subscribe: (program: number, procedure: number, callbackId: number, sink: EventSink) => () => void
  readonly startKeepAlive: (options: KeepAliveOptions) => void
  /** Fulfilled when the connection has ended, with why. */
  readonly ended: Promise<ConnectionLostError>
  readonly isOpen: () => boolean
  /** Ends the connection. Safe at any time, any number of times. */
  readonly close: () => Promise<void>
}

/**
 * What arrived of a stream before the reply to the call that opens it. A daemon's stream is alive before its reply is
 * queued, and another of its threads may be faster (libvirt's src/remote/remote_daemon_stream.c).
 */
interface EarlyPackets {
  readonly packets: { readonly header: MessageHeader; readonly message: Buffer }[]
  bytes: number
}

type ProcedureId = Pick<Procedure<unknown, unknown>, 'program' | 'number'>

interface PendingCall {
  readonly program: number
  readonly procedure: number
  readonly serial: number
  readonly message: Buffer
  readonly reply: (status: number, message: Buffer) => void
  readonly fail: (error: Error) => void
}

const ignore = () => {}

/** Speaks libvirt's RPC protocol over `duplex`, which it takes over: it reads all of it and destroys it at the end. */
export function rpc(duplex: Duplex, options: RpcOptions): Rpc {
  const waiting = new Set<PendingCall>()
  const inFlight = new Map<number, PendingCall>()
  const streams = new Map<number, WiredStream>()
  const early = new Map<number, EarlyPackets>()
  const fullStreams = new Set<number>()
  const sinks = new Map<string, Map<number, EventSink>>()
  let serial = 0
  let loss: ConnectionLostError | undefined
  let paused = false
  let keepAlive: ReturnType<typeof startKeepAlive> | undefined
  let tellEnded: (error: ConnectionLostError) => void = ignore
  const ended = new Promise<ConnectionLostError>((resolve) => {
    tellEnded = resolve
  })
  const closed = new Promise<void>((resolve) => duplex.once('close', resolve))

  const send = (message: Buffer, done: () => void = ignore) => {
    if (!loss) duplex.write(message, done)
  }

  const lose = (error: ConnectionLostError) => {
    if (loss) return
    loss = error
    keepAlive?.stop()
    duplex.destroy()
    const calls = [...inFlight.values(), ...waiting]
    inFlight.clear()
    waiting.clear()
    early.clear()
    for (const call of calls) call.fail(error)
    const visible = error.reason === 'closed' ? undefined : error
    for (const stream of streams.values()) stream.lose(visible)
    streams.clear()
    for (const registered of sinks.values()) for (const sink of registered.values()) sink.lose(visible)
    sinks.clear()
    tellEnded(error)
  }

  /**
   * Nothing is read while a stream's reader is behind, so that the daemon waits. Not while a call or an event is
   * awaited, though: one reader must not silence the rest of the connection.
   */
  const updateFlow = () => {
    const pause = fullStreams.size > 0 && inFlight.size === 0 && waiting.size === 0 && sinks.size === 0
    if (pause === paused) return
    paused = pause
    if (pause) duplex.pause()
    else duplex.resume()
  }

  const sendWaiting = () => {
    for (const call of waiting) {
      if (inFlight.size >= options.maxCallsInFlight) return
      waiting.delete(call)
      inFlight.set(call.serial, call)
      send(call.message)
    }
  }

  const dispatchReply = (header: MessageHeader, message: Buffer) => {
    const call = inFlight.get(header.serial)
    if (!call || call.procedure !== header.procedure || call.program !== header.program) {
      throw new FrameError(`a reply to no call (procedure ${header.procedure}, serial ${header.serial})`)
    }
    inFlight.delete(header.serial)
    sendWaiting()
    call.reply(header.status, message)
    for (const packet of early.get(header.serial)?.packets ?? []) dispatchStream(packet.header, packet.message)
    early.delete(header.serial)
    if (fullStreams.size > 0) updateFlow()
  }

  const holdEarly = (header: MessageHeader, message: Buffer) => {
    const held = early.get(header.serial) ?? { packets: [], bytes: 0 }
    early.set(header.serial, held)
    held.packets.push({ header, message })
    held.bytes += message.length
    if (held.bytes > options.streamBacklogLimit)
      throw new FrameError(`${held.bytes} bytes of a stream whose call it has not answered`)
  }

  const dispatchStream = (header: MessageHeader, message: Buffer) => {
    if (inFlight.has(header.serial)) return holdEarly(header, message)
    // The daemon may have sent more before it learned that the stream was aborted; those packets belong to nobody.
    const stream = streams.get(header.serial)
    if (!stream) return
    if (header.status === messageStatus.error) stream.receiveError(readError(message))
    else stream.receive(header.status, message.subarray(headerSize))
  }

  const dispatchEvent = (header: MessageHeader, message: Buffer) => {
    const registered = sinks.get(`${header.program}:${header.procedure}`)
    const [anySink] = registered?.values() ?? []
    if (!registered || !anySink) return
    const { callbackId, event } = anySink.read(new XdrReader(message, headerSize))
    registered.get(callbackId)?.deliver(event)
  }

  const dispatch = (message: Buffer) => {
    if (loss) return
    const header = readHeader(message)
    if (header.program === programs.keepAlive) {
      if (header.procedure === keepAliveProcedure.ping) send(keepAliveMessage(keepAliveProcedure.pong))
      return
    }
    switch (header.type) {
      case messageType.reply:
        return dispatchReply(header, message)
      case messageType.stream:
        return dispatchStream(header, message)
      case messageType.message:
        return dispatchEvent(header, message)
      default:
        throw new FrameError(`a message of type ${header.type}`)
    }
  }

  const readFrames = frameReader(dispatch)
  duplex.on('data', (chunk: Buffer) => {
    keepAlive?.heard()
    try {
      readFrames(chunk)
    } catch (error) {
      if (!(error instanceof FrameError || error instanceof XdrError)) throw error
      lose(new ConnectionLostError('protocol-error', `the daemon sent ${error.message}`, { cause: error }))
    }
  })
  const hungUp = (cause?: Error) => {
    const detail = cause ? `: ${cause.message}` : ''
    lose(new ConnectionLostError('daemon-closed', `the daemon closed the connection${detail}`, { cause }))
  }
  duplex.on('error', hungUp)
  duplex.on('end', () => hungUp())
  duplex.on('close', () => hungUp())

  const call: Rpc['call'] = (procedure, args, callOptions = {}, hooks = {}) =>
    new Promise((resolve, reject) => {
      if (loss) return reject(loss)
      if (callOptions.signal?.aborted) return reject(callOptions.signal.reason)
      serial = serial === 0xffff_ffff ? 1 : serial + 1
      const header = {
        program: procedure.program,
        procedure: procedure.number,
        type: messageType.call,
        serial,
        status: messageStatus.ok,
      }
      let message: Buffer
      try {
        message = encodeMessage(header, procedure.args, args)
      } catch (error) {
        if (!(error instanceof XdrError)) throw error
        return reject(clientError('invalidArgument', `${procedure.name}: ${error.message}`, { cause: error }))
      }
      const timeoutMs = callOptions.timeoutMs ?? options.callTimeoutMs
      let awaited = true
      const stopWaiting = whenOverdue(
        { signal: callOptions.signal, timeoutMs },
        () => clientError('timeout', `${procedure.name}: no answer within ${timeoutMs} ms`),
        (error) => {
          awaited = false
          waiting.delete(pending)
          reject(error)
        },
      )
      const settle = (action: () => void) => {
        if (!awaited) return
        awaited = false
        stopWaiting()
        action()
      }
      const pending: PendingCall = {
        program: header.program,
        procedure: header.procedure,
        serial: header.serial,
        message,
        fail: (error) => settle(() => reject(error)),
        reply: (status, reply) => {
          if (status !== messageStatus.ok) return settle(() => reject(readError(reply)))
          const result = readResult(procedure, reply)
          if (result instanceof LibvirtError) return settle(() => reject(result))
          if (!awaited) return hooks.abandoned?.(result.value, header.serial)
          hooks.accepted?.(result.value, header.serial)
          settle(() => resolve(result.value))
        },
      }
      waiting.add(pending)
      sendWaiting()
      if (paused) updateFlow()
    })

  const streamPacket = (procedure: ProcedureId, streamSerial: number, status: number) => ({
    program: procedure.program,
    procedure: procedure.number,
    type: messageType.stream,
    serial: streamSerial,
    status,
  })

  const attachStream = (procedure: ProcedureId, streamSerial: number, direction: StreamDirection): WiredStream => {
    const stream = wireStream(
      {
        send: (status, data, done) => {
          const header = encodeHeader(streamPacket(procedure, streamSerial, status), data?.length)
          if (!data) return send(header, done)
          if (loss) return
          duplex.cork()
          duplex.write(header)
          duplex.write(data, done)
          duplex.uncork()
        },
        release: () => streams.delete(streamSerial),
        setFull: (full) => {
          if (full) fullStreams.add(streamSerial)
          else fullStreams.delete(streamSerial)
          if (full !== paused) updateFlow()
        },
      },
      direction,
      options.streamBacklogLimit,
    )
    streams.set(streamSerial, stream)
    return stream
  }

  const openStream: Rpc['openStream'] = async (procedure, args, direction, callOptions = {}) => {
    const opened: { stream?: Duplex } = {}
    const result = await call(procedure, args, callOptions, {
      accepted: (_result, streamSerial) => {
        opened.stream = attachStream(procedure, streamSerial, direction).duplex
      },
      abandoned: (_result, streamSerial) => {
        attachStream(procedure, streamSerial, direction).duplex.destroy()
      },
    })
    const { stream } = opened
    if (!stream) throw clientError('rpc', `${procedure.name}: no stream`)
    const { signal } = callOptions
    const forgetAbort = onAbort(signal, () => stream.destroy(signal?.reason))
    stream.once('close', forgetAbort)
    return { stream, result }
  }

  return {
    call,
    openStream,
    subscribe: (program, procedure, callbackId, sink) => {
      const key = `${program}:${procedure}`
      const registered = sinks.get(key) ?? new Map<number, EventSink>()
      sinks.set(key, registered)
      registered.set(callbackId, sink)
      return () => {
        registered.delete(callbackId)
        if (registered.size === 0) sinks.delete(key)
      }
    },
    startKeepAlive: (keepAliveOptions) => {
      keepAlive = startKeepAlive(
        keepAliveOptions,
        () => send(keepAliveMessage(keepAliveProcedure.ping)),
        () => {
          const seconds = (keepAliveOptions.intervalMs * (keepAliveOptions.count + 1)) / 1000
          lose(new ConnectionLostError('daemon-silent', `the daemon has not answered for ${seconds} s`))
        },
        () => paused,
      )
    },
    ended,
    isOpen: () => loss === undefined,
    close: () => {
      lose(new ConnectionLostError('closed', 'the connection is closed'))
      return closed
    },
  }
}

function keepAliveMessage(procedure: number): Buffer {
  return encodeHeader({
    program: programs.keepAlive,
    procedure,
    type: messageType.message,
    serial: 0,
    status: messageStatus.ok,
  })
}

function readResult<A, R>(procedure: Procedure<A, R>, message: Buffer): { readonly value: R } | LibvirtError {
  try {
    return { value: decode(procedure.result, message, headerSize) }
  } catch (error) {
    if (!(error instanceof XdrError)) throw error
    return clientError('rpc', `${procedure.name}: the daemon's reply is malformed: ${error.message}`, { cause: error })
  }
}

function readError(message: Buffer): LibvirtError {
  try {
    const error = decode(remoteError, message, headerSize)
    return new LibvirtError({ ...error, message: error.message ?? 'unknown error' })
  } catch (error) {
    if (!(error instanceof XdrError)) throw error
    return clientError('rpc', `the daemon's error is malformed: ${error.message}`, { cause: error })
  }
}
