import { readFile } from 'node:fs/promises'
import { z } from 'zod'

/** Names one process for good: a pid is used again, but not with the same start time in the same boot. */
export const processIdentitySchema = z.strictObject({
  pid: z.number().int().positive(),
  /** Clock ticks from boot to the start of the process: field 22 of /proc/PID/stat, proc(5). */
  startTime: z.string().regex(/^\d+$/),
  /** /proc/sys/kernel/random/boot_id */
  bootId: z.string().min(1).max(100),
})
export type ProcessIdentity = z.infer<typeof processIdentitySchema>

let bootId: string | undefined

export async function currentBootId(): Promise<string> {
  bootId ??= (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim()
  return bootId
}

export async function ownIdentity(): Promise<ProcessIdentity> {
  const startTime = await startTimeOf(process.pid)
  if (startTime === undefined) throw new Error('this process is not in /proc')
  return { pid: process.pid, startTime, bootId: await currentBootId() }
}

export async function isAlive(identity: ProcessIdentity): Promise<boolean> {
  if (identity.bootId !== (await currentBootId())) return false
  return (await startTimeOf(identity.pid)) === identity.startTime
}

/** Undefined when there is no such process, or only its zombie. */
async function startTimeOf(pid: number): Promise<string | undefined> {
  let stat: string
  try {
    stat = await readFile(`/proc/${pid}/stat`, 'utf8')
  } catch {
    return undefined
  }
  // The second field is the program's name in parentheses and may hold anything, parentheses too.
  const [state, ...fields] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return state === 'Z' || state === 'X' ? undefined : fields[18]
}
