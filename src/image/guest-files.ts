import { lstat, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { CpioEntry } from './cpio.ts'

/**
 * The files that vmr itself puts into the guest, from a directory that looks like the guest's root. Of the source's
 * permissions only "executable by the owner" counts, so that a umask changes nothing.
 */
export async function readGuestFiles(root: string, below = ''): Promise<readonly CpioEntry[]> {
  const names = (await readdir(join(root, below))).sort()
  const entries = await Promise.all(
    names.map(async (name): Promise<readonly CpioEntry[]> => {
      const path = below === '' ? name : `${below}/${name}`
      const status = await lstat(join(root, path))
      if (status.isDirectory()) return [{ type: 'directory', path, mode: 0o755 }, ...(await readGuestFiles(root, path))]
      const mode = (status.mode & 0o100) === 0 ? 0o644 : 0o755
      return [{ type: 'file', path, mode, content: await readFile(join(root, path)) }]
    }),
  )
  return entries.flat()
}
