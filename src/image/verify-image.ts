import { isVmrError } from '../errors/vmr-error.ts'
import type { Shell } from '../shell/shell.ts'
import { digestOf } from './digest.ts'
import { inspectDiskImage } from './disk-image.ts'
import type { StoredImage } from './stored-image.ts'

export interface ImageVerdict {
  readonly name: string
  readonly intact: boolean
  /** What is wrong with it. */
  readonly problem?: string
}

/** Whether an image is what was imported: its digest is that of its record, and it is a disk that stands on no other. */
export async function verifyImage(
  { name, file, sha256 }: StoredImage,
  options: { readonly shell: Shell; readonly signal: AbortSignal; readonly onProgress: (bytes: number) => void },
): Promise<ImageVerdict> {
  try {
    const found = await digestOf(file, options)
    if (found.sha256 !== sha256)
      return { name, intact: false, problem: `its SHA-256 is ${found.sha256}, not ${sha256} as when it was imported` }
    await inspectDiskImage(file, 'qcow2', { ...options, allowBackingFile: false })
    return { name, intact: true }
  } catch (error) {
    if (!isVmrError(error) || (error.code !== 'IMAGE_NOT_FOUND' && error.code !== 'IMAGE_INVALID')) throw error
    return { name, intact: false, problem: error.message }
  }
}
