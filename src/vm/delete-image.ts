import { rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { imagesDirectory } from '../config/paths.ts'
import { VmrError } from '../errors/vmr-error.ts'
import { writeError } from '../errors/write-error.ts'
import { findStoredImage, type StoredImage, stagingPrefix } from '../image/stored-image.ts'
import type { Connection } from '../libvirt/index.ts'
import type { Shell } from '../shell/shell.ts'
import { withHostLock } from '../undo/host-lock.ts'
import type { Journal } from '../undo/journal.ts'
import { usersOfImage } from './image-users.ts'

/**
 * The image, if nobody's disk stands on it.
 *
 * @throws VmrError IMAGE_NOT_FOUND, IMAGE_IN_USE naming the VMs.
 */
export async function findUnusedImage(
  connection: Connection,
  name: string,
  tools: { readonly shell: Shell; readonly signal: AbortSignal },
): Promise<StoredImage> {
  const image = await findStoredImage(name)
  const uses = await usersOfImage(connection, image.file, tools)
  if (uses.length === 0) return image
  const users = [...new Set(uses.map(({ user }) => user))]
  throw new VmrError('IMAGE_IN_USE', `the disk of ${users.slice(0, 10).join(', ')} stands on the image ${name}`, {
    hint: `Without it ${users.length === 1 ? 'that disk is' : 'those disks are'} lost. Delete the VM first: vmr vm delete ${users[0]}`,
  })
}

/**
 * Removes an image that nobody uses. It is out of the store in one step, and the journal knows what is left of it then.
 *
 * @throws VmrError as of findUnusedImage; HOST_BUSY, HOST_PERMISSION.
 */
export async function deleteImage(
  connection: Connection,
  name: string,
  { journal, ...tools }: { readonly journal: Journal; readonly shell: Shell; readonly signal: AbortSignal },
): Promise<StoredImage> {
  return withHostLock({ name: `image ${name}`, signal: tools.signal, timeoutMs: 1000 }, async () => {
    const image = await findUnusedImage(connection, name, tools)
    const aside = join(imagesDirectory(), `${stagingPrefix}${journal.runId}`)
    const id = await journal.before({ kind: 'directory', path: aside })
    try {
      await rename(dirname(image.file), aside)
      await rm(aside, { recursive: true, force: true })
    } catch (error) {
      throw writeError(image.file, error, { permission: 'Run vmr as root.' })
    }
    await journal.undone(id)
    return image
  })
}
