import { randomUUID } from 'node:crypto'
import { type FileHandle, mkdir, open, readdir, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import writeFileAtomic from 'write-file-atomic'
import { z } from 'zod'
import { hasErrno, writeError } from '../errors/write-error.ts'
import { currentBootId, isAlive, ownIdentity, processIdentitySchema } from './process-identity.ts'
import { type UndoStep, undoStepSchema } from './steps.ts'

const formatVersion = 1
const suffix = '.ndjson'
/** Thousands of steps; a larger file was not written by vmr. */
const maxJournalBytes = 16 * 1024 * 1024

const stepIdSchema = z.number().int().positive()
const headerSchema = z.strictObject({
  record: z.literal('journal'),
  version: z.literal(formatVersion),
  runId: z.string().min(1).max(100),
  purpose: z.string().max(300),
  owner: processIdentitySchema,
  startedAt: z.iso.datetime(),
})
const recordSchema = z.discriminatedUnion('record', [
  z.strictObject({ record: z.literal('step'), id: stepIdSchema, step: undoStepSchema }),
  z.strictObject({ record: z.literal('undone'), id: stepIdSchema }),
  z.strictObject({ record: z.literal('kept') }),
])
type JournalHeader = z.infer<typeof headerSchema>
type JournalRecord = z.infer<typeof recordSchema>

interface JournaledStep {
  readonly id: number
  readonly step: UndoStep
}

/** What a journal file says. */
export interface JournalContent {
  readonly path: string
  readonly runId: string
  /** What the changes are for: "lab vmr", "vm r1", "bench run". */
  readonly purpose: string
  readonly startedAt: string
  readonly pid: number
  /** `live`: its process runs. `kept`: the changes shall outlive their process. `stale`: its process died over it. */
  readonly state: 'live' | 'kept' | 'stale'
  /** The machine was started again since: what lived in the kernel's memory is gone. */
  readonly earlierBoot: boolean
  /** Not yet taken back, in the order they were made. */
  readonly steps: readonly JournaledStep[]
  /** Line numbers that could not be read. A torn last line is none: its step never ran. */
  readonly damagedLines: readonly number[]
}

/** The truth about what this run changed on this host, on disk before it is changed. */
export interface Journal {
  readonly path: string
  readonly runId: string
  /** Puts the inverse on disk, fsynced. Only then may the step run. Returns the id for {@link undone}. */
  before(step: UndoStep): Promise<number>
  /** Notes that a step was taken back, or never came to run. */
  undone(id: number): Promise<void>
  /** Not yet taken back, in the order they were made. */
  pending(): readonly JournaledStep[]
  /** From now on the changes are meant to stay: cleanup leaves them alone, as it does those of a running process. */
  keep(): Promise<void>
  /** Closes the file, and removes it when nothing is left to take back. */
  close(): Promise<void>
}

export interface OpenJournalOptions {
  readonly directory: string
  /** See {@link JournalContent.purpose}. */
  readonly purpose: string
  /** Unique; a random one by default. */
  readonly runId?: string
}

/** @throws VmrError HOST_PERMISSION, HOST_DISK_FULL, HOST_COMMAND_FAILED when the journal cannot be written. */
export async function openJournal({ directory, purpose, runId = randomUUID() }: OpenJournalOptions): Promise<Journal> {
  const path = join(directory, `${runId}${suffix}`)
  const header: JournalHeader = {
    record: 'journal',
    version: formatVersion,
    runId,
    purpose,
    owner: await ownIdentity(),
    startedAt: new Date().toISOString(),
  }
  const line = `${JSON.stringify(header)}\n`
  try {
    // Only the journals are nobody else's business: QEMU may have to pass through what is above them.
    await mkdir(dirname(directory), { recursive: true })
    await mkdir(directory, { recursive: true, mode: 0o700 })
    // In one piece, so that nobody ever sees a journal without its owner.
    await writeFileAtomic(path, line, { mode: 0o600 })
    await syncDirectory(directory)
    return writableJournal(await open(path, 'r+'), path, runId, [], Buffer.byteLength(line))
  } catch (error) {
    throw journalError(path, error)
  }
}

/**
 * Opens a journal that another process left behind, to take its steps back. The caller has made sure that nobody else
 * does the same.
 */
export async function reopenJournal(path: string): Promise<Journal> {
  try {
    const file = await open(path, 'r+')
    try {
      const bytes = await file.readFile()
      const length = bytes.lastIndexOf(0x0a) + 1
      // A torn line would swallow the next one.
      if (length < bytes.length) await file.truncate(length)
      const content = parseJournal(path, bytes.toString('utf8', 0, length))
      return writableJournal(file, path, content.runId, content.steps, length, content.damagedLines.length > 0)
    } catch (error) {
      await file.close()
      throw error
    }
  } catch (error) {
    throw journalError(path, error)
  }
}

function writableJournal(
  file: FileHandle,
  path: string,
  runId: string,
  known: readonly JournaledStep[],
  knownLength: number,
  damaged = false,
): Journal {
  const steps = new Map(known.map((entry) => [entry.id, entry]))
  let nextId = Math.max(0, ...steps.keys()) + 1
  let length = knownLength
  let queue: Promise<unknown> = Promise.resolve()

  // One at a time and in order, so that a failed write can be cut off again.
  const append = (record: JournalRecord): Promise<void> => {
    const result = queue.then(async () => {
      const line = Buffer.from(`${JSON.stringify(record)}\n`)
      try {
        await writeFully(file, line, length)
        await file.datasync()
        length += line.length
      } catch (error) {
        await file.truncate(length)
        throw journalError(path, error)
      }
    })
    queue = result.catch(() => undefined)
    return result
  }
  return {
    path,
    runId,
    async before(step: UndoStep) {
      const id = nextId++
      const checked = undoStepSchema.parse(step)
      await append({ record: 'step', id, step: checked })
      steps.set(id, { id, step: checked })
      return id
    },
    async undone(id: number) {
      if (!steps.delete(id)) return
      await append({ record: 'undone', id })
    },
    pending: () => [...steps.values()],
    keep: () => append({ record: 'kept' }),
    async close() {
      await queue
      await file.close()
      if (steps.size === 0 && !damaged) await unlink(path)
    },
  }
}

async function writeFully(file: FileHandle, bytes: Buffer, position: number): Promise<void> {
  for (let offset = 0; offset < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, offset, bytes.length - offset, position + offset)
    offset += bytesWritten
  }
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}

