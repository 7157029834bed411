import { setTimeout as delay } from 'node:timers/promises'
import { hasErrno } from '../../errors/write-error.ts'

/** Between TERM and KILL: long enough to flush a capture file, short enough for a person who pressed Ctrl-C. */
const graceMs = 2_000
/** How long a process can take to vanish after KILL; one in uninterruptible sleep takes longer and is left to the kernel. */
const killMs = 1_000

const active = new Set<number>()

/**
 * Remembers a group until it is forgotten, and kills it if vmr exits first: its processes have their own session, so
 * neither the terminal's Ctrl-C nor its hang-up reaches them.
 */
export function rememberGroup(pid: number): void {
  if (active.size === 0) process.on('exit', killActiveGroups)
  active.add(pid)
}

export function forgetGroup(pid: number): void {
  active.delete(pid)
  if (active.size === 0) process.off('exit', killActiveGroups)
}

function killActiveGroups(): void {
  for (const pid of active) signalGroup(pid, 'SIGKILL')
}

/** False when nobody is left in the group. */
export function signalGroup(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    process.kill(-pid, signal)
    return true
  } catch (error) {
    // EPERM: the group exists, but a member changed its user, as tcpdump -Z does.
    return hasErrno(error, 'EPERM')
  }
}

/**
 * TERM to the whole group, and KILL to what is left of it after the grace period or once its leader has ended.
 * Resolves when the leader has ended, or shortly after KILL.
 */
export async function endGroup(pid: number, leaderEnded: Promise<unknown>): Promise<void> {
  signalGroup(pid, 'SIGTERM')
  await Promise.race([leaderEnded, delay(graceMs, undefined, { ref: false })])
  signalGroup(pid, 'SIGKILL')
  await Promise.race([leaderEnded, delay(killMs, undefined, { ref: false })])
}
