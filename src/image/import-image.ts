import { mkdir, open, rename, rm, stat, writeFile } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { imagesDirectory } from '../config/paths.ts'
import { VmrError } from '../errors/vmr-error.ts'
import { writeError } from '../errors/write-error.ts'
import { exists } from '../shell/local/exists.ts'
import type { Shell } from '../shell/shell.ts'
import { withHostLock } from '../undo/host-lock.ts'
import type { Journal } from '../undo/journal.ts'
import { copyWithDigest, type Digest, digestOf } from './digest.ts'
import { inspectDiskImage, isIsoImage } from './disk-image.ts'
import { type SignatureFiles, verifySignature } from './signature.ts'
import {
  checkImageName,
  findStoredImage,
  type ImageManifest,
  listStoredImages,
  manifestFile,
  type StoredImage,
  stagingPrefix,
} from './stored-image.ts'

export interface ImportRequest {
  readonly file: string
  /** Default: the file's name without its ending. */
  readonly name?: string | undefined
  /** What the file's digest must be, in hexadecimal. */
  readonly sha256?: string | undefined
  readonly signature?: SignatureFiles | undefined
  /** It was built with cloud-init: its VMs get their first configuration by a seed. */
  readonly cloudInit?: boolean | undefined
}

export interface ImportTools {
  readonly shell: Shell
  readonly signal: AbortSignal
  readonly onProgress: (activity: string) => void
}

/** A file that can be imported. */
export interface ImportPlan extends ImportRequest {
  readonly name: string
  readonly file: string
  /** A disk is taken as it is; an installer is booted, and what it installs is taken. */
  readonly kind: 'disk' | 'installer'
  readonly bytes: number
}

/** What became of an installer: the disk lies in the folder that it was given. */
export interface Installed {
  readonly release: string
}

/** Runs an installer and leaves its disk, whole and sealed, in that file. */
export type Installer = (iso: string, disk: string) => Promise<Installed>

/**
 * Looks at the file, and changes nothing.
 *
 * @throws VmrError NAME_INVALID, IMAGE_EXISTS; IMAGE_NOT_FOUND, IMAGE_INVALID as of inspectDiskImage; USAGE for an installer said to have cloud-init.
 */
export async function planImport(request: ImportRequest, { shell, signal }: ImportTools): Promise<ImportPlan> {
  const file = resolve(request.file)
  const name = checkImageName(request.name ?? nameOfFile(file))
  if ((await listStoredImages()).some((image) => image.name === name)) throw imageExists(name)
  const kind = (await isIsoImage(file)) ? 'installer' : 'disk'
  if (kind === 'installer' && request.cloudInit === true)
    throw new VmrError('USAGE', `${file} is an installer, and what VyOS installs has no cloud-init`, {
      hint: 'Leave --cloud-init out.',
    })
  if (kind === 'disk') await inspectDiskImage(file, 'qcow2', { allowBackingFile: false, shell, signal })
  return { ...request, file, name, kind, bytes: (await stat(file)).size }
}

/** "VyOS-1.4.1-amd64.iso" -> "vyos-1.4.1-amd64" */
function nameOfFile(file: string): string {
  return basename(file)
    .toLowerCase()
    .replace(/\.(?:qcow2|iso|img)$/, '')
    .replace(/[^a-z0-9._-]+/g, '-')
}

function imageExists(name: string): VmrError {
  return new VmrError('IMAGE_EXISTS', `there is already an image ${name}`, {
    hint: `Give another name with --name, or remove it with \`vmr image delete ${name}\`.`,
  })
}

/**
 * Checks the digest and the signature, copies the disk or runs the installer, and puts the result into the store in one
 * step: there is all of it or nothing. The journal knows what an interrupted import leaves.
 *
 * @throws VmrError IMAGE_INVALID for a digest or signature that is not as it should be, IMAGE_EXISTS, HOST_BUSY,
 * HOST_DISK_FULL, HOST_PERMISSION, and what the installer throws.
 */
export async function importImage(
  plan: ImportPlan,
  { journal, install, ...tools }: ImportTools & { readonly journal: Journal; readonly install: Installer },
): Promise<StoredImage> {
  const { name, file, kind } = plan
  const { shell, signal, onProgress } = tools
  return withHostLock({ name: `image ${name}`, signal, timeoutMs: 1000 }, async () => {
    const folder = join(imagesDirectory(), name)
    if (await exists(folder)) throw imageExists(name)
    const staging = join(imagesDirectory(), `${stagingPrefix}${journal.runId}`)
    await journal.before({ kind: 'directory', path: staging })
    try {
      // QEMU reads the disk as a user of its own, who has to pass through.
      await mkdir(staging, { recursive: true, mode: 0o755 })
    } catch (error) {
      throw writeError(staging, error, {
        permission: 'Run vmr as root, or set VMR_STATE_DIR to a directory of yours.',
      })
    }
    const disk = join(staging, 'disk.qcow2')
    const reading = (activity: string) => ({
      signal,
      onProgress: (bytes: number) => onProgress(`${activity} ${percent(bytes, plan.bytes)}`),
    })
    // What was checked is what boots: a copy that nobody changes meanwhile, where QEMU may read it.
    const copy = kind === 'disk' ? disk : join(staging, 'installer.iso')
    const source = await copyWithDigest(file, copy, reading('copying'))
    const signedBy = await checkSource(plan, source, copy, tools)
    const installed = kind === 'installer' ? await install(copy, disk) : undefined
    if (kind === 'installer') await rm(copy)
    const { virtualBytes } = await inspectDiskImage(disk, 'qcow2', { allowBackingFile: false, shell, signal })
    const stored = kind === 'disk' ? source : await digestOf(disk, { signal })
    const manifest: ImageManifest = {
      version: 1,
      name,
      source: { kind, file, ...source, ...(signedBy === undefined ? {} : { signedBy }) },
      ...(plan.cloudInit === true ? { cloudInit: true as const } : {}),
      ...(installed === undefined ? {} : { release: installed.release }),
      ...stored,
      virtualBytes,
      importedAt: new Date().toISOString(),
    }
    onProgress('storing it')
    await publish(staging, folder, manifest)
    return findStoredImage(name)
  })
}

/** On disk, whole, before it has its name. */
async function publish(staging: string, folder: string, manifest: ImageManifest): Promise<void> {
  const path = join(staging, manifestFile)
  try {
    await writeFile(path, `${JSON.stringify(manifest, null, 2)}\n`, { flush: true })
    await sync(join(staging, 'disk.qcow2'))
    await sync(staging)
    await rename(staging, folder)
    await sync(imagesDirectory())
  } catch (error) {
    throw writeError(folder, error, { permission: 'Run vmr as root.' })
  }
}

async function sync(path: string): Promise<void> {
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/**
 * Checks what the caller knows of the source.
 *
 * @returns by what it is signed.
 */
export async function checkSource(
  { sha256, signature, file: shown }: ImportPlan,
  found: Digest,
  file: string,
  { shell, signal, onProgress }: ImportTools,
): Promise<string | undefined> {
  if (sha256 !== undefined && sha256.toLowerCase() !== found.sha256)
    throw new VmrError('IMAGE_INVALID', `the SHA-256 of ${shown} is ${found.sha256}, not ${sha256.toLowerCase()}`, {
      hint: 'Fetch the image again. Do not use it as it is.',
    })
  if (signature === undefined) return undefined
  onProgress('checking its signature')
  return verifySignature(file, signature, { shell, signal })
}

export function percent(part: number, whole: number): string {
  return `${Math.floor((100 * part) / Math.max(1, whole))} %`
}
