import { setTimeout as delay } from 'node:timers/promises'
import { VmrError } from '../../errors/vmr-error.ts'
import type { RunningCommand, Shell } from '../../shell/shell.ts'
import { readFrame, type SeenFrame } from './frames.ts'

export interface WatchedLink {
  readonly machine: string
  readonly link: string
  readonly shell: Shell
  readonly asRoot: readonly string[]
}

/** A frame, and when it was seen: seconds since 1970 by the clock of the machine that saw it. */
export type TimedFrame = SeenFrame & { readonly at: number }

export interface Watch {
  /** Links at which nothing can be seen, with tcpdump's words. */
  readonly unwatched: readonly { readonly machine: string; readonly link: string; readonly reason: string }[]
  /** Ends all captures and returns what each saw. */
  stop(): Promise<
    readonly { readonly machine: string; readonly link: string; readonly frames: readonly TimedFrame[] }[]
  >
}

export interface WatchOptions {
  /** How many times what the filter lets through is going to be probed. Default 1. */
  readonly probes?: number
  readonly signal: AbortSignal | undefined
}

/**
 * Frames at all links of a machine: what probes can cause, many times over, and together less than the 4 MiB of output
 * that a shell keeps. A capture must not run away on a host that floods.
 */
const maxFrames = 16_000
const snapBytes = 160
/** Should vmr be killed, a capture in a guest, which nobody cleans up, ends by itself. */
const lifeSeconds = 40
const lifeSecondsPerProbe = 20
/** For frames that have come and that tcpdump has not read yet: a signal would end it before it does. */
const drainMs = 300

/**
 * Captures at several links with one command, since on a guest's console each costs several round trips: every line is
 * tcpdump's own behind the number of its link. The readers outlive the signal that ends tcpdump, and lose none of it.
 */
const script = `count=$1 filter="($2) or (vlan and ($2))" n=0
shift 2
trap : TERM
for link; do
  n=$((n + 1))
  tcpdump -Z root -p -n -tt -e -l --immediate-mode -s ${snapBytes} -c "$count" -i "$link" "$filter" 2>&1 </dev/null | {
    trap '' TERM
    while IFS= read -r line; do printf '%s %s\\n' "$n" "$line"; done
    printf '%s over\\n' "$n"
  } &
done
until wait; do :; done`

/**
 * Watches links all at once; resolves when every capture listens. None puts a link into promiscuous mode (`-p`): that
 * opens a macvtap's multicast filter, and heals what is looked for as long as it lasts.
 *
 * @param filter of frames without a VLAN tag; those that it fits with one are seen too.
 */
export async function watchLinks(
  links: readonly WatchedLink[],
  filter: string,
  { probes = 1, signal }: WatchOptions,
): Promise<Watch> {
  const machines = [...new Map(links.map((each) => [each.machine, each])).values()].map((each) => ({
    ...each,
    links: links.filter(({ machine }) => machine === each.machine).map(({ link }) => link),
  }))
  const started = await Promise.allSettled(machines.map((machine) => startCapture(machine, filter, { probes, signal })))
  const captures = started.flatMap((each, index) => {
    const machine = machines[index]
    return each.status === 'fulfilled' && machine !== undefined ? [{ ...machine, ...each.value }] : []
  })
  if (signal?.aborted) {
    await Promise.all(captures.map(({ command }) => command.stop()))
    signal.throwIfAborted()
  }
  const notStarted = started.flatMap((each, index) => {
    const machine = machines[index]
    if (each.status === 'fulfilled' || machine === undefined) return []
    const reason = each.reason instanceof Error ? each.reason.message : String(each.reason)
    return machine.links.map((link) => ({ machine: machine.machine, link, reason: reason.slice(0, 250) }))
  })
  const failed = captures.flatMap(({ machine, links: own, failures }) =>
    own.flatMap((link, index) => {
      const reason = failures.get(index + 1)
      return reason === undefined ? [] : [{ machine, link, reason: reason.slice(0, 250) }]
    }),
  )
  return {
    unwatched: [...notStarted, ...failed],
    async stop() {
      if (signal?.aborted !== true) await delay(drainMs)
      const ended = await Promise.all(
        captures.map(async (capture) => ({ ...capture, text: (await capture.command.stop()).stdout })),
      )
      return ended.flatMap(({ machine, links: own, failures, text }) => {
        const frames = readCapture(text)
        return own.flatMap((link, index) =>
          failures.has(index + 1) ? [] : [{ machine, link, frames: frames.get(index + 1) ?? [] }],
        )
      })
    },
  }
}

/** Reads what the capture of one machine printed: frames by the number of their link, from 1. Pure. */
export function readCapture(text: string): ReadonlyMap<number, readonly TimedFrame[]> {
  const frames = new Map<number, TimedFrame[]>()
  for (const [, number, at, line = ''] of text.matchAll(/^(\d+) (\d+\.\d+) (.*)$/gm)) {
    const frame = readFrame(line)
    if (frame === undefined) continue
    const link = Number(number)
    const seen = frames.get(link) ?? []
    seen.push({ ...frame, at: Number(at) })
    frames.set(link, seen)
  }
  return frames
}

interface Capture {
  readonly command: RunningCommand
  /** By number of the link, from 1: why nothing can be seen there. */
  readonly failures: ReadonlyMap<number, string>
}

async function startCapture(
  { links, shell, asRoot }: Pick<WatchedLink, 'shell' | 'asRoot'> & { readonly links: readonly string[] },
  filter: string,
  { probes, signal }: { readonly probes: number; readonly signal: AbortSignal | undefined },
): Promise<Capture> {
  const argv = [
    // sudo and timeout say on standard error what keeps them; only standard output can be followed line by line.
    ...['sh', '-c', 'exec "$@" 2>&1', 'sh', ...asRoot, 'timeout', String(lifeSeconds + probes * lifeSecondsPerProbe)],
    ...['sh', '-c', script, 'sh', String(Math.floor(maxFrames / links.length)), filter, ...links],
  ]
  const command = await shell.start(argv, signal === undefined ? {} : { signal })
  const waiting = new Set(links.map((_, index) => index + 1))
  const failures = new Map<number, string>()
  const words = new Map<number, string[]>()
  try {
    for await (const text of command.lines) {
      const [, digits, line = ''] = /^(\d+) (.*)$/.exec(text) ?? []
      const number = Number(digits)
      if (!waiting.has(number)) continue
      if (/^(?:tcpdump: )?listening on /.test(line)) waiting.delete(number)
      else if (line === 'over') {
        waiting.delete(number)
        failures.set(number, (words.get(number) ?? []).slice(-2).join(' ') || 'the capture ended')
      } else words.set(number, [...(words.get(number) ?? []), line])
      if (waiting.size === 0) return { command, failures }
    }
  } catch (error) {
    await command.stop()
    throw error
  }
  const { stdout, exitCode } = await command.ended
  const said = stdout.trim().split('\n').slice(-2).join(' ') || `exit status ${exitCode}`
  throw new VmrError('MEASUREMENT_FAILED', `the capture at ${links.join(', ')} did not start: ${said.slice(0, 200)}`)
}
