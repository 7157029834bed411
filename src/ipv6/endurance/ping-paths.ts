import { type Ping, pingAll } from '../evidence/probes.ts'
import type { PathEvidence } from '../evidence/schema.ts'
import type { StressBench } from './stress.ts'

/**
 * Pings the targets of paths with the neighbour entries that there are.
 *
 * @returns the ids of those that did not answer.
 */
export async function pingPaths(
  paths: readonly PathEvidence[],
  { machines, signal }: Pick<StressBench, 'machines' | 'signal'>,
): Promise<readonly string[]> {
  const senders = [...new Set(paths.map(({ from }) => from.machine))]
  const silent = await Promise.all(
    senders.map(async (key) => {
      const machine = machines.get(key)
      const own = paths.filter(({ from }) => from.machine === key)
      if (machine === undefined) return []
      const results = await pingAll(machine.shell, own.map(pingOf), { signal })
      return own.flatMap(({ id }, index) => ((results[index]?.received ?? 0) > 0 ? [] : [id]))
    }),
  )
  return silent.flat()
}

function pingOf({ family, from, to }: PathEvidence): Ping {
  return { address: to.address, family, ...(/^fe80:/i.test(to.address) ? { zone: from.link } : {}) }
}
