import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { storedImageNameSchema } from '../config/domain-definition.ts'
import { imagesDirectory, storedDisk } from '../config/paths.ts'
import { VmrError } from '../errors/vmr-error.ts'
import { hasErrno } from '../errors/write-error.ts'

const sha256Schema = z.string().regex(/^[0-9a-f]{64}$/)
const sizeSchema = z.number().int().nonnegative()

const manifestSchema = z.strictObject({
  version: z.literal(1),
  name: storedImageNameSchema,
  /** What it was made of. */
  source: z.strictObject({
    kind: z.enum(['disk', 'installer']),
    file: z.string().max(4096),
    bytes: sizeSchema,
    sha256: sha256Schema,
    /** By what a signature of it was made that was checked. */
    signedBy: z.string().max(200).optional(),
  }),
  /** Its first boot takes its configuration from a seed; known from whoever imported it. */
  cloudInit: z.literal(true).optional(),
  /** As the guest names itself, where vmr has booted it: "VyOS 1.4.1". */
  release: z.string().max(200).optional(),
  bytes: sizeSchema,
  virtualBytes: sizeSchema,
  /** Of the stored disk. */
  sha256: sha256Schema,
  importedAt: z.iso.datetime(),
})
export type ImageManifest = z.infer<typeof manifestSchema>

/** An image that VMs are made of: a qcow2 disk that stands on no other. */
export interface StoredImage extends Omit<ImageManifest, 'version'> {
  readonly file: string
}

export const manifestFile = 'image.json'
/** Folders that begin with a dot are imports under way. */
export const stagingPrefix = '.import-'

/** @throws VmrError NAME_INVALID */
export function checkImageName(name: string): string {
  const result = storedImageNameSchema.safeParse(name)
  if (result.success) return result.data
  const shown = JSON.stringify(name.length > 80 ? `${name.slice(0, 80)}…` : name)
  throw new VmrError('NAME_INVALID', `${shown} cannot be the name of an imported image`, {
    hint: 'Lower-case letters, digits, single dots, - and _, without the ending of a file, as vyos-1.4.1; lab and lab-router are vmr’s own.',
  })
}

/**
 * @throws VmrError NAME_INVALID; IMAGE_NOT_FOUND; IMAGE_INVALID for one whose record is damaged.
 */
export async function findStoredImage(name: string): Promise<StoredImage> {
  const found = await readStoredImage(checkImageName(name))
  if (found === undefined) throw noSuchImage(name)
  return found
}

export function noSuchImage(name: string, cause?: unknown): VmrError {
  return new VmrError('IMAGE_NOT_FOUND', `there is no image ${name}`, {
    hint: `See \`vmr image list\`, or import one: vmr image import FILE --name ${name}`,
    cause,
  })
}

export async function listStoredImages(): Promise<readonly StoredImage[]> {
  let names: readonly string[]
  try {
    names = await readdir(imagesDirectory())
  } catch (error) {
    if (hasErrno(error, 'ENOENT')) return []
    throw error
  }
  const images = await Promise.all(
    names.filter((name) => storedImageNameSchema.safeParse(name).success).map(readStoredImage),
  )
  return images
    .flatMap((image) => (image === undefined ? [] : [image]))
    .toSorted((left, right) => left.name.localeCompare(right.name))
}

/** Undefined when there is none. */
async function readStoredImage(name: string): Promise<StoredImage | undefined> {
  const path = join(imagesDirectory(), name, manifestFile)
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if (hasErrno(error, 'ENOENT') || hasErrno(error, 'ENOTDIR')) return undefined
    throw damaged(path, error)
  }
  try {
    const { version: _version, ...manifest } = manifestSchema.parse(JSON.parse(text))
    if (manifest.name !== name) throw new RangeError(`it is the record of ${manifest.name}`)
    return { ...manifest, file: storedDisk(name) }
  } catch (error) {
    throw damaged(path, error)
  }
}

function damaged(path: string, cause: unknown): VmrError {
  return new VmrError('IMAGE_INVALID', `${path} is no record of an image that can be read`, {
    hint: 'Remove its folder, if no VM stands on it, and import the image again.',
    cause,
  })
}
