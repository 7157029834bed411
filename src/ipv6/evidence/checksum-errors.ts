import type { Shell } from '../../shell/shell.ts'

/** ICMP packets that a machine threw away because their checksum was wrong, since it is up. */
export interface ChecksumErrors {
  readonly ipv4: number
  readonly ipv6: number
}

/** Files that hold the counters (RFC 4293 by way of proc(5)). */
export const checksumErrorFiles = '/proc/net/snmp /proc/net/snmp6'

/** Reads those files, one after the other; what is not in them counts as none. Pure. */
export function parseChecksumErrors(text: string): ChecksumErrors {
  const [names = [], values = []] = [...text.matchAll(/^Icmp: (.*)$/gm)].map(([, line = '']) => line.split(' '))
  return {
    ipv4: Number(values[names.indexOf('InCsumErrors')] ?? 0),
    ipv6: Number(/^Icmp6InCsumErrors\s+(\d+)/m.exec(text)?.[1] ?? 0),
  }
}

/** What a machine has counted up to now. */
export async function readChecksumErrors(shell: Shell, signal: AbortSignal): Promise<ChecksumErrors> {
  const { stdout } = await shell.run(['cat', ...checksumErrorFiles.split(' ')], { signal })
  return parseChecksumErrors(stdout)
}
