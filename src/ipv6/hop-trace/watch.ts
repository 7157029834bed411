import { VmrError } from '../../errors/vmr-error.ts'
import type { RunningCommand, Shell } from '../../shell/shell.ts'
import { readFrame, type SeenFrame } from './frames.ts'

export interface WatchedLink {
  readonly machine: string
  readonly link: string
  readonly shell: Shell
  readonly asRoot: readonly string[]
}

export interface Watch {
  /** Links at which nothing can be seen, with tcpdump's words. */
  readonly unwatched: readonly { readonly machine: string; readonly link: string; readonly reason: string }[]
  /** Ends all captures and returns what each saw. */
  stop(): Promise<readonly { readonly machine: string; readonly link: string; readonly frames: readonly SeenFrame[] }[]>
}

/** Frames that probes can cause, many times over; a capture must not run away on a host that floods. */
const maxFrames = 5000
const snapBytes = 160
/** Should vmr be killed, a capture in a guest, which nobody cleans up, ends by itself. */
const lifeSeconds = 60

/**
 * Watches links all at once; resolves when every capture listens. None puts a link into promiscuous mode (`-p`): that
 * opens a macvtap's multicast filter, and heals what is looked for as long as it lasts.
 */
export async function watchLinks(
  links: readonly WatchedLink[],
  filter: string,
  signal: AbortSignal | undefined,
): Promise<Watch> {
  const started = await Promise.allSettled(links.map((link) => startCapture(link, filter, signal)))
  const captures = started.flatMap((each, index) => {
    const link = links[index]
    return each.status === 'fulfilled' && link !== undefined ? [{ link, command: each.value }] : []
  })
  if (signal?.aborted) {
    await Promise.all(captures.map(({ command }) => command.stop()))
    signal.throwIfAborted()
  }
  return {
    unwatched: started.flatMap((each, index) => {
      const link = links[index]
      if (each.status === 'fulfilled' || link === undefined) return []
      const reason = each.reason instanceof Error ? each.reason.message : String(each.reason)
      return [{ machine: link.machine, link: link.link, reason: reason.slice(0, 250) }]
    }),
    stop: () =>
      Promise.all(
        captures.map(async ({ link, command }) => {
          const { stdout } = await command.stop()
          const frames = stdout.split('\n').flatMap((line) => {
            const frame = readFrame(line)
            return frame === undefined ? [] : [frame]
          })
          return { machine: link.machine, link: link.link, frames }
        }),
      ),
  }
}

async function startCapture(
  { link, shell, asRoot }: WatchedLink,
  filter: string,
  signal: AbortSignal | undefined,
): Promise<RunningCommand> {
  const argv = [
    // tcpdump says on standard error that it listens; only standard output can be followed line by line.
    ...['sh', '-c', 'exec "$@" 2>&1', 'sh', ...asRoot, 'timeout', String(lifeSeconds)],
    // It would change to a user of its own, which a small guest does not have.
    ...['tcpdump', '-Z', 'root', '-p', '-n', '-t', '-e', '-l', '--immediate-mode', '-s', String(snapBytes)],
    ...['-c', String(maxFrames), '-i', link, filter],
  ]
  const capture = await shell.start(argv, signal === undefined ? {} : { signal })
  try {
    for await (const line of capture.lines) if (/^(?:tcpdump: )?listening on /.test(line)) return capture
  } catch (error) {
    await capture.stop()
    throw error
  }
  const { stdout, exitCode } = await capture.ended
  const words = stdout.trim().split('\n').slice(-2).join(' ') || `exit status ${exitCode}`
  throw new VmrError('MEASUREMENT_FAILED', `the capture at ${link} did not start: ${words.slice(0, 200)}`)
}
