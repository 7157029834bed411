import { constants } from 'node:fs'
import { access, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { DomainDefinition } from '../config/domain-definition.ts'
import { readConfigText } from '../config/load-yaml.ts'
import type { BackingFile, DirectKernel, ResolvedCdrom, ResolvedDisk } from '../domain/domain-xml.ts'
import { isVmrError, VmrError } from '../errors/vmr-error.ts'
import { writeError } from '../errors/write-error.ts'
import { cloudInitSeed } from '../image/cloud-init-seed.ts'
import { type DiskFormat, type DiskImage, inspectDiskImage, isIsoImage, unreadable } from '../image/disk-image.ts'
import { exists } from '../shell/local/exists.ts'
import { runChecked, type Shell } from '../shell/shell.ts'
import type { Journal } from '../undo/journal.ts'

/** A file that has to be made before the VM is defined. */
type StorageFile =
  /** A qcow2 overlay that takes what the VM writes, and leaves the base alone. */
  | {
      readonly kind: 'overlay'
      readonly file: string
      readonly base: { readonly file: string; readonly format: DiskFormat }
      readonly bytes: number
    }
  | { readonly kind: 'empty disk'; readonly file: string; readonly format: DiskFormat; readonly bytes: number }
  | { readonly kind: 'cloud-init seed'; readonly file: string; readonly content: Buffer }

/** Everything that a VM boots from and writes to. */
export interface PlannedStorage {
  readonly kernel: DirectKernel | undefined
  readonly disks: readonly ResolvedDisk[]
  readonly cdroms: readonly ResolvedCdrom[]
  /** Made by libvirt at the first start. */
  readonly nvram: string | undefined
  readonly toMake: readonly StorageFile[]
}

export interface StorageRequest {
  readonly vmName: string
  readonly uuid: string
  readonly definition: DomainDefinition
  /** The VM's own directory. */
  readonly directory: string
  /** Of a seed that vmr makes, where the definition has none of its own. */
  readonly seed?: { readonly userData: string; readonly networkConfig: string } | undefined
  readonly shell: Shell
  readonly signal: AbortSignal
}

type DiskDefinition = DomainDefinition['disks'][number]

/**
 * Looks at every file that the definition names, and decides what has to be made. Changes nothing.
 *
 * @throws VmrError IMAGE_NOT_FOUND, IMAGE_INVALID as inspectDiskImage does; CONFIG_INVALID, CONFIG_NOT_FOUND for the
 * files of a cloud-init seed.
 */
export async function planStorage(request: StorageRequest): Promise<PlannedStorage> {
  const { definition, directory } = request
  const { kernel, cdrom, firmware } = definition
  for (const file of [kernel?.file, kernel?.initrd]) if (file !== undefined) await checkReadable(file)
  if (typeof firmware === 'object')
    for (const file of [firmware.loader, firmware.nvramTemplate]) await checkReadable(file)
  if (cdrom !== undefined && !(await isIsoImage(cdrom)))
    throw new VmrError('IMAGE_INVALID', `${cdrom} is no ISO image`, { hint: 'Name an ISO image.' })
  const disks: { readonly disk: ResolvedDisk; readonly toMake: readonly StorageFile[] }[] = []
  for (const [index, disk] of definition.disks.entries()) disks.push(await planDisk(disk, index, request))
  const seed = await planSeed(request)
  return {
    kernel: kernel && { kernel: kernel.file, initrd: kernel.initrd, cmdline: kernel.cmdline },
    disks: disks.map(({ disk }) => disk),
    cdroms: [
      ...(cdrom === undefined ? [] : [{ file: cdrom, bootable: true, keepOwner: await mayKeepOwner(cdrom) }]),
      ...(seed === undefined ? [] : [{ file: seed.file, bootable: false }]),
    ],
    nvram: firmware === 'bios' ? undefined : join(directory, 'nvram.fd'),
    toMake: [...disks.flatMap(({ toMake }) => toMake), ...(seed === undefined ? [] : [seed])],
  }
}

async function planDisk(
  disk: DiskDefinition,
  index: number,
  { directory, shell, signal }: StorageRequest,
): Promise<{ readonly disk: ResolvedDisk; readonly toMake: readonly StorageFile[] }> {
  const { base, file, format, size, allowBackingFile, ...device } = disk
  const wantedBytes = size === undefined ? undefined : size * 1024
  const inspect = (path: string) => inspectDiskImage(path, format, { allowBackingFile, shell, signal })
  if (base !== undefined) {
    const image = await inspect(base)
    if (wantedBytes !== undefined && wantedBytes < image.virtualBytes)
      throw new VmrError(
        'IMAGE_INVALID',
        `${base} is larger than the size of disks[${index}]: ${image.virtualBytes} bytes`,
        {
          hint: 'Leave size out, or give a larger one: an overlay cannot be smaller than its base.',
        },
      )
    const overlay = join(directory, `disk${index}.qcow2`)
    return {
      disk: {
        ...device,
        file: overlay,
        format: 'qcow2',
        backing: await withOwners([{ file: base, format }, ...image.backing]),
      },
      toMake: [
        { kind: 'overlay', file: overlay, base: { file: base, format }, bytes: wantedBytes ?? image.virtualBytes },
      ],
    }
  }
  if (file === undefined) throw new VmrError('INTERNAL', `disks[${index}] has neither base nor file`)
  if (wantedBytes !== undefined && !(await isThere(file)))
    return {
      disk: { ...device, file, format, backing: [] },
      toMake: [{ kind: 'empty disk', file, format, bytes: wantedBytes }],
    }
  const image = await inspect(file).catch((error: unknown) => {
    throw isVmrError(error) && error.code === 'IMAGE_NOT_FOUND' ? withSizeHint(error) : error
  })
  const keepOwner = device.readOnly && (await mayKeepOwner(file))
  return { disk: { ...device, file, format, keepOwner, backing: await withOwners(image.backing) }, toMake: [] }
}

function withSizeHint(error: VmrError): VmrError {
  return new VmrError('IMAGE_NOT_FOUND', error.message, {
    hint: 'Check the path; or give a size, and vmr makes an empty disk there.',
    cause: error,
  })
}

async function planSeed(request: StorageRequest): Promise<StorageFile | undefined> {
  const { definition, directory, uuid, vmName, seed } = request
  const { cloudInit } = definition
  const file = join(directory, 'seed.iso')
  if (cloudInit === undefined) {
    if (seed === undefined) return undefined
    return { kind: 'cloud-init seed', file, content: cloudInitSeed({ ...seed, instanceId: uuid, vmName }) }
  }
  const optional = (path: string | undefined) => (path === undefined ? undefined : readConfigText(path))
  const content = cloudInitSeed({
    userData: await readConfigText(cloudInit.userData),
    metaData: await optional(cloudInit.metaData),
    networkConfig: await optional(cloudInit.networkConfig),
    instanceId: uuid,
    vmName,
  })
  return { kind: 'cloud-init seed', file, content }
}

/**
 * Makes the planned files; the VM's directory exists already. Each is in the journal before it is made.
 *
 * @throws VmrError HOST_COMMAND_FAILED with qemu-img's words, HOST_DISK_FULL, HOST_PERMISSION, HOST_TOOL_MISSING.
 */
export async function makeStorage(
  files: readonly StorageFile[],
  { journal, shell, signal }: { readonly journal: Journal; readonly shell: Shell; readonly signal: AbortSignal },
): Promise<void> {
  for (const made of files) {
    // A file of that name from before is nobody's to overwrite, and would be removed with the VM.
    if (await isThere(made.file))
      throw new VmrError('HOST_BUSY', `${made.file} exists already`, { hint: 'Move it away, or name another file.' })
    await journal.before({ kind: 'file', path: made.file })
    const create = (format: DiskFormat, more: readonly string[]) =>
      qemuImg(['qemu-img', 'create', '-q', '-f', format, ...more], made.file, { shell, signal })
    switch (made.kind) {
      case 'overlay':
        await create('qcow2', ['-F', made.base.format, '-b', made.base.file, '--', made.file, String(made.bytes)])
        break
      case 'empty disk':
        await create(made.format, ['--', made.file, String(made.bytes)])
        break
      case 'cloud-init seed':
        try {
          // It may hold passwords; libvirt gives it to QEMU's user while the VM runs.
          await writeFile(made.file, made.content, { mode: 0o600, flag: 'wx' })
        } catch (error) {
          throw writeError(made.file, error, { permission: 'Run vmr as root.' })
        }
    }
  }
}

async function qemuImg(
  argv: readonly string[],
  file: string,
  { shell, signal }: { readonly shell: Shell; readonly signal: AbortSignal },
): Promise<void> {
  try {
    await runChecked(shell, argv, { signal, timeoutMs: 60_000 })
  } catch (error) {
    if (isVmrError(error) && /No space left on device/.test(error.message))
      throw new VmrError('HOST_DISK_FULL', `${file} could not be made: the disk is full`, {
        hint: 'Free space and try again.',
        cause: error,
      })
    throw error
  }
}

function withOwners(chain: DiskImage['backing']): Promise<readonly BackingFile[]> {
  return Promise.all(chain.map(async (level) => ({ ...level, keepOwner: await mayKeepOwner(level.file) })))
}

/** Root's libvirt runs QEMU as another user, who needs no more than to read the file. */
async function mayKeepOwner(file: string): Promise<boolean> {
  const readableByAll = 0o004
  return process.getuid?.() === 0 && ((await stat(file)).mode & readableByAll) !== 0
}

function isThere(file: string): Promise<boolean> {
  return exists(file).catch((error: unknown) => {
    throw unreadable(file, error)
  })
}

async function checkReadable(file: string): Promise<void> {
  try {
    await access(file, constants.R_OK)
  } catch (error) {
    throw unreadable(file, error)
  }
}
