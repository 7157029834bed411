import { Duplex } from 'node:stream'
import { clientError } from './errors.ts'
import { messageStatus, streamPacketLimit } from './protocol/message.ts'

/** Which way data goes, seen from here. */
export type StreamDirection = 'read' | 'write' | 'both'

/** What a stream needs of its connection. */
export interface StreamWire {
  /** Sends one packet; `done` is called when it has left, so that a slow daemon slows the writer. */
  readonly send: (status: number, data: Uint8Array | undefined, done: () => void) => void
  /** The daemon will send nothing more: its packets need not be awaited. */
  readonly release: () => void
  /** Whether the reader has enough for now. */
  readonly setFull: (full: boolean) => void
}

/** The connection's end of a stream. */
export interface WiredStream {
  readonly duplex: Duplex
  readonly receive: (status: number, payload: Buffer) => void
  readonly receiveError: (error: Error) => void
  /** The connection ended; without an error, on purpose. */
  readonly lose: (error: Error | undefined) => void
}

/**
 * A libvirt stream as a Node stream (protocol: libvirt's src/rpc/virnetprotocol.x, "status" of VIR_NET_STREAM).
 * `end()` finishes it, and 'finish' comes when the daemon has confirmed that all data arrived; `destroy()` aborts it.
 * 'end' comes after the daemon's last byte and its confirmation.
 *
 * @param backlogLimit bytes that may wait for a reader who does not read while calls keep the connection busy; with
 * more the stream fails, since libvirt has no flow control for one stream alone.
 */
export function wireStream(wire: StreamWire, direction: StreamDirection, backlogLimit: number): WiredStream {
  let state: 'open' | 'finishing' | 'aborting' | 'over' = 'open'
  let confirmFinish: (() => void) | undefined

  const finish = () => {
    if (state !== 'open') return
    state = 'finishing'
    wire.send(messageStatus.ok, undefined, () => {})
  }
  const end = () => {
    state = 'over'
    wire.release()
    wire.setFull(false)
  }
  const sendPackets = (data: Uint8Array, done: () => void) => {
    const packet = data.subarray(0, streamPacketLimit)
    const rest = data.subarray(packet.length)
    wire.send(messageStatus.continue, packet, rest.length > 0 ? () => sendPackets(rest, done) : done)
  }

  const sides = { readable: direction !== 'write', writable: direction !== 'read' }
  const duplex = new Duplex({
    ...sides,
    read: () => wire.setFull(false),
    write: (chunk: Buffer, _encoding, callback) => {
      if (state !== 'open') callback(clientError('operationFailed', 'the stream has ended'))
      else sendPackets(chunk, () => callback())
    },
    final: (callback) => {
      if (state === 'over') return callback()
      confirmFinish = callback
      finish()
    },
    destroy: (error, callback) => {
      if (state === 'open' || state === 'finishing') {
        state = 'aborting'
        wire.send(messageStatus.error, undefined, () => {})
      }
      wire.setFull(false)
      callback(error)
    },
  })

  const wired: WiredStream = {
    duplex,
    receive: (status, payload) => {
      if (state === 'aborting') {
        if (status !== messageStatus.continue) end()
        return
      }
      if (status === messageStatus.ok) {
        end()
        duplex.push(null)
        confirmFinish?.()
        if (direction !== 'read') duplex.end()
      } else if (payload.length === 0) finish()
      else if (!duplex.push(payload)) {
        if (duplex.readableLength > backlogLimit) {
          duplex.destroy(clientError('operationFailed', `the stream's reader is ${backlogLimit} bytes behind`))
        } else wire.setFull(true)
      }
    },
    receiveError: (error) => {
      const wanted = state !== 'aborting'
      end()
      if (wanted) duplex.destroy(error)
    },
    lose: (error) => {
      state = 'over'
      duplex.destroy(error)
    },
  }
  return afterHandover(wired)
}

/**
 * What comes in the same breath as the stream waits until whoever opened it could attach listeners: an 'error' that
 * nobody can listen to yet would end the process.
 */
function afterHandover(stream: WiredStream): WiredStream {
  let held: (() => void)[] | undefined = []
  setImmediate(() => {
    const actions = held ?? []
    held = undefined
    for (const action of actions) action()
  })
  const inOrder = (action: () => void) => {
    if (held) held.push(action)
    else action()
  }
  return {
    duplex: stream.duplex,
    receive: (status, payload) => inOrder(() => stream.receive(status, payload)),
    receiveError: (error) => inOrder(() => stream.receiveError(error)),
    lose: (error) => inOrder(() => stream.lose(error)),
  }
}
