import { stat } from 'node:fs/promises'
import { hasErrno } from '../../errors/write-error.ts'

/** Whether this host has a file or folder there. What cannot be looked at is an error of the operating system's. */
export async function exists(path: string): Promise<boolean> {
  try {
    await stat(path)
    return true
  } catch (error) {
    if (hasErrno(error, 'ENOENT')) return false
    throw error
  }
}
