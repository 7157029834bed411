import { VmrError } from '../errors/vmr-error.ts'

/** A file at the top of the file system. */
export interface IsoFile {
  /** At most 64 characters (Joliet), without those that ISO 9660 or a path gives a meaning. */
  readonly name: string
  readonly content: Uint8Array
}

const sectorBytes = 2048
/** The first 16 sectors are the system area (ECMA-119 6.2.1). */
const firstDescriptor = 16
const pathTableBytes = 10

/**
 * A read-only file system of a few files in one folder: ISO 9660 (ECMA-119) with Joliet names, which Linux shows as they
 * are. The same files give the same bytes: no date is recorded.
 *
 * @param label the volume's name: 1 to 16 of A-Z a-z 0-9 _ -, the length that Joliet leaves.
 */
export function writeIso9660(label: string, files: readonly IsoFile[]): Buffer {
  if (!/^[A-Za-z0-9_-]{1,16}$/.test(label)) throw new VmrError('INTERNAL', `${JSON.stringify(label)} is no ISO label`)
  const bad = files.find(({ name }) => !/^[A-Za-z0-9_.-]{1,64}$/.test(name))
  if (bad !== undefined) throw new VmrError('INTERNAL', `${JSON.stringify(bad.name)} is no name for an ISO file`)
  // Directory records are in the order of their names (ECMA-119 9.3).
  const sorted = files.toSorted((left, right) => (left.name < right.name ? -1 : 1))
  const plainTables = firstDescriptor + 3
  const jolietTables = plainTables + 2
  const plainRoot = jolietTables + 2
  const jolietRoot = plainRoot + 1
  let next = jolietRoot + 1
  const placed = sorted.map(({ name, content }) => {
    const extent = next
    next += Math.ceil(content.length / sectorBytes)
    return { name, content, extent }
  })
  const image = Buffer.alloc(next * sectorBytes)
  const at = (sector: number, bytes: Uint8Array) => image.set(bytes, sector * sectorBytes)
  const volume = { label, sectors: next }
  at(firstDescriptor, volumeDescriptor({ ...volume, joliet: false, tables: plainTables, root: plainRoot }))
  at(firstDescriptor + 1, volumeDescriptor({ ...volume, joliet: true, tables: jolietTables, root: jolietRoot }))
  at(firstDescriptor + 2, Buffer.from([255, ...Buffer.from('CD001'), 1]))
  for (const [tables, root] of [
    [plainTables, plainRoot],
    [jolietTables, jolietRoot],
  ] as const) {
    at(tables, pathTable(root, 'little'))
    at(tables + 1, pathTable(root, 'big'))
  }
  at(plainRoot, directory(plainRoot, placed, plainName))
  at(jolietRoot, directory(jolietRoot, placed, jolietName))
  for (const { content, extent } of placed) at(extent, content)
  return image
}

interface VolumeDescriptor {
  readonly label: string
  readonly sectors: number
  readonly joliet: boolean
  /** Sector of the little-endian path table; the big-endian one is behind it. */
  readonly tables: number
  readonly root: number
}

/** ECMA-119 8.4 and, for Joliet, 8.5 with UCS-2 level 3 in the escape sequences. */
function volumeDescriptor({ label, sectors, joliet, tables, root }: VolumeDescriptor): Buffer {
  const bytes = Buffer.alloc(sectorBytes)
  const text = (offset: number, length: number, words = '') =>
    bytes.set(
      joliet ? ucs2(words.padEnd(Math.floor(length / 2))).subarray(0, length) : Buffer.from(words.padEnd(length)),
      offset,
    )
  bytes[0] = joliet ? 2 : 1
  bytes.write('CD001', 1)
  bytes[6] = 1
  text(8, 32, 'LINUX')
  text(40, 32, label)
  bothEndian32(bytes, 80, sectors)
  if (joliet) bytes.write('%/E', 88)
  bothEndian16(bytes, 120, 1)
  bothEndian16(bytes, 124, 1)
  bothEndian16(bytes, 128, sectorBytes)
  bothEndian32(bytes, 132, pathTableBytes)
  bytes.writeUInt32LE(tables, 140)
  bytes.writeUInt32BE(tables + 1, 148)
  bytes.set(directoryRecord(Buffer.from([0]), root, sectorBytes, true), 156)
  text(190, 128)
  text(318, 128)
  text(446, 128)
  text(574, 128)
  text(702, 37)
  text(739, 37)
  text(776, 37)
  // Dates that say "not specified" (ECMA-119 8.4.26.1).
  for (const offset of [813, 830, 847, 864]) bytes.fill('0', offset, offset + 16)
  bytes[881] = 1
  return bytes
}

/** ECMA-119 9.4: the root alone. */
function pathTable(root: number, order: 'little' | 'big'): Buffer {
  const bytes = Buffer.alloc(pathTableBytes)
  bytes[0] = 1
  if (order === 'little') {
    bytes.writeUInt32LE(root, 2)
    bytes.writeUInt16LE(1, 6)
  } else {
    bytes.writeUInt32BE(root, 2)
    bytes.writeUInt16BE(1, 6)
  }
  return bytes
}

interface PlacedFile extends IsoFile {
  readonly extent: number
}

function directory(own: number, files: readonly PlacedFile[], encoded: (name: string) => Buffer): Buffer {
  const records = [
    directoryRecord(Buffer.from([0]), own, sectorBytes, true),
    directoryRecord(Buffer.from([1]), own, sectorBytes, true),
    ...files.map(({ name, content, extent }) => directoryRecord(encoded(name), extent, content.length, false)),
  ]
  const bytes = Buffer.concat(records)
  if (bytes.length > sectorBytes) throw new VmrError('INTERNAL', 'too many files for an ISO image of one folder')
  return bytes
}

/** ECMA-119 9.1. */
function directoryRecord(name: Buffer, extent: number, length: number, isDirectory: boolean): Buffer {
  const bytes = Buffer.alloc(33 + name.length + ((name.length + 1) % 2))
  bytes[0] = bytes.length
  bothEndian32(bytes, 2, extent)
  bothEndian32(bytes, 10, length)
  bytes[25] = isDirectory ? 2 : 0
  bothEndian16(bytes, 28, 1)
  bytes[32] = name.length
  bytes.set(name, 33)
  return bytes
}

/** Of the characters of ISO 9660 itself: capitals, digits and underscores, with the version that every file has. */
function plainName(name: string): Buffer {
  const upper = name.toUpperCase().replace(/[^A-Z0-9_]/g, '_')
  return Buffer.from(`${upper.slice(0, 28)}.;1`)
}

function jolietName(name: string): Buffer {
  return ucs2(name)
}

function ucs2(text: string): Buffer {
  return Buffer.from(text, 'utf16le').swap16()
}

function bothEndian16(bytes: Buffer, offset: number, value: number): void {
  bytes.writeUInt16LE(value, offset)
  bytes.writeUInt16BE(value, offset + 2)
}

function bothEndian32(bytes: Buffer, offset: number, value: number): void {
  bytes.writeUInt32LE(value, offset)
  bytes.writeUInt32BE(value, offset + 4)
}
