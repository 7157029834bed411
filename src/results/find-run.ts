import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { VmrError } from '../errors/vmr-error.ts'
import { hasErrno } from '../errors/write-error.ts'

/** runFolderName's form, which sorts by time. */
const runName = /^\d{8}T\d{6}Z-[\w.-]+$/

/** Names of the runs below `resultsDirectory`, oldest first; none where the folder does not exist. */
export async function listRuns(resultsDirectory: string): Promise<readonly string[]> {
  try {
    const names = await readdir(resultsDirectory)
    return names.filter((name) => runName.test(name)).sort()
  } catch (error) {
    if (hasErrno(error, 'ENOENT')) return []
    throw new VmrError('RESULTS_INVALID', `${resultsDirectory} cannot be read as a folder of results`, { cause: error })
  }
}

/**
 * The folder of a run that a person named: by its path, its name, the beginning of its name, or `latest`.
 *
 * @throws VmrError RESULTS_INVALID when there is none, or the beginning fits several.
 */
export async function findRun(name: string, resultsDirectory: string): Promise<string> {
  const runs = await listRuns(resultsDirectory)
  if (name === 'latest') {
    const last = runs.at(-1)
    if (last === undefined) throw noRun(`there is no run in ${resultsDirectory}`)
    return join(resultsDirectory, last)
  }
  if (name !== '' && (await isFolder(name))) return name
  const matching = name === '' ? [] : runs.filter((run) => run === name || run.startsWith(name))
  const found = matching.find((run) => run === name) ?? (matching.length === 1 ? matching[0] : undefined)
  if (found !== undefined) return join(resultsDirectory, found)
  if (matching.length > 1)
    throw noRun(`${JSON.stringify(name)} begins the names of ${matching.length} runs in ${resultsDirectory}`)
  throw noRun(`there is no run ${JSON.stringify(name.slice(0, 200))} in ${resultsDirectory}`)
}

function noRun(message: string): VmrError {
  return new VmrError('RESULTS_INVALID', message, {
    hint: 'See `vmr bench list`, or name a run’s folder; `latest` is the newest.',
  })
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory()
  } catch {
    return false
  }
}
