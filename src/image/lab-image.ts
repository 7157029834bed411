import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { packageRoot } from '../config/package-root.ts'
import { VmrError } from '../errors/vmr-error.ts'
import type { Shell } from '../shell/shell.ts'
import { type CpioEntry, writeCpio } from './cpio.ts'
import { type DebianPackage, downloadPackages, packageFile, resolvePackages } from './debian-packages.ts'
import { readGuestFiles } from './guest-files.ts'
import { composeRootFilesystem, requestedPackages } from './root-filesystem.ts'

/** Goes into every digest: raise it when the same inputs shall give other bytes. */
const builderVersion = 4

/**
 * What the kernel is told. `no_timer_check` and `tsc=unstable`: under software emulation on a loaded host the timer
 * calibration at boot can hang otherwise. `net.ifnames=0`: NICs are eth0, eth1… in the order of their PCI slots.
 */
const labRouterCommandLine =
  'console=ttyS0,115200 quiet loglevel=3 net.ifnames=0 no_timer_check tsc=unstable panic=-1 rng_core.default_quality=1000'

const manifestSchema = z.strictObject({
  kind: z.literal('lab-router'),
  builderVersion: z.number().int(),
  digest: z.string().regex(/^[0-9a-f]{64}$/),
  commandLine: z.string(),
  kernelSha256: z.string().regex(/^[0-9a-f]{64}$/),
  initramfsSha256: z.string().regex(/^[0-9a-f]{64}$/),
  packages: z.array(z.strictObject({ name: z.string(), version: z.string(), sha256: z.string() })).max(1000),
})
type Manifest = z.infer<typeof manifestSchema>

/** A guest that boots directly from a kernel and an initramfs, and speaks a subset of VyOS's commands. */
export interface LabImage {
  readonly kind: 'lab-router'
  /** Path of the kernel image. */
  readonly kernel: string
  /** Path of the initramfs. */
  readonly initramfs: string
  readonly commandLine: string
  /** SHA-256 of all inputs, in hexadecimal: the same digest means the same bytes. */
  readonly digest: string
  /** The Debian packages that it was made of. */
  readonly packages: readonly { readonly name: string; readonly version: string }[]
}

export interface BuildLabImageOptions {
  readonly cacheDirectory: string
  /** Runs apt and dpkg-deb on this host. */
  readonly shell: Shell
  readonly signal?: AbortSignal
  /** Called with what is being done, in a few words, at each step. */
  readonly onProgress?: (step: string) => void
  /** Ask apt for newer packages even if an image of these guest files exists. */
  readonly refresh?: boolean
}

/**
 * Builds the lab router's image from Debian packages, or returns the one that was built before. The same packages and
 * guest files give the same bytes. Needs no root. An interrupted build leaves nothing behind, and two builds at once
 * do not disturb each other.
 *
 * @throws VmrError IMAGE_BUILD_FAILED (apt's or dpkg's words), HOST_DISK_FULL, INTERRUPTED.
 */
export async function buildLabImage(options: BuildLabImageOptions): Promise<LabImage> {
  const { cacheDirectory, shell, signal } = options
  const progress = options.onProgress ?? (() => undefined)
  const root = imagesDirectory(cacheDirectory)
  const guestFiles = await readGuestFiles(guestDirectory())
  const fingerprint = digestOf({ builderVersion, requestedPackages, guest: digestsOf(guestFiles) })
  if (options.refresh !== true) {
    const built = await readCurrent(root, fingerprint)
    if (built !== undefined) return built
  }
  try {
    await mkdir(join(root, 'packages'), { recursive: true })
    await removeAbandonedBuilds(root)
    progress('asking apt for the packages')
    const packages = await resolvePackages(shell, requestedPackages, { signal })
    const digest = digestOf({
      fingerprint,
      packages: packages.map(({ name, version, sha256 }) => [name, version, sha256]),
    })
    if ((await readImage(root, digest)) === undefined) {
      await build({ root, digest, packages, guestFiles, shell, signal, progress })
    }
    await replaceFile(join(root, `current-${fingerprint}`), `${digest}\n`)
    const image = await readImage(root, digest)
    if (image === undefined)
      throw new VmrError('INTERNAL', `the lab router image ${digest} vanished after it was built`)
    return image
  } catch (error) {
    throw buildFailure(error, root)
  }
}

