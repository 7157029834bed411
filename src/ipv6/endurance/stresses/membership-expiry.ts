import { z } from 'zod'
import { runChecked } from '../../../shell/shell.ts'
import type { Evidence } from '../../evidence/schema.ts'
import { hostKey } from '../../evidence/topology.ts'
import { type ReadTimer, readTimers, shorten } from '../shorten.ts'
import { hostBridges, type Stress, type StressBench } from '../stress.ts'
import { until } from '../until.ts'

/** What the kernel calls them, in hundredths of a second: 260, 255, 125, 10 and 31 s where nobody set them. */
const settings = [
  'mcast_membership_interval',
  'mcast_querier_interval',
  'mcast_query_interval',
  'mcast_query_response_interval',
  'mcast_startup_query_interval',
] as const
const membership = settings[0]

/**
 * All of them by one factor, so that who lives with the long ones lives with the short ones: two queries in each
 * membership interval, as before.
 */
const shortMembership = 600
/** The kernel takes no less between two queries (net/bridge/br_private.h, BR_MULTICAST_QUERY_INTVL_MIN). */
const shortestQuery = 100

function shortOf({ setting, value }: ReadTimer, membershipBefore: number): number {
  const scaled = Math.round((value * shortMembership) / membershipBefore)
  return Math.min(value, Math.max(scaled, /query_interval$/.test(setting) ? shortestQuery : 10))
}

function snooping(evidence: Evidence) {
  return hostBridges(evidence).filter(({ bridge }) => bridge.snooping)
}

export const membershipExpiry: Stress = {
  name: 'membership-expiry',
  after: 'membership expiry',
  what: 'lets a membership interval pass on each bridge that snoops: who does not report its groups again loses them',
  limitSeconds: 420,
  plan(evidence) {
    const bridges = snooping(evidence)
    if (bridges.length === 0) return { impossible: 'no bridge of the host on the way snoops multicast' }
    return {
      // Another machine's queries come no faster, so there the interval has to pass as it is.
      timers: bridges
        .filter(({ bridge }) => !bridge.otherQuerier.ipv6)
        .flatMap(({ name }) =>
          settings.map((setting) => ({ machine: hostKey, link: name, kind: 'bridge' as const, setting })),
        ),
    }
  },
  async run(bench, { timers }, probe) {
    const { machines, signal, evidence } = bench
    const bridges = snooping(evidence)
    const everywhere = await readTimers(
      machines,
      bridges.map(({ name }) => ({ machine: hostKey, link: name, kind: 'bridge', setting: membership })),
      { signal },
    )
    const membershipOf = (link: string) => everywhere.find((each) => each.link === link)?.value ?? 26_000
    const read = await readTimers(machines, timers, { signal })
    const scaled = (timer: ReadTimer) => shortOf(timer, membershipOf(timer.link))
    const queriers = bridges.filter(
      ({ name, bridge }) => bridge.querier && read.some(({ link, value }) => link === name && value > shortMembership),
    )
    const before = (await Promise.all(bridges.map(({ name }) => membersOn(name, bench)))).flat()
    const shortened = await shorten(bench, read, scaled)
    try {
      for (const { name } of queriers) await query(name, bench)
      const isShort = (link: string) => read.some((timer) => timer.link === link && scaled(timer) < timer.value)
      const seconds = (link: string) => (isShort(link) ? shortMembership : membershipOf(link)) / 100
      const unreported = await waitForReports(bridges, bench, seconds)
      for (const member of unreported.filter(({ bridge }) => isShort(bridge))) await expire(member, bench)
      bench.addFact(
        before.length === 0
          ? 'nobody was a member of any group'
          : `${before.length - unreported.length} of ${before.length} memberships were reported again`,
      )
      await probe()
    } finally {
      await restoreAll(before, queriers, shortened.restore, bench)
    }
  },
}

const mdbSchema = z.array(
  z.object({
    mdb: z
      .array(
        z.object({
          port: z.string(),
          grp: z.string(),
          vid: z.number().optional(),
          state: z.string().optional(),
          timer: z.string().optional(),
        }),
      )
      .default([]),
  }),
)

interface Member {
  readonly bridge: string
  readonly port: string
  readonly group: string
  readonly vlan?: number
  /** Until it expires. */
  readonly seconds: number
}

