import { closeSync, mkdirSync, openSync, readdirSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { stateDirectory } from '../config/paths.ts'
import type { Credentials } from '../shell/serial/login.ts'
import { createTranscript, type Transcript } from '../shell/serial/transcript.ts'

/** Records of all VMs together; older ones go when a new one begins. */
const keptRecords = 20
const maxLength = 4 * 1024 * 1024

export interface ConsoleRecord {
  /** For messages. */
  readonly path: string
  readonly transcript: Transcript
  close(): void
}

/** Where the records of serial consoles are: outside the VMs' own folders, so that a failed creation leaves its record. */
export function consoleRecordDirectory(): string {
  return join(stateDirectory(), 'consoles')
}

/**
 * Begins the record of a session on a VM's serial console, passwords masked, readable by its owner only. Undefined when
 * it cannot be written: a full disk must not keep anybody from a console. What cannot be written later is left out.
 */
export function startConsoleRecord(name: string, { user, password }: Credentials): ConsoleRecord | undefined {
  const directory = consoleRecordDirectory()
  const path = join(directory, `${new Date().toISOString().replaceAll(':', '')}-${process.pid}-${name}.ndjson`)
  let file: number | undefined
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    removeOldRecords(directory)
    file = openSync(path, 'ax', 0o600)
  } catch {
    return undefined
  }
  return {
    path,
    transcript: createTranscript({
      write(line) {
        if (file === undefined) return
        try {
          writeSync(file, line)
        } catch {
          // The disk is full: the record has a gap.
        }
      },
      // A password that is the user's name stands in every prompt, and would take the prompts with it.
      secrets: password === user ? [] : [password],
      maxLength,
    }),
    close() {
      if (file !== undefined) closeSync(file)
      file = undefined
    },
  }
}

function removeOldRecords(directory: string): void {
  // Their names begin with the time.
  const names = readdirSync(directory).filter((name) => name.endsWith('.ndjson'))
  for (const name of names.toSorted().slice(0, 1 - keptRecords)) rmSync(join(directory, name), { force: true })
}