/**
 * The image that was built last for these guest files, or undefined. Reads a few small files and asks nobody.
 *
 * @throws VmrError IMAGE_INVALID if its manifest is damaged.
 */
export async function findLabImage(cacheDirectory: string): Promise<LabImage | undefined> {
  const guestFiles = await readGuestFiles(guestDirectory())
  const fingerprint = digestOf({ builderVersion, requestedPackages, guest: digestsOf(guestFiles) })
  return await readCurrent(imagesDirectory(cacheDirectory), fingerprint)
}

/**
 * Compares the bytes of an image with what its manifest says.
 *
 * @throws VmrError IMAGE_NOT_FOUND if a file is missing, IMAGE_INVALID if one was changed.
 */
export async function verifyLabImage(image: LabImage): Promise<void> {
  const manifest = await readManifest(join(image.kernel, '..', 'manifest.json'))
  if (manifest === undefined) throw missing(image.kernel)
  for (const [path, expected] of [
    [image.kernel, manifest.kernelSha256],
    [image.initramfs, manifest.initramfsSha256],
  ] as const) {
    const bytes = await readIfPresent(path)
    if (bytes === undefined) throw missing(path)
    if (sha256(bytes) !== expected) {
      throw new VmrError('IMAGE_INVALID', `${path} is not what was built: its digest differs from the manifest's`, {
        hint: 'delete its folder and build the image again: vmr image build lab',
      })
    }
  }
}

const missing = (path: string): VmrError =>
  new VmrError('IMAGE_NOT_FOUND', `the lab router image has no ${path}`, { hint: 'build it: vmr image build lab' })

const imagesDirectory = (cacheDirectory: string): string => join(cacheDirectory, 'lab-router')

const guestDirectory = (): string => join(packageRoot(), 'guest', 'lab-router', 'rootfs')

const sha256 = (bytes: Uint8Array | string): string => createHash('sha256').update(bytes).digest('hex')
const digestOf = (inputs: unknown): string => sha256(JSON.stringify(inputs))

const digestsOf = (entries: readonly CpioEntry[]) =>
  entries.map((entry) => [entry.path, entry.mode, entry.type === 'file' ? sha256(entry.content) : entry.type])

interface BuildInputs {
  readonly root: string
  readonly digest: string
  readonly packages: readonly DebianPackage[]
  readonly guestFiles: readonly CpioEntry[]
  readonly shell: Shell
  readonly signal: AbortSignal | undefined
  readonly progress: (step: string) => void
}

