import { readdir, readFile } from 'node:fs/promises'
import { z } from 'zod'
import type { CoreUse, CounterRecord } from '../results/schema.ts'
import { runChecked, type Shell } from '../shell/shell.ts'

/** What a machine had used and counted since its start. */
export interface UsageSnapshot {
  /** Ticks of each core by kind, as in /proc/stat. */
  readonly cores: readonly CoreTicks[]
  /** Protocol counters by nstat's names; those at 0 are left out. */
  readonly protocols: Readonly<Record<string, number>>
  /** Interface -> counter -> value. */
  readonly links: Readonly<Record<string, Readonly<Record<string, number>>>>
}

interface CoreTicks {
  readonly core: number
  readonly user: number
  readonly system: number
  readonly idle: number
  readonly irq: number
  readonly softirq: number
  readonly steal: number
}

const mark = '-- vmr --'
/** One command for all: on a guest's console each costs as much as all of them. busybox's sh would run its own ip. */
const script = `grep "^cpu[0-9]" /proc/stat; echo "${mark}"; nstat -as -j; echo "${mark}"; ip -j -s link show`

export async function readUsage(shell: Shell, signal: AbortSignal): Promise<UsageSnapshot> {
  return parseUsage(await runChecked(shell, ['bash', '-c', script], { signal }))
}

const counterValue = z.number().int()
const nstatSchema = z.object({ kernel: z.record(z.string().max(100), counterValue) })
const directionSchema = z.record(z.string().max(100), counterValue)
const linksSchema = z.array(
  z.object({
    ifname: z.string().max(64),
    stats64: z.object({ rx: directionSchema, tx: directionSchema }).optional(),
  }),
)

/** @throws ZodError, SyntaxError when it is not what the script prints. */
export function parseUsage(text: string): UsageSnapshot {
  const [stat = '', nstat = '', link = ''] = text.split(mark)
  const links = linksSchema.parse(JSON.parse(link.trim() || '[]'))
  return {
    cores: stat.split('\n').flatMap((line) => {
      const match = /^cpu(\d+)((?: +\d+){8})/.exec(line)
      if (match === null) return []
      const [user = 0, nice = 0, system = 0, idle = 0, waiting = 0, irq = 0, softirq = 0, steal = 0] = (match[2] ?? '')
        .trim()
        .split(/ +/)
        .map(Number)
      return [{ core: Number(match[1]), user: user + nice, system, idle: idle + waiting, irq, softirq, steal }]
    }),
    protocols: nstatSchema.parse(JSON.parse(nstat.trim() || '{"kernel":{}}')).kernel,
    links: Object.fromEntries(
      links.map(({ ifname, stats64 }) => [
        ifname,
        Object.fromEntries(
          Object.entries(stats64 ?? {}).flatMap(([way, counters]) =>
            Object.entries(counters).map(([name, value]) => [`${way}_${name}`, value]),
          ),
        ),
      ]),
    ),
  }
}

/** Which share of its time each core spent on what, between two snapshots. */
export function coreUse(before: UsageSnapshot, after: UsageSnapshot): CoreUse[] {
  return after.cores.flatMap((end) => {
    const start = before.cores.find(({ core }) => core === end.core)
    if (start === undefined) return []
    const spent = (kind: keyof Omit<CoreTicks, 'core'>) => Math.max(0, end[kind] - start[kind])
    const total = (['user', 'system', 'idle', 'irq', 'softirq', 'steal'] as const).reduce(
      (sum, kind) => sum + spent(kind),
      0,
    )
    const share = (kind: keyof Omit<CoreTicks, 'core'>) => (total === 0 ? 0 : spent(kind) / total)
    return [
      {
        core: end.core,
        user: share('user'),
        system: share('system'),
        softirq: share('softirq'),
        irq: share('irq'),
        steal: share('steal'),
      },
    ]
  })
}

/** Counters that tell of loss, repetition and fragments; packets and bytes say nothing that the rate does not. */
const tellingProtocol =
  /Retrans|Frag|Reasm|Discard|NoRoutes|NoRoute$|InErrors|TooBig|RcvbufErrors|SndbufErrors|InCsumErrors|TCPLoss|TCPTimeouts|Drop/
