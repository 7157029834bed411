import { z } from 'zod'
import { VmrError } from '../errors/vmr-error.ts'

/**
 * A VM's name is a libvirt domain name, a directory and the stem of files, and the guest's host name may come from it:
 * no slash, blank, dot-dot or leading dash, and no longer than a host name label (RFC 1123: 63).
 */
export const vmNameSchema = z
  .string()
  .regex(
    /^[A-Za-z0-9](?:[A-Za-z0-9_-]|\.(?!\.|$)){0,62}$/,
    'must start with a letter or digit, then up to 62 of A-Z a-z 0-9 _ - and single dots, not ending in a dot',
  )

/** @throws VmrError NAME_INVALID */
export function checkVmName(name: string): string {
  const result = vmNameSchema.safeParse(name)
  if (result.success) return result.data
  const shown = JSON.stringify(name.length > 80 ? `${name.slice(0, 80)}…` : name)
  throw new VmrError('NAME_INVALID', `${shown} cannot be a VM name: it ${result.error.issues[0]?.message}`, {
    hint: 'Choose a name such as r1 or vyos-lab.',
  })
}
