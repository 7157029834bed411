/** What an ELF file says of itself, as far as packing it needs it. */
interface ElfFile {
  /** Shared libraries that the file asks for (DT_NEEDED), as file names. */
  readonly needed: readonly string[]
  /** The dynamic loader's path (PT_INTERP). */
  readonly interpreter: string | undefined
  /** The `.modinfo` section of a kernel module: `depends=a,b`, `alias=…`. */
  readonly moduleInfo: readonly string[]
}

const elfMagic = 0x7f454c46
const segmentDynamic = 2
const segmentInterpreter = 3
const dynamicNeeded = 1n
const dynamicStringTable = 5n
const sectionStringIndexOffset = 62

/**
 * Reads a 64-bit little-endian ELF file (gABI, chapters 4 and 5).
 *
 * @returns undefined if the bytes are no such file.
 * @throws RangeError if the file is damaged: an offset points outside it.
 */
export function parseElf(bytes: Buffer): ElfFile | undefined {
  if (bytes.length < 64 || bytes.readUInt32BE(0) !== elfMagic || bytes[4] !== 2 || bytes[5] !== 1) return undefined
  const segments = readSegments(bytes)
  const interpreter = segments.find((segment) => segment.type === segmentInterpreter)
  return {
    needed: readNeeded(bytes, segments),
    interpreter: interpreter === undefined ? undefined : readText(bytes, interpreter.offset),
    moduleInfo: readModuleInfo(bytes),
  }
}

interface Segment {
  readonly type: number
  readonly offset: number
  readonly address: bigint
  readonly size: number
}

function readSegments(bytes: Buffer): Segment[] {
  const start = Number(bytes.readBigUInt64LE(32))
  const entrySize = bytes.readUInt16LE(54)
  return Array.from({ length: bytes.readUInt16LE(56) }, (_, index) => {
    const at = start + index * entrySize
    return {
      type: bytes.readUInt32LE(at),
      offset: Number(bytes.readBigUInt64LE(at + 8)),
      address: bytes.readBigUInt64LE(at + 16),
      size: Number(bytes.readBigUInt64LE(at + 32)),
    }
  })
}

function readNeeded(bytes: Buffer, segments: readonly Segment[]): string[] {
  const dynamic = segments.find((segment) => segment.type === segmentDynamic)
  if (dynamic === undefined) return []
  const nameOffsets: number[] = []
  let stringTable: number | undefined
  for (let at = dynamic.offset; at < dynamic.offset + dynamic.size; at += 16) {
    const tag = bytes.readBigInt64LE(at)
    const value = bytes.readBigUInt64LE(at + 8)
    if (tag === dynamicNeeded) nameOffsets.push(Number(value))
    if (tag === dynamicStringTable) stringTable = fileOffset(value, segments)
  }
  return stringTable === undefined ? [] : nameOffsets.map((offset) => readText(bytes, stringTable + offset))
}

/** The dynamic section speaks of addresses in memory; the segment that is loaded there says where they are in the file. */
function fileOffset(address: bigint, segments: readonly Segment[]): number | undefined {
  const holder = segments.find(
    (segment) => segment.type === 1 && address >= segment.address && address < segment.address + BigInt(segment.size),
  )
  return holder === undefined ? undefined : holder.offset + Number(address - holder.address)
}

function readModuleInfo(bytes: Buffer): string[] {
  const start = Number(bytes.readBigUInt64LE(40))
  const entrySize = bytes.readUInt16LE(58)
  const count = bytes.readUInt16LE(60)
  if (start === 0 || count === 0) return []
  const header = (index: number) => {
    const at = start + index * entrySize
    return {
      name: bytes.readUInt32LE(at),
      offset: Number(bytes.readBigUInt64LE(at + 24)),
      size: Number(bytes.readBigUInt64LE(at + 32)),
    }
  }
  const names = header(bytes.readUInt16LE(sectionStringIndexOffset))
  for (let index = 0; index < count; index += 1) {
    const section = header(index)
    if (readText(bytes, names.offset + section.name) !== '.modinfo') continue
    const text = bytes.toString('latin1', section.offset, section.offset + section.size)
    return text.split('\0').filter((line) => line !== '')
  }
  return []
}

function readText(bytes: Buffer, start: number): string {
  const end = bytes.indexOf(0, start)
  if (start >= bytes.length || end === -1) throw new RangeError('the ELF file is damaged: a name lies outside it')
  return bytes.toString('latin1', start, end)
}
