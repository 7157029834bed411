import { runChecked } from '../../../shell/shell.ts'
import type { Evidence, PathEvidence } from '../../evidence/schema.ts'
import { hostKey } from '../../evidence/topology.ts'
import { pingPaths } from '../ping-paths.ts'
import { readTimers, shorten } from '../shorten.ts'
import type { Stress, StressBench, Timer } from '../stress.ts'
import { until } from '../until.ts'

/** By their names in /proc/sys/net/ipv6/neigh/LINK: 30 s and 5 s where nobody set them. */
const shortTimers = { base_reachable_time_ms: 3000, delay_first_probe_time: 1 } as const

/** Paths that answer now, between machines that do not forward what others ask: their own entries age. */
function agingPaths({ paths }: Evidence): readonly PathEvidence[] {
  return paths.filter(({ probe, routed }) => probe.received > 0 && !routed)
}

export const neighbourAging: Stress = {
  name: 'neighbour-aging',
  after: 'neighbour aging',
  what: 'lets the neighbour entries of every end go stale, and be confirmed by unicast, with traffic on them',
  limitSeconds: 120,
  plan(evidence) {
    const ends = agingPaths(evidence)
      .flatMap(({ from, to }) => [from, to])
      .filter(({ machine }) => machine !== hostKey)
    if (ends.length === 0) return { impossible: 'no path answers that could be lost' }
    const links = new Map(ends.map(({ machine, link }) => [`${machine} ${link}`, { machine, link }]))
    return {
      timers: [...links.values()].flatMap(({ machine, link }) =>
        ['ipv4', 'ipv6'].flatMap((family) =>
          Object.keys(shortTimers).map(
            (name): Timer => ({ machine, link, kind: 'sysctl', setting: `net/${family}/neigh/${link}/${name}` }),
          ),
        ),
      ),
    }
  },
  async run(bench, { timers }, probe) {
    const { machines, signal, evidence } = bench
    const paths = agingPaths(evidence)
    const read = await readTimers(machines, timers, { signal })
    const shortened = await shorten(bench, read, ({ setting, value }) => {
      const [, short = value] = Object.entries(shortTimers).find(([name]) => setting.endsWith(name)) ?? []
      return Math.min(value, short)
    })
    try {
      // An entry ages by the timer that was set when it was confirmed, so they have to be new.
      await Promise.all(endsOf(timers).map((end) => forget(end, bench)))
      await pingPaths(paths, bench)
      const known = await entriesOn(timers, bench)
      // Two ends that confirm each other keep their entries in use: each has to be seen aged once, not all at a time.
      const aged = await untilEach(known, ['STALE', 'DELAY', 'PROBE', 'FAILED'], timers, bench)
      bench.addFact(`${aged} of ${known.size} neighbour entries aged`)
      // The first packets go out by the aged entries, and have them confirmed by unicast.
      await pingPaths(paths, bench)
      const confirmed = await untilEach(known, ['REACHABLE'], timers, bench)
      bench.addFact(`${confirmed} of them were confirmed again`)
      bench.addLost(await pingPaths(paths, bench))
    } finally {
      await shortened.restore()
    }
    await probe()
  },
}

const entrySeconds = 15

/** Waits until each entry was seen in one of the states (NUD, ip-neighbour(8)); returns how many were. */
async function untilEach(
  known: ReadonlyMap<string, string>,
  states: readonly string[],
  timers: readonly Timer[],
  bench: StressBench,
): Promise<number> {
  const seen = new Set<string>()
  const isSo = async () => {
    const now = await entriesOn(timers, bench)
    for (const key of known.keys()) if (states.includes(now.get(key) ?? '')) seen.add(key)
    return seen.size === known.size
  }
  await until(isSo, { seconds: entrySeconds, signal: bench.signal })
  return seen.size
}

/** States of the entries of the links that the timers are of, by machine, link and address. */
async function entriesOn(
  timers: readonly Timer[],
  { machines, signal }: StressBench,
): Promise<ReadonlyMap<string, string>> {
  const ends = endsOf(timers)
  const found = await Promise.all(
    [...new Set(ends.map(({ machine }) => machine))].map(async (key) => {
      const shell = machines.get(key)?.shell
      const text = shell === undefined ? '' : await runChecked(shell, ['ip', 'neighbour', 'show'], { signal })
      return [...text.matchAll(/^(\S+) dev (\S+) lladdr .* ([A-Z]+)\s*$/gm)].flatMap(([, address, link, state = '']) =>
        ends.some((end) => end.machine === key && end.link === link)
          ? [[`${key} ${link} ${address}`, state] as const]
          : [],
      )
    }),
  )
  return new Map(found.flat())
}

type End = Pick<Timer, 'machine' | 'link'>

function endsOf(timers: readonly Timer[]): readonly End[] {
  return [...new Map(timers.map(({ machine, link }) => [`${machine} ${link}`, { machine, link }])).values()]
}

async function forget({ machine, link }: End, { machines, signal }: StressBench): Promise<void> {
  const found = machines.get(machine)
  if (found === undefined) return
  const { shell, asRoot } = found
  for (const family of ['-4', '-6'])
    await shell.run([...asRoot, 'ip', family, 'neighbour', 'flush', 'dev', link], { signal })
}
