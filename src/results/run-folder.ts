import { randomBytes } from 'node:crypto'
import { type FileHandle, mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import writeFileAtomic from 'write-file-atomic'
import type { z } from 'zod'
import { isVmrError, VmrError } from '../errors/vmr-error.ts'
import { type CellResult, cellResultSchema, type Manifest, manifestSchema, type Run } from './schema.ts'

const manifestFile = 'manifest.json'
const cellsFile = 'cells.ndjson'
const rawFolder = 'raw'
/** A manifest holds the XML of each set-up; a cell, its samples. Anything near this is no result of vmr. */
const maxFileBytes = 256 * 1024 * 1024

/** A run being recorded. Nothing that was written is changed again, but for the manifest, which is replaced whole. */
export interface RunFolder {
  readonly path: string
  writeManifest(manifest: Manifest): Promise<void>
  /** One line, on disk when this resolves. */
  appendCell(cell: CellResult): Promise<void>
  /**
   * Writes a new file below raw/ and returns its path below the run's folder. `name` may hold folders; where a file has
   * that name already, a number is put behind it: a cell that is run again keeps what its first run left.
   */
  writeRaw(name: string, content: string | Uint8Array): Promise<string>
}

/** "20260131T101500Z-quick-1f3a": sorts by time, and two runs of one second differ. */
export function runFolderName(startedAt: Date, matrixName: string): string {
  const time = startedAt.toISOString().replace(/[-:]/g, '').replace(/\.\d+/, '')
  return `${time}-${matrixName}-${randomBytes(2).toString('hex')}`
}

/**
 * Makes the folder of a new run below `resultsDirectory`.
 *
 * @throws VmrError HOST_DISK_FULL, HOST_PERMISSION, HOST_COMMAND_FAILED; here and from every method.
 */
export async function createRunFolder(resultsDirectory: string, name: string, manifest: Manifest): Promise<RunFolder> {
  const path = join(resultsDirectory, name)
  // It appears with its manifest: a run that dies before that has left nothing to be resumed.
  const hidden = join(resultsDirectory, `.${name}`)
  try {
    await orWriteError(path, () => mkdir(join(hidden, rawFolder), { recursive: true }))
    await runFolderAt(hidden).writeManifest(manifest)
    await orWriteError(path, () => rename(hidden, path))
  } catch (error) {
    await rm(hidden, { recursive: true, force: true })
    throw error
  }
  return runFolderAt(path)
}

/**
 * Opens the folder of a run that ended early, to append to it: a last line that was cut short is taken off.
 *
 * @throws VmrError RESULTS_INVALID when it is no run's folder.
 */
export async function reopenRunFolder(path: string): Promise<RunFolder> {
  await readRun(path)
  const cells = join(path, cellsFile)
  const content = (await readIfThere(cells)) ?? ''
  const whole = content.lastIndexOf('\n') + 1
  if (whole < content.length) {
    await orWriteError(cells, async () => {
      const file = await open(cells, 'r+')
      try {
        await file.truncate(Buffer.byteLength(content.slice(0, whole)))
        await file.sync()
      } finally {
        await file.close()
      }
    })
  }
  return runFolderAt(path)
}

function runFolderAt(path: string): RunFolder {
  return {
    path,
    async writeManifest(manifest) {
      const text = `${JSON.stringify(checked(manifestSchema, manifest, manifestFile), null, 2)}\n`
      const file = join(path, manifestFile)
      await orWriteError(file, () => writeFileAtomic(file, text))
    },
    async appendCell(cell) {
      const line = `${JSON.stringify(checked(cellResultSchema, cell, `cell ${cell.id}`))}\n`
      const file = join(path, cellsFile)
      await orWriteError(file, async () => {
        const handle = await open(file, 'a')
        try {
          const { size } = await handle.stat()
          try {
            await handle.appendFile(line)
            await handle.sync()
          } catch (error) {
            // A disk that filled up in the middle of the line must not spoil the cells that come after it.
            await handle.truncate(size).catch(() => undefined)
            throw error
          }
        } finally {
          await handle.close()
        }
      })
    },
    async writeRaw(name, content) {
      const relative = join(rawFolder, name)
      if (!relative.startsWith(`${rawFolder}/`) || name.includes('\0')) {
        throw new VmrError('INTERNAL', `${JSON.stringify(name)} is no name of a raw file`)
      }
      return orWriteError(join(path, relative), async () => {
        await mkdir(dirname(join(path, relative)), { recursive: true })
        const { handle, name: free } = await createNew(path, relative)
        try {
          await handle.writeFile(content)
        } finally {
          await handle.close()
        }
        return free
      })
    },
  }
}

/** Opens a file that was not there, under the first free name: "a.json", "a.json.2"… */
async function createNew(
  folder: string,
  name: string,
): Promise<{ readonly handle: FileHandle; readonly name: string }> {
  for (let number = 1; ; number++) {
    const free = number === 1 ? name : `${name}.${number}`
    try {
      return { handle: await open(join(folder, free), 'wx'), name: free }
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
    }
  }
}

/**
 * Reads a run back and checks it. A last line of cells.ndjson without its newline was cut short by the run's death and is
 * left out. Of two results of one cell the later one counts. Cells come in the order of the matrix, however they ran.
 *
 * @throws VmrError RESULTS_INVALID naming file, line and field.
 */
export async function readRun(path: string): Promise<Run> {
  const manifestText = await readIfThere(join(path, manifestFile))
  if (manifestText === undefined) {
    throw new VmrError('RESULTS_INVALID', `${path} is no run's folder: it has no ${manifestFile}`, {
      hint: 'Name a folder below results/.',
    })
  }
  const manifest = parseJson(manifestSchema, manifestText, join(path, manifestFile))
  const lines = ((await readIfThere(join(path, cellsFile))) ?? '').split('\n').slice(0, -1)
  const cells = new Map<string, CellResult>()
  for (const [index, line] of lines.entries()) {
    if (line === '') continue
    const cell = parseJson(cellResultSchema, line, `${join(path, cellsFile)}:${index + 1}`)
    cells.delete(cell.id)
    cells.set(cell.id, cell)
  }
  const rank = new Map(manifest.planned.map((id, index) => [id, index]))
  const rankOf = ({ id }: CellResult) => rank.get(id) ?? rank.size
  return { manifest, cells: [...cells.values()].sort((a, b) => rankOf(a) - rankOf(b)) }
}

function parseJson<S extends z.ZodType>(schema: S, text: string, place: string): z.output<S> {
  let data: unknown
  try {
    data = JSON.parse(text)
  } catch (error) {
    throw new VmrError('RESULTS_INVALID', `${place}: not JSON`, { cause: error })
  }
  const result = schema.safeParse(data)
  if (result.success) return result.data
  const [issue] = result.error.issues
  throw new VmrError('RESULTS_INVALID', `${place}: ${issue?.path.join('.')}: ${issue?.message}`, {
    hint: 'The folder was written by another version of vmr, or changed since.',
  })
}

/** What is written must be readable: a defect of the writer shows at once, not when somebody looks at the run. */
function checked<S extends z.ZodType>(schema: S, value: unknown, what: string): z.output<S> {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const [issue] = result.error.issues
  throw new VmrError('INTERNAL', `${what} does not fit its schema: ${issue?.path.join('.')}: ${issue?.message}`)
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    if ((await stat(path)).size > maxFileBytes)
      throw new VmrError('RESULTS_INVALID', `${path} is too large for a result`)
    return await readFile(path, 'utf8')
  } catch (error) {
    if (isVmrError(error)) throw error
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    throw new VmrError('RESULTS_INVALID', `${path} cannot be read: ${error instanceof Error ? error.message : error}`, {
      cause: error,
    })
  }
}

async function orWriteError<Result>(path: string, write: () => Promise<Result>): Promise<Result> {
  try {
    return await write()
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (code === 'ENOSPC' || code === 'EDQUOT') {
      throw new VmrError('HOST_DISK_FULL', `the disk is full: ${path} could not be written`, {
        hint: 'Free space, or choose another folder for results.',
        cause: error,
      })
    }
    if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') {
      throw new VmrError('HOST_PERMISSION', `${path} may not be written`, {
        hint: 'Choose another folder for results, or run as its owner.',
        cause: error,
      })
    }
    const reason = error instanceof Error ? error.message : String(error)
    throw new VmrError('HOST_COMMAND_FAILED', `${path} could not be written: ${reason}`, { cause: error })
  }
}
