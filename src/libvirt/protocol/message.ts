import type { Xdr } from './xdr.ts'
import { encode, XdrError } from './xdr.ts'

/** Sizes of libvirt's src/rpc/virnetprotocol.x, in bytes. The length word counts itself but not towards the maximum. */
export const messageLimit = 33_554_432 + 4
export const headerSize = 28
/** VIR_NET_MESSAGE_LEGACY_PAYLOAD_MAX: the largest stream packet that every daemon accepts. */
export const streamPacketLimit = 262_120

/** Program numbers: remote_protocol.x, qemu_protocol.x, virkeepaliveprotocol.x. */
export const programs = { remote: 0x20008086, qemu: 0x20008087, keepAlive: 0x6b656570 } as const
const programVersion = 1

/** virNetMessageType */
export const messageType = { call: 0, reply: 1, message: 2, stream: 3, streamHole: 6 } as const
/** virNetMessageStatus */
export const messageStatus = { ok: 0, error: 1, continue: 2 } as const
/** Procedures of the keep-alive program. */
export const keepAliveProcedure = { ping: 1, pong: 2 } as const

/** virNetMessageHeader, without the program's version, which is 1 for all of them. */
export interface MessageHeader {
  readonly program: number
  readonly procedure: number
  readonly type: number
  readonly serial: number
  readonly status: number
}

/** Reads the header of a whole frame.
 * @throws {XdrError} when the program's version is not 1.
 */
export function readHeader(frame: Buffer): MessageHeader {
  const version = frame.readUInt32BE(8)
  if (version !== programVersion) throw new XdrError(`a message of protocol version ${version}`)
  return {
    program: frame.readUInt32BE(4),
    procedure: frame.readInt32BE(12),
    type: frame.readUInt32BE(16),
    serial: frame.readUInt32BE(20),
    status: frame.readUInt32BE(24),
  }
}

function writeHeader(frame: Buffer, header: MessageHeader, length: number): void {
  frame.writeUInt32BE(length, 0)
  frame.writeUInt32BE(header.program, 4)
  frame.writeUInt32BE(programVersion, 8)
  frame.writeInt32BE(header.procedure, 12)
  frame.writeUInt32BE(header.type, 16)
  frame.writeUInt32BE(header.serial, 20)
  frame.writeUInt32BE(header.status, 24)
}

/** A whole message: header and encoded payload.
 * @throws {XdrError} when the value does not fit its type or the message.
 */
export function encodeMessage<T>(header: MessageHeader, codec: Xdr<T>, value: T): Buffer {
  const frame = encode(codec, value, messageLimit, headerSize)
  writeHeader(frame, header, frame.length)
  return frame
}

/** The header alone of a message that `payloadLength` bytes follow. */
export function encodeHeader(header: MessageHeader, payloadLength = 0): Buffer {
  const frame = Buffer.allocUnsafe(headerSize)
  writeHeader(frame, header, headerSize + payloadLength)
  return frame
}