const tellingLink = /^(?:rx|tx)_(?:dropped|errors|missed|over_errors|fifo_errors|carrier_errors)$/

/** What grew between two snapshots, of what tells of loss, repetition and fragments. */
export function counterDeltas(machine: string, before: UsageSnapshot, after: UsageSnapshot): CounterRecord[] {
  const protocols = Object.entries(after.protocols).flatMap(([name, value]): CounterRecord[] => {
    const delta = value - (before.protocols[name] ?? 0)
    return delta === 0 || !tellingProtocol.test(name) ? [] : [{ machine, source: 'nstat', name, delta }]
  })
  const links = Object.entries(after.links).flatMap(([link, counters]) =>
    Object.entries(counters).flatMap(([name, value]): CounterRecord[] => {
      const delta = value - (before.links[link]?.[name] ?? 0)
      return delta === 0 || !tellingLink.test(name) ? [] : [{ machine, interface: link, source: 'link', name, delta }]
    }),
  )
  return [...protocols, ...links]
}

/** Ticks of one thread, by its name and process. */
export interface ThreadTicks {
  readonly vm: string
  readonly thread: number
  readonly name: string
  readonly ticks: number
}

/** USER_HZ: what /proc counts time in, 100 on every Linux that libvirt runs on (sysconf(_SC_CLK_TCK)). */
const ticksPerSecond = 100
/** Below this a thread only waited. */
const leastShare = 0.005

/** Every thread of the QEMU processes of these domains on this host, and the kernel's vhost threads that serve them. */
export async function readVmThreads(vmNames: readonly string[]): Promise<readonly ThreadTicks[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const owners = (
    await Promise.all(
      pids.map(async (pid) => {
        const words = (await readOrNothing(`/proc/${pid}/cmdline`)).split('\0')
        const vm = vmNames.find((name) =>
          words.some((word) => word === `guest=${name}` || word.startsWith(`guest=${name},`)),
        )
        return vm === undefined ? [] : [{ pid, vm }]
      }),
    )
  ).flat()
  const served = (
    await Promise.all(
      pids.map(async (pid) => {
        const comm = (await readOrNothing(`/proc/${pid}/comm`)).trim()
        const owner = owners.find((each) => comm === `vhost-${each.pid}`)
        return owner === undefined ? [] : [{ pid, vm: owner.vm }]
      }),
    )
  ).flat()
  const threads = [...owners, ...served].map(async ({ pid, vm }) => {
    const tasks = await readdir(`/proc/${pid}/task`).catch(() => [])
    const read = tasks.map(async (task) => parseThread(vm, await readOrNothing(`/proc/${pid}/task/${task}/stat`)))
    return (await Promise.all(read)).flat()
  })
  return (await Promise.all(threads)).flat()
}

/** Reads /proc/PID/task/TID/stat (proc_pid_stat(5)): the name in parentheses may hold anything. */
export function parseThread(vm: string, text: string): readonly ThreadTicks[] {
  const match = /^(\d+) \((.*)\) \S (.*)$/s.exec(text.trim())
  if (match === null) return []
  const [, thread, name = '', rest = ''] = match
  const fields = rest.split(' ').map(Number)
  return [{ vm, thread: Number(thread), name: name.slice(0, 100), ticks: (fields[10] ?? 0) + (fields[11] ?? 0) }]
}

/** The share of one core that each thread took. */
export function threadShares(
  before: readonly ThreadTicks[],
  after: readonly ThreadTicks[],
  seconds: number,
): { vm: string; name: string; share: number }[] {
  return after.flatMap(({ vm, thread, name, ticks }) => {
    const start = before.find((each) => each.thread === thread)?.ticks ?? 0
    const share = (ticks - start) / ticksPerSecond / seconds
    return share < leastShare ? [] : [{ vm, name, share }]
  })
}

async function readOrNothing(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch {
    // The process has ended since, or is not ours to look at.
    return ''
  }
}