/** Memberships of the VM's ports that expire. */
async function membersOn(
  bridge: string,
  { machines, evidence }: Pick<StressBench, 'machines' | 'evidence'>,
  signal?: AbortSignal,
): Promise<readonly Member[]> {
  const shell = machines.get(hostKey)?.shell
  if (shell === undefined) return []
  const argv = ['bridge', '-json', '-statistics', '-details', 'mdb', 'show', 'dev', bridge]
  const rows = mdbSchema.parse(JSON.parse(await runChecked(shell, argv, signal === undefined ? {} : { signal })))
  return rows.flatMap(({ mdb }) =>
    mdb.flatMap(({ port, grp, vid, state, timer }): readonly Member[] =>
      state === 'temp' && evidence.nics.some(({ target }) => target === port)
        ? [{ bridge, port, group: grp, seconds: Number(timer), ...(vid === undefined ? {} : { vlan: vid }) }]
        : [],
    ),
  )
}

const isSame = (one: Member, other: Member) =>
  one.bridge === other.bridge && one.port === other.port && one.group === other.group && one.vlan === other.vlan

/**
 * Waits until each membership was reported again, or the interval is over.
 *
 * @returns those that nobody reported.
 */
async function waitForReports(
  bridges: readonly { readonly name: string }[],
  bench: StressBench,
  secondsOf: (bridge: string) => number,
): Promise<readonly Member[]> {
  const { signal } = bench
  const now = async () => (await Promise.all(bridges.map(({ name }) => membersOn(name, bench, signal)))).flat()
  const first = await now()
  const reported = new Set<Member>()
  let last: readonly Member[] = first
  const allReported = async () => {
    const next = await now()
    for (const member of first) {
      const [earlier, later] = [last, next].map((members) => members.find((each) => isSame(each, member)))
      if (earlier === undefined || later === undefined) continue
      // A timer that runs down and goes up was set anew; one that falls by seconds at once was set to the short interval.
      if (later.seconds > earlier.seconds || later.seconds < earlier.seconds - 5) reported.add(member)
    }
    last = next
    return first.every((member) => reported.has(member))
  }
  const longest = Math.max(0, ...bridges.map(({ name }) => secondsOf(name)))
  await until(allReported, { seconds: longest + 1, signal })
  return first.filter((member) => !reported.has(member))
}

/** Has the bridge send its queries again now: else the first one comes when the long interval is over. */
async function query(bridge: string, { machines, journal, signal }: StressBench): Promise<void> {
  const shell = machines.get(hostKey)?.shell
  if (shell === undefined) return
  const argv = (value: string) => ['ip', 'link', 'set', 'dev', bridge, 'type', 'bridge', 'mcast_querier', value]
  const note = await journal.before({
    kind: 'link-attribute',
    name: bridge,
    attribute: 'type bridge mcast_querier',
    value: '1',
  })
  try {
    await runChecked(shell, argv('0'), { signal })
  } finally {
    await runChecked(shell, argv('1'))
    await journal.undone(note)
  }
}

/** What its timer would do at the end of the long interval. */
async function expire(member: Member, { machines, journal, signal }: StressBench): Promise<void> {
  const shell = machines.get(hostKey)?.shell
  if (shell === undefined) return
  const { bridge, port, group, vlan } = member
  await journal.before({ kind: 'multicast-member', bridge, port, group, ...(vlan === undefined ? {} : { vlan }) })
  // It may be gone by itself.
  await shell.run(['bridge', 'mdb', 'del', ...wordsOf(member)], { signal })
}

function wordsOf({ bridge, port, group, vlan }: Member): readonly string[] {
  return ['dev', bridge, 'port', port, 'grp', group, ...(vlan === undefined ? [] : ['vid', String(vlan)])]
}

/**
 * The membership interval first: what is reported from now on lasts as long as before. Then, once the short queries
 * have had their answers, the rest; and who was a member before and is none now is made one again.
 */
async function restoreAll(
  before: readonly Member[],
  queriers: readonly { readonly name: string }[],
  restore: (which?: (timer: { readonly setting: string }) => boolean) => Promise<void>,
  bench: StressBench,
): Promise<void> {
  const { machines, journal } = bench
  const shell = machines.get(hostKey)?.shell
  try {
    await restore(({ setting }) => setting === membership)
    if (queriers.length > 0) {
      const renewed = async () => {
        const members = (await Promise.all(queriers.map(({ name }) => membersOn(name, bench)))).flat()
        return members.every(({ seconds }) => seconds > shortMembership / 100)
      }
      await until(renewed, { seconds: 8 })
    }
  } finally {
    await restore()
  }
  const bridges = [...new Set(before.map(({ bridge }) => bridge))]
  const after = (await Promise.all(bridges.map((name) => membersOn(name, bench)))).flat()
  for (const member of before)
    if (shell !== undefined && !after.some((each) => isSame(each, member)))
      await shell.run(['bridge', 'mdb', 'add', ...wordsOf(member), 'temp'])
  for (const { id, step } of journal.pending()) if (step.kind === 'multicast-member') await journal.undone(id)
}
