import { open } from 'node:fs/promises'
import type { DomainFacts } from '../domain/domain-facts.ts'
import { afterLine, afterTail, type Boot, type BootState, beginBoot, bootStates } from '../shell/serial/boot-state.ts'
import { createTerminalText } from '../shell/serial/terminal-text.ts'
import type { Shell } from '../shell/shell.ts'

/** A boot as it is reported: where it stands, and what became of the guest's configuration. */
export interface BootOutcome {
  readonly state: BootState
  /** Undefined where nobody can tell, as before the guest has loaded it. */
  readonly configuration: 'loaded' | 'failed' | undefined
  /** VyOS's own words about what it could not load. */
  readonly words: readonly string[]
}

/** More than a whole boot prints. */
const maxLogBytes = 512 * 1024
const keptLines = 10
const statusLimitMs = 120_000

/**
 * What became of the boot behind a session: as the console told it, else as the guest noted it
 * (src/helpers/vyos-boot-config-loader.py in vyos-1x).
 */
export async function bootOutcome(
  boot: Boot,
  guest: Pick<Shell, 'run'>,
  { signal }: { readonly signal: AbortSignal },
): Promise<BootOutcome> {
  const { configuration = await notedByGuest(guest, signal), words } = boot
  return { state: 'login', configuration, words: configuration === 'failed' ? words : [] }
}

async function notedByGuest(guest: Pick<Shell, 'run'>, signal: AbortSignal): Promise<'loaded' | 'failed' | undefined> {
  const { stdout } = await guest.run(['cat', '/tmp/vyos-config-status'], { signal, timeoutMs: statusLimitMs })
  const noted = stdout.trim()
  return noted === '0' ? 'loaded' : noted === '1' ? 'failed' : undefined
}

/** A boot that has not come to its end. */
export function unfinishedBoot({ state, configuration, words }: Boot): BootOutcome {
  return { state, configuration, words: configuration === 'failed' ? words : [] }
}

/**
 * What the guest has said since its start, by its serial log: for whoever comes when it has long been booting.
 * Undefined where there is no log that can be read.
 */
export async function bootInLog({
  serial,
}: Pick<DomainFacts, 'serial'>): Promise<{ readonly boot: Boot; readonly lines: readonly string[] } | undefined> {
  if (serial?.log === undefined) return undefined
  let bytes: Buffer
  let writtenAt: number
  try {
    const file = await open(serial.log, 'r')
    try {
      const { size, mtimeMs } = await file.stat()
      const start = Math.max(0, size - maxLogBytes)
      const read = await file.read({ buffer: Buffer.alloc(size - start), position: start })
      bytes = read.buffer.subarray(0, read.bytesRead)
      writtenAt = mtimeMs
    } finally {
      await file.close()
    }
  } catch {
    return undefined
  }
  return replayBoot(bytes, writtenAt)
}

/** @param at of all of it, in milliseconds since the epoch */
export function replayBoot(bytes: Uint8Array, at: number): { readonly boot: Boot; readonly lines: readonly string[] } {
  const lines = createTerminalText().write(bytes).split('\n')
  const tail = lines.pop() ?? ''
  let boot = beginBoot(at)
  let firstOfBoot = 0
  for (const [index, line] of lines.entries()) {
    const before = boot.state
    boot = afterLine(boot, line, at)
    if (bootStates.indexOf(boot.state) < bootStates.indexOf(before)) firstOfBoot = index
  }
  boot = afterTail(boot, tail.slice(tail.lastIndexOf('\r') + 1), at)
  return {
    boot,
    lines: lines
      .slice(firstOfBoot)
      .filter((line) => line.trim() !== '')
      .slice(-keptLines),
  }
}
