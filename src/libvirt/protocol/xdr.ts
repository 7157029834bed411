/**
 * XDR (RFC 4506) as combinators: a codec writes and reads one type, and larger codecs are made of smaller ones.
 * Every size is checked against its limit and against the bytes at hand before anything is allocated for it.
 */

/** REMOTE_STRING_MAX of libvirt's src/remote/remote_protocol.x, in bytes. */
export const stringLimit = 4_194_304

/** A value that cannot be encoded, or bytes that are no encoding of the type. */
export class XdrError extends Error {
  override readonly name = 'XdrError'
}

/** How one type travels. */
export interface Xdr<T> {
  readonly write: (writer: XdrWriter, value: T) => void
  readonly read: (reader: XdrReader) => T
}

/** The type that a codec carries. */
export type XdrValue<X> = X extends Xdr<infer T> ? T : never

/** Appends encoded values to a buffer that grows up to `limit` bytes. */
export class XdrWriter {
  #buffer: Buffer
  #length: number
  readonly #limit: number

  /** @param reserved bytes left free at the front, for a header that is written afterwards. */
  constructor(limit: number, reserved = 0) {
    this.#buffer = Buffer.allocUnsafe(Math.max(256, reserved))
    this.#length = reserved
    this.#limit = limit
  }

  /** Makes room for `size` more bytes and returns where they start. */
  #extend(size: number): number {
    const start = this.#length
    const end = start + size
    if (end > this.#limit) throw new XdrError(`the message is larger than ${this.#limit} bytes`)
    if (end > this.#buffer.length) {
      const grown = Buffer.allocUnsafe(Math.min(this.#limit, Math.max(end, this.#buffer.length * 2)))
      this.#buffer.copy(grown, 0, 0, start)
      this.#buffer = grown
    }
    this.#length = end
    return start
  }

  int32(value: number): void {
    if ((value | 0) !== value) throw new XdrError(`${value} is not a 32-bit integer`)
    const at = this.#extend(4)
    this.#buffer.writeInt32BE(value, at)
  }

  uint32(value: number): void {
    if (value >>> 0 !== value) throw new XdrError(`${value} is not an unsigned 32-bit integer`)
    const at = this.#extend(4)
    this.#buffer.writeUInt32BE(value, at)
  }

  int64(value: bigint): void {
    if (BigInt.asIntN(64, value) !== value) throw new XdrError(`${value} is not a 64-bit integer`)
    const at = this.#extend(8)
    this.#buffer.writeBigInt64BE(value, at)
  }

  uint64(value: bigint): void {
    if (BigInt.asUintN(64, value) !== value) throw new XdrError(`${value} is not an unsigned 64-bit integer`)
    const at = this.#extend(8)
    this.#buffer.writeBigUInt64BE(value, at)
  }

  double(value: number): void {
    const at = this.#extend(8)
    this.#buffer.writeDoubleBE(value, at)
  }

  /** Writes bytes and the zeros that fill them up to a multiple of four. */
  bytes(value: Uint8Array): void {
    const padded = paddedLength(value.length)
    const at = this.#extend(padded)
    this.#buffer.set(value, at)
    this.#buffer.fill(0, at + value.length, at + padded)
  }

  /** Writes a string whose UTF-8 form has `size` bytes, and its padding. */
  text(value: string, size: number): void {
    const padded = paddedLength(size)
    const at = this.#extend(padded)
    this.#buffer.write(value, at, size, 'utf8')
    this.#buffer.fill(0, at + size, at + padded)
  }

  /** All that was written so far, reserved bytes included; shares memory with the writer. */
  finish(): Buffer {
    return this.#buffer.subarray(0, this.#length)
  }
}

/** Reads encoded values from `buffer`, never past its end. */
export class XdrReader {
  readonly #buffer: Buffer
  #offset: number

  constructor(buffer: Buffer, offset = 0) {
    this.#buffer = buffer
    this.#offset = offset
  }

  get remaining(): number {
    return this.#buffer.length - this.#offset
  }

  #take(size: number): number {
    const start = this.#offset
    if (size > this.#buffer.length - start) {
      throw new XdrError(`${size} bytes expected, ${this.#buffer.length - start} left`)
    }
    this.#offset = start + size
    return start
  }

  int32(): number {
    return this.#buffer.readInt32BE(this.#take(4))
  }

  uint32(): number {
    return this.#buffer.readUInt32BE(this.#take(4))
  }

  int64(): bigint {
    return this.#buffer.readBigInt64BE(this.#take(8))
  }

  uint64(): bigint {
    return this.#buffer.readBigUInt64BE(this.#take(8))
  }

  double(): number {
    return this.#buffer.readDoubleBE(this.#take(8))
  }

  /** A copy, so that a small value does not keep a large message in memory. */
  bytes(size: number): Buffer {
    const start = this.#take(paddedLength(size))
    return Buffer.from(this.#buffer.subarray(start, start + size))
  }

  text(size: number): string {
    const start = this.#take(paddedLength(size))
    return this.#buffer.toString('utf8', start, start + size)
  }
}

function paddedLength(size: number): number {
  return Math.ceil(size / 4) * 4
}

/** Encodes one value.
 * @throws {XdrError} when the value does not fit its type, or the encoding is longer than `limit` bytes.
 */
export function encode<T>(codec: Xdr<T>, value: T, limit: number, reserved = 0): Buffer {
  const writer = new XdrWriter(limit, reserved)
  codec.write(writer, value)
  return writer.finish()
}

/** Decodes one value that ends where the buffer ends.
 * @throws {XdrError} when the bytes are no encoding of the type.
 */
export function decode<T>(codec: Xdr<T>, buffer: Buffer, offset = 0): T {
  const reader = new XdrReader(buffer, offset)
  const value = codec.read(reader)
  if (reader.remaining > 0) throw new XdrError(`${reader.remaining} bytes too many`)
  return value
}

export const int: Xdr<number> = {
  write: (writer, value) => writer.int32(value),
  read: (reader) => reader.int32(),
}

export const uint: Xdr<number> = {
  write: (writer, value) => writer.uint32(value),
  read: (reader) => reader.uint32(),
}

export const hyper: Xdr<bigint> = {
  write: (writer, value) => writer.int64(value),
  read: (reader) => reader.int64(),
}

export const uhyper: Xdr<bigint> = {
  write: (writer, value) => writer.uint64(value),
  read: (reader) => reader.uint64(),
}

/** A signed 64-bit counter as a number: exact up to 2^53, rounded beyond (8 PiB of traffic). */
export const counter: Xdr<number> = {
  write: (writer, value) => writer.int64(wholeNumber(value)),
  read: (reader) => reader.int32() * 2 ** 32 + reader.uint32(),
}

/** An unsigned 64-bit counter as a number: exact up to 2^53, rounded beyond. */
export const ucounter: Xdr<number> = {
  write: (writer, value) => writer.uint64(wholeNumber(value)),
  read: (reader) => reader.uint32() * 2 ** 32 + reader.uint32(),
}

function wholeNumber(value: number): bigint {
  if (!Number.isInteger(value)) throw new XdrError(`${value} is not a whole number`)
  return BigInt(value)
}

/** A C truth value in an int: anything but 0 is true. */
export const bool: Xdr<boolean> = {
  write: (writer, value) => writer.int32(value ? 1 : 0),
  read: (reader) => reader.int32() !== 0,
}

/** No data: calls without arguments or result. */
export const nothing: Xdr<void> = { write: () => {}, read: () => {} }

/** A string of at most 4 MiB. The daemon reads it as a C string, so one with a NUL in it would be cut silently. */
export const string: Xdr<string> = {
  write: (writer, value) => {
    const size = Buffer.byteLength(value)
    if (size > stringLimit) throw new XdrError(`a string of ${size} bytes is longer than ${stringLimit}`)
    if (value.includes('\0')) throw new XdrError('a string must not contain a NUL character')
    writer.uint32(size)
    writer.text(value, size)
  },
  read: (reader) => {
    const size = reader.uint32()
    if (size > stringLimit) throw new XdrError(`a string of ${size} bytes is longer than ${stringLimit}`)
    return reader.text(size)
  },
}

/** Bytes of a length that varies up to `limit`. */
export function opaque(limit: number): Xdr<Uint8Array> {
  return {
    write: (writer, value) => {
      if (value.length > limit) throw new XdrError(`${value.length} bytes are more than ${limit}`)
      writer.uint32(value.length)
      writer.bytes(value)
    },
    read: (reader) => {
      const size = reader.uint32()
      if (size > limit) throw new XdrError(`${size} bytes are more than ${limit}`)
      return reader.bytes(size)
    },
  }
}

const uuidPattern = /^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i

/** A UUID in its usual text form, lower case when read. */
export const uuid: Xdr<string> = {
  write: (writer, value) => {
    if (!uuidPattern.test(value)) throw new XdrError(`"${value}" is not a UUID`)
    writer.bytes(Buffer.from(value.replaceAll('-', ''), 'hex'))
  },
  read: (reader) => {
    const hex = reader.bytes(16).toString('hex')
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
  },
}

/** A C `char name[length]`: XDR sends each character in an int of its own. Read up to the first NUL. */
export function charArray(length: number): Xdr<string> {
  return {
    write: (writer, value) => {
      const bytes = Buffer.from(value)
      if (bytes.length > length) throw new XdrError(`"${value}" is longer than ${length} bytes`)
      for (let index = 0; index < length; index++) writer.int32(bytes[index] ?? 0)
    },
    read: (reader) => {
      const bytes = Buffer.alloc(length)
      for (let index = 0; index < length; index++) bytes[index] = reader.int32() & 0xff
      const end = bytes.indexOf(0)
      return bytes.toString('utf8', 0, end < 0 ? length : end)
    },
  }
}

/** A pointer that may be NULL. */
export function nullable<T>(codec: Xdr<T>): Xdr<T | null> {
  return {
    write: (writer, value) => {
      writer.uint32(value === null ? 0 : 1)
      if (value !== null) codec.write(writer, value)
    },
    read: (reader) => {
      const present = reader.uint32()
      if (present > 1) throw new XdrError(`${present} is not a truth value`)
      return present === 1 ? codec.read(reader) : null
    },
  }
}

/** A list of at most `limit` elements, each of which takes at least four bytes. */
export function array<T>(codec: Xdr<T>, limit: number): Xdr<readonly T[]> {
  return {
    write: (writer, values) => {
      if (values.length > limit) throw new XdrError(`${values.length} elements are more than ${limit}`)
      writer.uint32(values.length)
      for (const value of values) codec.write(writer, value)
    },
    read: (reader) => {
      const count = reader.uint32()
      if (count > limit) throw new XdrError(`${count} elements are more than ${limit}`)
      if (count * 4 > reader.remaining) throw new XdrError(`${count} elements do not fit in ${reader.remaining} bytes`)
      const values: T[] = []
      for (let index = 0; index < count; index++) values.push(codec.read(reader))
      return values
    },
  }
}

/** A struct: its fields one after the other, in the order of the keys. */
export function struct<T extends object>(fields: { readonly [K in keyof T]: Xdr<T[K]> }): Xdr<T> {
  const keys = Object.keys(fields) as (keyof T)[]
  return {
    write: (writer, value) => {
      for (const key of keys) fields[key].write(writer, value[key])
    },
    read: (reader) => {
      const value: Partial<T> = {}
      for (const key of keys) value[key] = fields[key].read(reader)
      return value as T
    },
  }
}
