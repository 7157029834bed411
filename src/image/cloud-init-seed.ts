import { VmrError } from '../errors/vmr-error.ts'
import { writeIso9660 } from './iso9660.ts'

/** What a cloud-init guest finds on its seed; each a text as cloud-init's NoCloud source reads it. */
export interface SeedContent {
  readonly userData: string
  /** Default: the instance's identity and host name. */
  readonly metaData?: string | undefined
  readonly networkConfig?: string | undefined
  readonly instanceId: string
  readonly vmName: string
}

/**
 * The image of a NoCloud seed: a volume with the label `cidata` that holds user-data and meta-data
 * (docs.cloud-init.io, "NoCloud"). VyOS's images with cloud-init read the same.
 *
 * @throws VmrError CONFIG_INVALID for user data that cloud-init would take for nothing.
 */
export function cloudInitSeed({ userData, metaData, networkConfig, instanceId, vmName }: SeedContent): Buffer {
  // cloud-init tells kinds of user data apart by their first line and silently ignores what it does not know.
  if (
    !/^(?:#cloud-config|#!|#include|#cloud-boothook|#part-handler|## template:|Content-Type:|MIME-Version:)/.test(
      userData,
    )
  )
    throw new VmrError(
      'CONFIG_INVALID',
      'cloudInit.userData does not begin with #cloud-config, and cloud-init ignores it',
      {
        hint: 'Make #cloud-config its first line.',
      },
    )
  const identity = `instance-id: ${instanceId}\nlocal-hostname: ${hostName(vmName)}\n`
  const texts = { 'user-data': userData, 'meta-data': metaData ?? identity, 'network-config': networkConfig }
  return writeIso9660(
    'cidata',
    Object.entries(texts).flatMap(([name, text]) => (text === undefined ? [] : [{ name, content: Buffer.from(text) }])),
  )
}

/** A VM's name may have underscores, which a host name may not (RFC 1123). */
export function hostName(vmName: string): string {
  return vmName.replaceAll('_', '-').replace(/-+(?=\.|$)/g, '')
}
