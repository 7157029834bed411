import { mkdir, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import writeFileAtomic from 'write-file-atomic'
import { VmrError } from '../../errors/vmr-error.ts'
import { hasErrno, writeError } from '../../errors/write-error.ts'
import type { Shell } from '../../shell/shell.ts'
import { type HostKey, parseHostKeys } from '../../shell/ssh/host-key.ts'
import { vmDirectory } from '../create.ts'
import type { Vm } from '../find-vm.ts'

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
