import { open } from 'node:fs/promises'
import { basename, dirname, isAbsolute } from 'node:path'
import { z } from 'zod'
import { storedDisk } from '../config/paths.ts'
import { isVmrError, VmrError } from '../errors/vmr-error.ts'
import { hasErrno } from '../errors/write-error.ts'
import type { Shell } from '../shell/shell.ts'
import { noSuchImage } from './stored-image.ts'

export type DiskFormat = 'qcow2' | 'raw'

export interface DiskImage {
  readonly file: string
  readonly format: DiskFormat
  /** What the guest sees, in bytes. */
  readonly virtualBytes: number
  /** The files that it stands on, nearest first. */
  readonly backing: readonly { readonly file: string; readonly format: DiskFormat }[]
}

/** `qemu-img info --output=json`: of ImageInfo in QEMU's qapi/block-core.json, what decides. */
const infoSchema = z.object({
  format: z.string().max(50),
  'virtual-size': z.number().int().nonnegative(),
  encrypted: z.boolean().optional(),
  'backing-filename': z.string().max(4096).optional(),
  'full-backing-filename': z.string().max(4096).optional(),
  'backing-filename-format': z.string().max(50).optional(),
  'format-specific': z
    .object({ data: z.object({ 'data-file': z.string().optional(), corrupt: z.boolean().optional() }).optional() })
    .optional(),
})
const chainSchema = z.array(infoSchema).min(1).max(64)

const sectorBytes = 512
const limits = { timeoutMs: 20_000, maxOutputBytes: 1024 * 1024 }

/**
 * Looks into a disk image before a VM is given it. The format is never guessed: a guest that writes to a raw disk could
 * make it look like another format that names files of the host.
 *
 * @throws VmrError IMAGE_NOT_FOUND; IMAGE_INVALID for a file that is no image of that format, is damaged or in use,
 * encrypted, keeps its data in another file, or stands on a backing file that is not allowed.
 */
export async function inspectDiskImage(
  file: string,
  format: DiskFormat,
  {
    allowBackingFile,
    shell,
    signal,
  }: { readonly allowBackingFile: boolean; readonly shell: Shell; readonly signal: AbortSignal },
): Promise<DiskImage> {
  const head = await readHead(file)
  if (format === 'raw') {
    const other = otherFormat(head.bytes)
    if (other !== undefined)
      throw invalid(
        file,
        `is a ${other} image, not a raw one`,
        `Set format: ${other === 'qcow2' ? other : 'qcow2, after qemu-img convert'}.`,
      )
    if (head.size === 0 || head.size % sectorBytes !== 0)
      throw invalid(
        file,
        `is no raw disk image: ${head.size} bytes are no whole number of sectors`,
        'Name a disk image.',
      )
    return { file, format, virtualBytes: head.size, backing: [] }
  }
  if (otherFormat(head.bytes) !== 'qcow2')
    throw invalid(
      file,
      'is no qcow2 image',
      `Name a qcow2 image, or make one of it: qemu-img convert -O qcow2 ${JSON.stringify(file)} image.qcow2. A raw image is a base of disks with format: raw.`,
    )
  const [top, ...below] = await chainOf(file, allowBackingFile, { shell, signal })
  if (top === undefined) throw new VmrError('INTERNAL', `qemu-img describes no image in ${file}`)
  if (!allowBackingFile && top['backing-filename'] !== undefined)
    throw invalid(
      file,
      `stands on the backing file ${JSON.stringify(top['backing-filename'])}`,
      'If you trust it, set allowBackingFile: true for the disk; or make it whole: qemu-img convert -O qcow2.',
    )
  for (const level of [top, ...below]) {
    const data = level['format-specific']?.data
    if (level.encrypted === true) throw invalid(file, 'is encrypted', 'Name an image without encryption.')
    if (data?.['data-file'] !== undefined)
      throw invalid(file, 'keeps its data in another file', 'Make it whole: qemu-img convert -O qcow2.')
    if (data?.corrupt === true) throw invalid(file, 'is marked as corrupt', 'Look at it with qemu-img check.')
  }
  return {
    file,
    format,
    virtualBytes: top['virtual-size'],
    backing: [top, ...below].flatMap((level) => backingOf(file, level)),
  }
}

