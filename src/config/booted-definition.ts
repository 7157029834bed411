import { resolve } from 'node:path'
import { VmrError } from '../errors/vmr-error.ts'
import { type DomainDefinition, diskSchema, isBuiltImage, isStoredImage } from './domain-definition.ts'
import { type LoadedDomainDefinition, loadDomainDefinition } from './load-domain-definition.ts'
import { storedDisk } from './paths.ts'

/** What a VM shall boot, said beside its definition. */
export interface BootRequest {
  /** Default: `vyos` for an image or ISO that is not vmr's own, else `lab-router`. */
  readonly domain?: string | undefined
  /** As `image` of a definition; a relative path counts from the current directory. */
  readonly image?: string | undefined
  /** An ISO image that runs without a disk. */
  readonly iso?: string | undefined
}

/**
 * A definition, with what it boots replaced: an image in place of its own or of the base of its first disk, or a live ISO
 * in place of all of its disks.
 *
 * @throws VmrError CONFIG_NOT_FOUND, CONFIG_INVALID as loadDomainDefinition does; USAGE for what is no image's name.
 */
export async function loadBootedDefinition({ domain, image, iso }: BootRequest): Promise<LoadedDomainDefinition> {
  const own = iso === undefined && (image === undefined || isBuiltImage(image))
  const loaded = await loadDomainDefinition(domain ?? (own ? 'lab-router' : 'vyos'))
  const { definition } = loaded
  if (iso !== undefined) return { ...loaded, definition: withIso(definition, resolve(iso)) }
  if (image === undefined) return loaded
  return { ...loaded, definition: withImage(definition, image) }
}

/** What a live ISO needs of a definition is all but its disks and what booted it before. */
function withIso({ image: _image, kernel: _kernel, ...rest }: DomainDefinition, iso: string): DomainDefinition {
  return { ...rest, disks: [], cdrom: iso }
}

function withImage({ image: _image, kernel: _kernel, ...rest }: DomainDefinition, image: string): DomainDefinition {
  if (isBuiltImage(image)) return { ...rest, image: 'lab-router', disks: rest.disks.filter(({ base }) => !base) }
  const base = fileOf(image)
  const [first, ...others] = rest.disks
  return {
    ...rest,
    disks:
      first?.base === undefined
        ? [diskSchema.parse({ base }), ...rest.disks]
        : [{ ...first, base, format: 'qcow2' }, ...others],
  }
}

function fileOf(image: string): string {
  if (isStoredImage(image)) return storedDisk(image)
  if (/\/|\.qcow2$/.test(image)) return resolve(image)
  throw new VmrError('USAGE', `${JSON.stringify(image.slice(0, 80))} is no image`, {
    hint: 'Give a name of `vmr image list`, or the path of a qcow2 file. For an ISO: --iso, or vmr image import.',
  })
}
