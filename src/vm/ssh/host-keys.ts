import { createHash } from 'node:crypto'
import { mkdir, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import writeFileAtomic from 'write-file-atomic'
import { z } from 'zod'
import { VmrError } from '../../errors/vmr-error.ts'
import { hasErrno, writeError } from '../../errors/write-error.ts'
import type { Shell } from '../../shell/shell.ts'
import { vmDirectory } from '../create.ts'
import type { Vm } from '../find-vm.ts'

/** A public key that a guest's SSH service proves itself with. */
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

/** Where OpenSSH finds a VM's keys: among its own files, under its UUID, which outlives a renaming. */
export function knownHostsFile(name: string): string {
  return join(vmDirectory(name), 'known_hosts')
}

/** @returns none where none was pinned. */
export async function pinnedHostKeys(name: string): Promise<readonly HostKey[]> {
  try {
    return parseHostKeys(await readFile(knownHostsFile(name), 'utf8'), 1)
  } catch (error) {
    if (hasErrno(error, 'ENOENT')) return []
    throw error
  }
}

/**
 * Reads the guest's host keys over its console, the one channel that nobody on the network can come between, and pins
 * them.
 *
 * @throws VmrError GUEST_NOT_READY for a guest that has none: no SSH service ran there yet.
 */
export async function pinHostKeys(
  { domain }: Pick<Vm, 'domain'>,
  console: Shell,
  { signal }: { readonly signal: AbortSignal },
): Promise<readonly HostKey[]> {
  const { stdout } = await console.run(['sh', '-c', 'cat /etc/ssh/ssh_host_*_key.pub'], { timeoutMs: 60_000, signal })
  const keys = parseHostKeys(stdout, 0)
  if (keys.length === 0)
    throw new VmrError('GUEST_NOT_READY', `${domain.name} has no SSH host key in /etc/ssh`, {
      hint: 'Configure `set service ssh` in the guest first.',
    })
  const file = knownHostsFile(domain.name)
  try {
    await mkdir(dirname(file), { recursive: true })
    await writeFileAtomic(file, keys.map(({ type, blob }) => `${domain.uuid} ${type} ${blob}\n`).join(''), {
      mode: 0o600,
    })
  } catch (error) {
    throw writeError(file, error, { permission: 'Run vmr as root.' })
  }
  return keys
}

/**
 * Compares what a host at the guest's address shows with what is pinned.
 *
 * @throws VmrError GUEST_HOST_KEY_CHANGED with both fingerprints.
 */
export function checkHostKeys(name: string, pinned: readonly HostKey[], shown: readonly HostKey[]): void {
  if (shown.length === 0 || shown.some(({ blob }) => pinned.some((key) => key.blob === blob))) return
  const words = (keys: readonly HostKey[]) => keys.map((key) => `${fingerprintOf(key)} (${key.type})`).join(', ')
  throw new VmrError(
    'GUEST_HOST_KEY_CHANGED',
    `what answers at the address of ${name} shows the SSH host key ${words(shown)}, and not the pinned ${words(pinned)}`,
    {
      hint: `Was the guest installed anew? Then pin its keys again, over its console: vmr vm trust ${name}. Else somebody is in between.`,
    },
  )
}