async function chainOf(
  file: string,
  wholeChain: boolean,
  { shell, signal }: { readonly shell: Shell; readonly signal: AbortSignal },
): Promise<z.infer<typeof chainSchema>> {
  const argv = [
    'qemu-img',
    'info',
    '-f',
    'qcow2',
    '--output=json',
    ...(wholeChain ? ['--backing-chain'] : []),
    '--',
    file,
  ]
  const { stdout, stderr, exitCode } = await shell.run(argv, { ...limits, signal })
  if (exitCode !== 0) {
    const words =
      stderr
        .trim()
        .split('\n')[0]
        ?.replace(/^qemu-img: /, '')
        .slice(0, 300) ?? ''
    if (/lock/.test(words))
      throw invalid(file, 'is being written to by another program', 'Stop the VM that uses it, or name another image.')
    throw invalid(file, `cannot be used: ${words}`, 'Look at it with qemu-img info and qemu-img check.')
  }
  try {
    const said: unknown = JSON.parse(stdout)
    return chainSchema.parse(Array.isArray(said) ? said : [said])
  } catch (error) {
    throw new VmrError('IMAGE_INVALID', `${file}: qemu-img describes it in an unknown way`, {
      hint: 'Look at it with qemu-img info.',
      cause: error,
    })
  }
}

function backingOf(file: string, level: z.infer<typeof infoSchema>): DiskImage['backing'] {
  const below = level['full-backing-filename'] ?? level['backing-filename']
  if (below === undefined) return []
  if (!isAbsolute(below))
    throw invalid(file, `stands on ${JSON.stringify(below)}, which is no local file`, 'Use an image on local files.')
  const format = level['backing-filename-format']
  if (format !== 'qcow2' && format !== 'raw')
    throw invalid(
      file,
      `does not say that ${JSON.stringify(below)} below it is qcow2 or raw`,
      'Record it with qemu-img rebase -u -F FORMAT -b FILE.',
    )
  return [{ file: below, format }]
}

/** By magic number: QEMU's block/qcow2.c (version 2 on), block/vmdk.c, block/vdi.c, block/vhdx.c. */
const magics: readonly (readonly [name: string, offset: number, bytes: Buffer])[] = [
  ['qcow2', 0, Buffer.from('QFI\u00fb', 'latin1')],
  ['VMDK', 0, Buffer.from('KDMV')],
  ['VHDX', 0, Buffer.from('vhdxfile')],
  ['VDI', 64, Buffer.from([0x7f, 0x10, 0xda, 0xbe])],
]

function otherFormat(head: Buffer): string | undefined {
  return magics.find(([, offset, magic]) => head.subarray(offset, offset + magic.length).equals(magic))?.[0]
}

/** The first sector, and the size in bytes. */
async function readHead(file: string): Promise<{ readonly bytes: Buffer; readonly size: number }> {
  try {
    const handle = await open(file, 'r')
    try {
      const status = await handle.stat()
      if (!status.isFile()) throw invalid(file, 'is no file', 'Name a disk image.')
      const bytes = Buffer.alloc(sectorBytes)
      const { bytesRead } = await handle.read(bytes, 0, bytes.length, 0)
      return { bytes: bytes.subarray(0, bytesRead), size: status.size }
    } finally {
      await handle.close()
    }
  } catch (error) {
    if (isVmrError(error)) throw error
    throw unreadable(file, error)
  }
}

/**
 * Whether a file is an ISO image: the identifier of the first volume descriptor, in sector 16 (ECMA-119 8.1.3).
 *
 * @throws VmrError IMAGE_NOT_FOUND, IMAGE_INVALID when it cannot be read.
 */
export async function isIsoImage(file: string): Promise<boolean> {
  const identifier = Buffer.alloc(5)
  try {
    const handle = await open(file, 'r')
    try {
      await handle.read(identifier, 0, identifier.length, 16 * 2048 + 1)
    } finally {
      await handle.close()
    }
  } catch (error) {
    throw unreadable(file, error)
  }
  return identifier.toString('latin1') === 'CD001'
}

/** Why a file that a VM shall boot from cannot be read: IMAGE_NOT_FOUND or IMAGE_INVALID. */
export function unreadable(file: string, error: unknown): VmrError {
  if (hasErrno(error, 'ENOENT') || hasErrno(error, 'ENOTDIR')) {
    const stored = storedName(file)
    if (stored !== undefined) return noSuchImage(stored, error)
    return new VmrError('IMAGE_NOT_FOUND', `there is no ${file}`, { hint: 'Check the path.', cause: error })
  }
  return new VmrError('IMAGE_INVALID', `${file} cannot be read: ${error instanceof Error ? error.message : error}`, {
    hint: 'Name a file that you may read.',
    cause: error,
  })
}

/** The name of the stored image whose disk this file is. */
export function storedName(file: string): string | undefined {
  const name = basename(dirname(file))
  return file === storedDisk(name) ? name : undefined
}

function invalid(file: string, why: string, hint: string): VmrError {
  return new VmrError('IMAGE_INVALID', `${file} ${why}`, { hint })
}
