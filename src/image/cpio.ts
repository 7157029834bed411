/** One entry of an initramfs. Everything belongs to root except where `owner` says otherwise; times are 0. */
export type CpioEntry = {
  /** Without a leading slash: `usr/bin/ip`. */
  readonly path: string
  /** Permission bits as in chmod(2), with set-user-id and the like. */
  readonly mode: number
  readonly owner?: { readonly uid: number; readonly gid: number }
} & (
  | { readonly type: 'directory' }
  | { readonly type: 'file'; readonly content: Uint8Array }
  | { readonly type: 'symlink'; readonly target: string }
  | { readonly type: 'character-device'; readonly major: number; readonly minor: number }
)

/** File type bits of st_mode (stat(2), inode(7)). */
const typeBits = { directory: 0o040000, file: 0o100000, symlink: 0o120000, 'character-device': 0o020000 } as const

const trailerName = 'TRAILER!!!'

const aligned = (size: number): number => (size + 3) & ~3

/**
 * Writes a `newc` archive as the kernel unpacks it (Documentation/driver-api/early-userspace/buffer-format.rst): the
 * same entries give the same bytes, whatever their order was and whoever runs this. Directories that entries need are
 * not invented: the caller names them all.
 *
 * @throws RangeError for a path that is absolute, empty, doubled or leaves the archive, and for a file above 4 GiB.
 */
export function writeCpio(entries: readonly CpioEntry[]): Buffer {
  // Code unit order puts every directory before what is in it, and does not depend on the locale.
  const sorted = [...entries].sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0))
  const chunks: Buffer[] = []
  let previous: string | undefined
  sorted.forEach((entry, index) => {
    checkPath(entry.path, previous)
    previous = entry.path
    appendEntry(chunks, entry, index + 1)
  })
  appendHeader(chunks, { name: trailerName, inode: 0, mode: 0, uid: 0, gid: 0, links: 1, size: 0, major: 0, minor: 0 })
  return Buffer.concat(chunks)
}

function checkPath(path: string, previous: string | undefined): void {
  const parts = path.split('/')
  if (
    path === trailerName ||
    path.includes('\0') ||
    parts.some((part) => part === '' || part === '.' || part === '..')
  ) {
    throw new RangeError(`not a path inside an archive: ${JSON.stringify(path)}`)
  }
  if (path === previous) throw new RangeError(`the path ${path} is in the archive twice`)
}

function appendEntry(chunks: Buffer[], entry: CpioEntry, inode: number): void {
  const content =
    entry.type === 'file'
      ? Buffer.from(entry.content.buffer, entry.content.byteOffset, entry.content.byteLength)
      : Buffer.from(entry.type === 'symlink' ? entry.target : '')
  if (content.length > 0xffff_ffff) throw new RangeError(`${entry.path} is too large for a newc archive`)
  const device = entry.type === 'character-device' ? entry : { major: 0, minor: 0 }
  appendHeader(chunks, {
    name: entry.path,
    inode,
    mode: typeBits[entry.type] | entry.mode,
    uid: entry.owner?.uid ?? 0,
    gid: entry.owner?.gid ?? 0,
    links: entry.type === 'directory' ? 2 : 1,
    size: content.length,
    major: device.major,
    minor: device.minor,
  })
  chunks.push(content, Buffer.alloc(aligned(content.length) - content.length))
}

interface Header {
  readonly name: string
  readonly inode: number
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly links: number
  readonly size: number
  readonly major: number
  readonly minor: number
}

function appendHeader(chunks: Buffer[], header: Header): void {
  const name = Buffer.from(`${header.name}\0`)
  const modificationTime = 0
  const checksum = 0
  const fields = [
    header.inode,
    header.mode,
    header.uid,
    header.gid,
    header.links,
    modificationTime,
    header.size,
    0,
    0,
    header.major,
    header.minor,
    name.length,
    checksum,
  ]
  const text = `070701${fields.map((field) => field.toString(16).padStart(8, '0').toUpperCase()).join('')}`
  const head = Buffer.concat([Buffer.from(text, 'ascii'), name])
  chunks.push(head, Buffer.alloc(aligned(head.length) - head.length))
}
