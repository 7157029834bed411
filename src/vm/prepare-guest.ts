import { cacheDirectory } from '../config/paths.ts'
import type { Accelerator } from '../domain/domain-xml.ts'
import { buildLabImage, type LabImage } from '../image/lab-image.ts'
import { localShell } from '../shell/local.ts'
import { type AcceleratorVerdict, detectAccelerator } from './accelerator.ts'

export interface PrepareGuestOptions {
  readonly requested: 'auto' | Accelerator
  readonly signal: AbortSignal
  readonly onProgress: (activity: string) => void
}

export interface PreparedGuest extends AcceleratorVerdict {
  readonly image: LabImage
}

/** The lab router image, built if need be, and what it runs on here. Errors as in buildLabImage and detectAccelerator. */
export async function prepareGuest(options: PrepareGuestOptions): Promise<PreparedGuest> {
  const common = { ...options, shell: localShell, cacheDirectory: cacheDirectory() }
  const image = await buildLabImage(common)
  return { image, ...(await detectAccelerator({ ...common, ...image })) }
}
