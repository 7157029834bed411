import { existsSync } from 'node:fs'
import { cacheDirectory } from '../config/paths.ts'
import type { Accelerator } from '../domain/domain-xml.ts'
import { buildLabImage, type LabImage } from '../image/lab-image.ts'
import { localShell } from '../shell/local.ts'
import { type AcceleratorVerdict, detectAccelerator, kvmDevice } from './accelerator.ts'

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

/**
 * What a guest runs on that brings its own image. The lab router's is built only where a test boot has to tell whether
 * KVM works. Errors as in prepareGuest.
 */
export async function chooseAccelerator(options: PrepareGuestOptions): Promise<AcceleratorVerdict> {
  if (options.requested === 'tcg') return { accelerator: 'tcg', reason: 'asked for' }
  if (options.requested === 'auto' && !existsSync(kvmDevice))
    return { accelerator: 'tcg', reason: `there is no ${kvmDevice}` }
  return prepareGuest(options)
}
