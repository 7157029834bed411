import type { RunOptions, Shell } from '../../shell/shell.ts'
import type { Family } from '../reachability.ts'
import { runTogether } from '../run-together.ts'
import type { PathEvidence } from './schema.ts'

export type ProbeResult = PathEvidence['probe']

export interface Ping {
  readonly address: string
  readonly family: Family
  /** Of a link-local target: the interface that it is on. */
  readonly zone?: string
  /** Bytes of the whole packet, which may then not be fragmented; a small one without. */
  readonly bytes?: number
}

/**
 * Three packets over three seconds, as many as the kernel's solicitations before it gives an address up (RFC 4861
 * section 10); the first answer ends it.
 */
export const probeSeconds = 3

function argvOf({ address, family, zone, bytes }: Ping): readonly string[] {
  const target = zone === undefined ? address : `${address}%${zone}`
  const headers = family === 'ipv4' ? 28 : 48
  const size = bytes === undefined ? [] : ['-M', 'do', '-s', String(bytes - headers)]
  return [
    'ping',
    '-n',
    family === 'ipv4' ? '-4' : '-6',
    '-c',
    '1',
    '-i',
    '0.5',
    '-w',
    String(probeSeconds),
    ...size,
    target,
  ]
}

/** Pings everything at once from one machine, in one round trip to it. */
export async function pingAll(
  shell: Shell,
  pings: readonly Ping[],
  { signal }: Pick<RunOptions, 'signal'> = {},
): Promise<readonly ProbeResult[]> {
  const outputs = await runTogether(shell, pings.map(argvOf), {
    timeoutMs: probeSeconds * 1000 + 30_000,
    ...(signal && { signal }),
  })
  return outputs.map(readPing)
}

/** Reads what iputils' ping printed, failures included; what cannot be read counts as nothing sent. Pure. */
export function readPing(text: string): ProbeResult {
  const counts = /(\d+) packets transmitted, (\d+) (?:packets )?received/.exec(text)
  const time = /^\d+ bytes from .* time[=<](\d+(?:\.\d+)?) ms/m.exec(text)
  const said = [...text.matchAll(/^(?:ping: |From |connect: )(.*)$/gm)]
    .map(([line]) => line.replace(/^ping: /, '').replace(/icmp_seq=\d+ ?/, ''))
    .filter((line, index, all) => all.indexOf(line) === index)
  return {
    sent: Number(counts?.[1] ?? 0),
    received: Number(counts?.[2] ?? 0),
    ...(time === null ? {} : { rttMs: Number(time[1]) }),
    ...(said.length === 0 ? {} : { said: said.join('; ').slice(0, 300) }),
  }
}

/** A packet that was too large was answered by who could not pass it on: path MTU discovery works (RFC 8201). */
export function toldTooLarge({ said }: ProbeResult): boolean {
  return /too big|too long|frag(mentation)? needed/i.test(said ?? '')
}
