import { randomUUID } from 'node:crypto'
import { cp, lstat, readdir, rename, rm, stat } from 'node:fs/promises'
import { hostname } from 'node:os'
import { basename, join, resolve } from 'node:path'
import writeFileAtomic from 'write-file-atomic'
import { isVmrError, VmrError } from '../errors/vmr-error.ts'
import { writeError } from '../errors/write-error.ts'
import { readRun } from './run-folder.ts'
import type { Run } from './schema.ts'

/** A run, and where it is. */
export interface StoredRun extends Run {
  readonly folder: string
}

/** Every run of a results folder that this vmr can read, oldest first, and what it could not read. */
export async function listRuns(
  resultsDirectory: string,
): Promise<{ readonly runs: readonly StoredRun[]; readonly unreadable: readonly string[] }> {
  const names = (await readdir(resultsDirectory).catch(() => [])).filter((name) => !name.startsWith('.')).sort()
  const runs: StoredRun[] = []
  const unreadable: string[] = []
  for (const name of names) {
    const folder = join(resultsDirectory, name)
    try {
      runs.push({ folder, ...(await readRun(folder)) })
    } catch (error) {
      if (!isVmrError(error)) throw error
      unreadable.push(error.message)
    }
  }
  return { runs: runs.sort((a, b) => a.manifest.startedAt.localeCompare(b.manifest.startedAt)), unreadable }
}

/**
 * Brings a run from another machine into the results folder, checked, and noted as brought from there. Returns the new
 * folder.
 *
 * @throws VmrError RESULTS_INVALID when it is no run; USAGE when a run of that name is there already; HOST_DISK_FULL,
 * HOST_PERMISSION.
 */
export async function importRun(from: string, resultsDirectory: string): Promise<string> {
  const { manifest } = await readRun(from)
  const name = basename(resolve(from))
  const target = join(resultsDirectory, name)
  if (await isFolder(target))
    throw new VmrError('USAGE', `${target} is there already`, { hint: 'It was imported before; see `vmr bench list`.' })
  const draft = join(resultsDirectory, `.importing-${randomUUID()}`)
  try {
    await cp(from, draft, {
      recursive: true,
      // A link could lead anywhere.
      filter: async (source) => !(await isLink(source)),
    })
    const origin =
      manifest.importedFrom ?? (manifest.host.hostName === hostname() ? resolve(from) : manifest.host.hostName)
    await writeFileAtomic(
      join(draft, 'manifest.json'),
      `${JSON.stringify({ ...manifest, importedFrom: origin }, null, 2)}\n`,
    )
    await rename(draft, target)
    return target
  } catch (error) {
    throw writeError(target, error, { permission: 'Choose another folder for results.' })
  } finally {
    await rm(draft, { recursive: true, force: true })
  }
}

async function isFolder(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isDirectory() === true
}

async function isLink(path: string): Promise<boolean> {
  return (await lstat(path)).isSymbolicLink()
}