/** All journals of a directory, oldest first. One that is no journal at all is reported by `onUnreadable` and left out. */
export async function listJournals(
  directory: string,
  onUnreadable: (path: string, reason: string) => void = () => undefined,
): Promise<readonly JournalContent[]> {
  let names: readonly string[]
  try {
    names = (await readdir(directory)).filter((name) => name.endsWith(suffix))
  } catch (error) {
    if (hasErrno(error, 'ENOENT')) return []
    throw journalError(directory, error)
  }
  const journals: JournalContent[] = []
  for (const name of names) {
    const path = join(directory, name)
    try {
      journals.push(await readJournal(path))
    } catch (error) {
      // Another process may have finished with it since the directory was read.
      if (!hasErrno(error, 'ENOENT')) onUnreadable(path, error instanceof Error ? error.message : String(error))
    }
  }
  return journals.sort((left, right) => (left.startedAt < right.startedAt ? -1 : 1))
}

async function readJournal(path: string): Promise<JournalContent> {
  const file = await open(path, 'r')
  try {
    if ((await file.stat()).size > maxJournalBytes) throw new Error('it is too large to be a journal')
    const text = await file.readFile('utf8')
    const content = parseJournal(path, text.slice(0, text.lastIndexOf('\n') + 1))
    const bootId = await currentBootId()
    const alive = await isAlive(content.owner)
    return {
      path,
      runId: content.runId,
      purpose: content.purpose,
      startedAt: content.startedAt,
      pid: content.owner.pid,
      state: content.kept ? 'kept' : alive ? 'live' : 'stale',
      earlierBoot: content.owner.bootId !== bootId,
      steps: content.steps,
      damagedLines: content.damagedLines,
    }
  } finally {
    await file.close()
  }
}

function parseJournal(path: string, text: string) {
  const [first = '', ...rest] = text.split('\n').slice(0, -1)
  const header = headerSchema.safeParse(parseJson(first))
  if (!header.success) throw new Error(`${path} does not begin as a journal does`)
  const steps = new Map<number, JournaledStep>()
  const damagedLines: number[] = []
  let kept = false
  for (const [index, line] of rest.entries()) {
    const record = recordSchema.safeParse(parseJson(line))
    if (!record.success) damagedLines.push(index + 2)
    else if (record.data.record === 'step') steps.set(record.data.id, record.data)
    else if (record.data.record === 'undone') steps.delete(record.data.id)
    else kept = true
  }
  return { ...header.data, steps: [...steps.values()].map(({ id, step }) => ({ id, step })), damagedLines, kept }
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}

function journalError(path: string, error: unknown): unknown {
  return writeError(`the undo journal ${path}`, error, {
    permission: 'Run vmr as root, or set VMR_STATE_DIR to a directory of yours.',
  })
}