async function build({ root, digest, packages, guestFiles, shell, signal, progress }: BuildInputs): Promise<void> {
  // The process id in the name tells a later build whether this one still lives.
  const work = await mkdtemp(join(root, `.build-${process.pid}-`))
  try {
    const megabytes = Math.round(packages.reduce((sum, item) => sum + item.sizeBytes, 0) / 1e6)
    progress(`downloading ${packages.length} Debian packages (${megabytes} MB)`)
    const debs = join(root, 'packages')
    await downloadPackages(shell, packages, debs, work, { signal })
    progress('unpacking')
    const unpacked = join(work, 'unpacked')
    await mkdir(unpacked)
    for (const item of packages) await unpack(shell, packageFile(debs, item), unpacked, signal)
    progress('putting the guest together')
    const { kernel, entries } = await composeRootFilesystem(unpacked, guestFiles)
    const initramfs = writeCpio(entries)
    signal?.throwIfAborted()
    const image = join(work, 'image')
    await mkdir(image)
    await writeFile(join(image, 'vmlinuz'), kernel)
    await writeFile(join(image, 'initramfs'), initramfs)
    const manifest: Manifest = {
      kind: 'lab-router',
      builderVersion,
      digest,
      commandLine: labRouterCommandLine,
      kernelSha256: sha256(kernel),
      initramfsSha256: sha256(initramfs),
      packages: packages.map(({ name, version, sha256: deb }) => ({ name, version, sha256: deb })),
    }
    await writeFile(join(image, 'manifest.json'), `${JSON.stringify(manifest, null, 2)}\n`)
    await publish(image, join(root, digest))
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}

async function unpack(shell: Shell, file: string, into: string, signal: AbortSignal | undefined): Promise<void> {
  const result = await shell.run(['dpkg-deb', '-x', file, into], {
    timeoutMs: 120_000,
    ...(signal === undefined ? {} : { signal }),
  })
  if (result.exitCode === 0) return
  const words = result.stderr.trim().slice(0, 600)
  if (words.includes('No space left on device')) throw diskFull(into, words)
  throw new VmrError('IMAGE_BUILD_FAILED', `dpkg-deb could not unpack ${file}: ${words}`, {
    hint: 'delete the file and build again, so that it is downloaded anew',
  })
}

/** Renames a finished folder into place. Another build of the same digest that was faster has made the same bytes. */
async function publish(from: string, to: string): Promise<void> {
  try {
    await rename(from, to)
  } catch (error) {
    if (hasCode(error, 'ENOTEMPTY') || hasCode(error, 'EEXIST')) return
    throw error
  }
}

async function replaceFile(path: string, text: string): Promise<void> {
  const draft = `${path}.${process.pid}`
  await writeFile(draft, text)
  await rename(draft, path)
}

/** Folders of builds whose process is gone (killed, or the machine went down). */
async function removeAbandonedBuilds(root: string): Promise<void> {
  for (const name of await readdir(root)) {
    const pid = /^\.build-(\d+)-/.exec(name)?.[1]
    if (pid !== undefined && !isAlive(Number(pid))) await rm(join(root, name), { recursive: true, force: true })
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return hasCode(error, 'EPERM')
  }
}

async function readCurrent(root: string, fingerprint: string): Promise<LabImage | undefined> {
  const digest = (await readIfPresent(join(root, `current-${fingerprint}`)))?.toString('utf8').trim()
  return digest === undefined || !/^[0-9a-f]{64}$/.test(digest) ? undefined : await readImage(root, digest)
}

async function readImage(root: string, digest: string): Promise<LabImage | undefined> {
  const directory = join(root, digest)
  const manifest = await readManifest(join(directory, 'manifest.json'))
  if (manifest === undefined) return undefined
  return {
    kind: 'lab-router',
    kernel: join(directory, 'vmlinuz'),
    initramfs: join(directory, 'initramfs'),
    commandLine: manifest.commandLine,
    digest: manifest.digest,
    packages: manifest.packages.map(({ name, version }) => ({ name, version })),
  }
}

async function readManifest(path: string): Promise<Manifest | undefined> {
  const bytes = await readIfPresent(path)
  if (bytes === undefined) return undefined
  try {
    return manifestSchema.parse(JSON.parse(bytes.toString('utf8')))
  } catch (error) {
    throw new VmrError('IMAGE_INVALID', `${path} is not a manifest of a lab router image`, {
      hint: 'delete its folder and build the image again: vmr image build lab',
      cause: error,
    })
  }
}

async function readIfPresent(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path)
  } catch (error) {
    if (hasCode(error, 'ENOENT') || hasCode(error, 'ENOTDIR')) return undefined
    throw error
  }
}

const hasCode = (error: unknown, code: string): boolean =>
  error instanceof Error && 'code' in error && error.code === code

const diskFull = (directory: string, words: string, cause?: unknown): VmrError =>
  new VmrError('HOST_DISK_FULL', `the disk of ${directory} is full: ${words}`, {
    hint: 'free some space (about 400 MB are needed) and build again',
    cause,
  })

function buildFailure(error: unknown, root: string): unknown {
  if (hasCode(error, 'ENOSPC') || hasCode(error, 'EDQUOT')) {
    return diskFull(root, error instanceof Error ? error.message : '', error)
  }
  if (hasCode(error, 'EACCES') || hasCode(error, 'EPERM') || hasCode(error, 'EROFS')) {
    return new VmrError(
      'HOST_PERMISSION',
      `cannot write below ${root}: ${error instanceof Error ? error.message : ''}`,
      {
        hint: 'give the folder to this user, or choose another cache folder',
        cause: error,
      },
    )
  }
  return error
}
