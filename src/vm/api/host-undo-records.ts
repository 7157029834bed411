import { mkdir, readFile, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import writeFileAtomic from 'write-file-atomic'
import { z } from 'zod'
import { VmrError } from '../../errors/vmr-error.ts'
import { hasErrno, writeError } from '../../errors/write-error.ts'
import { newestFirst, type RecordedChange, recordSchema, type UndoRecords } from '../../os/vyos/undo-record.ts'
import { vmDirectory } from '../create.ts'

const fileSchema = z.strictObject({
  format: z.literal(1),
  /** Until the guest restarts. */
  running: recordSchema.shape.changes,
  /** Of what was saved in the guest too. */
  saved: recordSchema.shape.changes,
})
interface Records {
  readonly format: 1
  readonly running: readonly RecordedChange[]
  readonly saved: readonly RecordedChange[]
}

/**
 * Among the VM's own files: what takes back changes that came by the HTTP API, over which no file gets into the guest.
 * After a restart of the guest they find nothing of what was not saved, and take nothing back.
 */
export function hostUndoRecords(name: string): UndoRecords {
  const file = join(vmDirectory(name), 'api-undo.json')
  const read = async (): Promise<Records> => {
    let text: string
    try {
      text = await readFile(file, 'utf8')
    } catch (error) {
      if (hasErrno(error, 'ENOENT')) return { format: 1, running: [], saved: [] }
      throw error
    }
    try {
      return fileSchema.parse(JSON.parse(text))
    } catch (error) {
      throw new VmrError('CONFIG_INVALID', `${file} cannot be read: it is not what vmr wrote`, {
        hint: 'Remove it: vmr forgets what it set in the guest by the HTTP API then.',
        cause: error,
      })
    }
  }
  const write = async (records: Records): Promise<void> => {
    try {
      await mkdir(dirname(file), { recursive: true })
      await writeFileAtomic(file, JSON.stringify(records), { mode: 0o600 })
    } catch (error) {
      throw writeError(file, error, { permission: 'Run vmr as root.' })
    }
  }
  return {
    async add(_config, steps) {
      const records = await read()
      await write({ ...records, running: [{ at: Date.now(), steps }, ...records.running] })
    },
    async readAll() {
      const { running, saved } = await read()
      return newestFirst([...running, ...saved])
    },
    async keep() {
      const { running, saved } = await read()
      if (running.length > 0) await write({ format: 1, running: [], saved: [...running, ...saved] })
    },
    async removeAll({ saved }) {
      if (saved) await rm(file, { force: true })
      else {
        const records = await read()
        if (records.running.length > 0) await write({ ...records, running: [] })
      }
    },
  }
}

/** Of both: changes are noted in the first, and taken back from wherever they are noted. */
export function withOtherRecords(own: UndoRecords, other: UndoRecords): UndoRecords {
  return {
    ...own,
    readAll: async (signal) => newestFirst([...(await own.readAll(signal)), ...(await other.readAll(signal))]),
    async keep() {
      await own.keep()
      await other.keep()
    },
    async removeAll(options) {
      await own.removeAll(options)
      await other.removeAll(options)
    },
  }
}
