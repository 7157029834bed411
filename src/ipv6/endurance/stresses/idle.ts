import { runChecked } from '../../../shell/shell.ts'
import { hostKey } from '../../evidence/topology.ts'
import { readTimers, shorten } from '../shorten.ts'
import { hostBridges, type Stress, type StressBench } from '../stress.ts'
import { until } from '../until.ts'

/** Hundredths of a second. */
const shortAgeing = 100

export const idle: Stress = {
  name: 'idle',
  after: 'an idle period',
  what: 'lets the bridges of the host forget behind which port each machine is, as when nobody spoke for minutes',
  limitSeconds: 60,
  plan(evidence) {
    const bridges = hostBridges(evidence)
    if (bridges.length === 0) return { impossible: 'no bridge of the host is on the way' }
    return {
      timers: bridges.map(({ name }) => ({ machine: hostKey, link: name, kind: 'bridge', setting: 'ageing_time' })),
    }
  },
  async run(bench, { timers }, probe) {
    const { machines, signal } = bench
    const read = await readTimers(machines, timers, { signal })
    const shortened = await shorten(bench, read, ({ value }) => Math.min(value, shortAgeing))
    try {
      const seen = new Set<string>()
      const missed = new Set<string>()
      // One that speaks meanwhile comes back: each has to be gone once.
      const forgotten = async () => {
        const now = new Set((await Promise.all(timers.map(({ link }) => learnt(link, bench)))).flat())
        for (const entry of now) seen.add(entry)
        for (const entry of seen) if (!now.has(entry)) missed.add(entry)
        return [...seen].every((entry) => missed.has(entry))
      }
      const all = await until(forgotten, { seconds: 20, signal })
      bench.addFact(
        `${missed.size} of ${seen.size} entries of the forwarding databases went${all ? '' : ', the others spoke'}`,
      )
    } finally {
      await shortened.restore()
    }
    await probe()
  },
}

/** What a bridge learnt, and would forget. */
async function learnt(bridge: string, { machines, signal }: StressBench): Promise<readonly string[]> {
  const shell = machines.get(hostKey)?.shell
  if (shell === undefined) return []
  const text = await runChecked(shell, ['bridge', 'fdb', 'show', 'br', bridge], { signal })
  return text.split('\n').filter((line) => / master /.test(line) && !/ (permanent|static|self)\b/.test(line))
}
