import { createHash } from 'node:crypto'
import { z } from 'zod'
import { VmrError } from '../../errors/vmr-error.ts'

/** A public key that an SSH service proves itself with. */
export interface HostKey {
  /** "ssh-ed25519". */
  readonly type: string
  /** As in authorized_keys(5) and known_hosts: base64 of RFC 4253 section 6.6. */
  readonly blob: string
}

const keySchema = z.object({
  type: z.string().regex(/^(?:ssh|ecdsa)-[a-z0-9@.-]{1,60}$/),
  blob: z.string().regex(/^AAAA[A-Za-z0-9+/]{20,2000}={0,2}$/),
})
const maxKeys = 16

/** "SHA256:…", as OpenSSH shows it: unpadded base64 of the digest of the key's bytes. */
export function fingerprintOf({ blob }: HostKey): string {
  const digest = createHash('sha256').update(Buffer.from(blob, 'base64')).digest('base64')
  return `SHA256:${digest.replace(/=+$/, '')}`
}

/** Reads keys out of text that has one in a line, after `skip` words: public key files, known_hosts, ssh-keyscan. */
export function parseHostKeys(text: string, skip: number): readonly HostKey[] {
  const keys = text.split('\n').flatMap((line) => {
    const [type, blob] = line.trim().split(/\s+/).slice(skip)
    const parsed = keySchema.safeParse({ type, blob })
    return parsed.success && !line.trimStart().startsWith('#') ? [parsed.data] : []
  })
  return [...new Map(keys.map((key) => [key.blob, key])).values()].slice(0, maxKeys)
}

/** The key as it comes in the key exchange: a string of its type first (RFC 4253 section 6.6). */
export function hostKeyOf(bytes: Buffer): HostKey {
  const length = bytes.length < 4 ? 0 : Math.min(bytes.readUInt32BE(0), 64)
  return {
    type: bytes
      .subarray(4, 4 + length)
      .toString('latin1')
      .replace(/[^\x21-\x7e]/g, ''),
    blob: bytes.toString('base64'),
  }
}

/**
 * Compares what a host shows with what is pinned for it. A host that shows several is known by any of them.
 *
 * @throws VmrError GUEST_HOST_KEY_CHANGED with both fingerprints.
 */
export function checkHostKeys(name: string, pinned: readonly HostKey[], shown: readonly HostKey[]): void {
  if (shown.length === 0 || shown.some(({ blob }) => pinned.some((key) => key.blob === blob))) return
  const words = (keys: readonly HostKey[]) => keys.map((key) => `${fingerprintOf(key)} (${key.type})`).join(', ')
  throw new VmrError(
    'GUEST_HOST_KEY_CHANGED',
    `what answers at the address of ${name} shows the SSH host key ${words(shown)}, and not the pinned ${pinned.length === 0 ? 'one: none is pinned' : words(pinned)}`,
    {
      hint: `Was the guest installed anew? Then pin its keys again, over its console: vmr vm trust ${name}. Else somebody is in between.`,
    },
  )
}
