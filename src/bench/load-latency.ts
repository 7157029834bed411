import type { ProbeEnd } from '../ipv6/reachability.ts'
import type { LatencyRecord } from '../results/schema.ts'
import type { RunningCommand } from '../shell/shell.ts'
import { quantile } from './statistics.ts'

/** The shortest interval that ping allows everyone (iputils, MIN_USER_INTERVAL_MS). */
const intervalSeconds = 0.2

/** Round trips from one end to the other while a load runs. The caller starts it with the load, and reads it after. */
export async function startLatency(
  from: ProbeEnd,
  to: ProbeEnd,
  {
    family,
    seconds,
    signal,
  }: { readonly family: 'ipv4' | 'ipv6'; readonly seconds: number; readonly signal: AbortSignal },
): Promise<RunningCommand> {
  const familyFlag = family === 'ipv4' ? '-4' : '-6'
  const argv = ['ping', '-n', familyFlag, '-i', String(intervalSeconds), '-w', String(seconds), to.address]
  return from.machine.shell.start(argv, { signal })
}

/** Reads what ping printed, whole or cut short. */
export function parseLatency(text: string): LatencyRecord {
  const times = [...text.matchAll(/ time=(\d+(?:\.\d+)?) ms/g)].map(([, time]) => Number(time))
  const sent = /(\d+) packets transmitted/.exec(text)?.[1]
  const highestSequence = Math.max(0, ...[...text.matchAll(/icmp_seq=(\d+)/g)].map(([, sequence]) => Number(sequence)))
  return {
    sent: Math.max(sent === undefined ? highestSequence : Number(sent), times.length),
    received: times.length,
    ...(times.length === 0
      ? {}
      : { minMs: Math.min(...times), medianMs: quantile(times, 0.5), p99Ms: quantile(times, 0.99) }),
  }
}
