import { setMaxListeners } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { runChecked, type Shell } from '../../shell/shell.ts'
import { exchangeFilter } from '../hop-trace/filter.ts'
import { sightingsAt } from '../hop-trace/frames.ts'
import { type TimedFrame, watchLinks } from '../hop-trace/watch.ts'
import { readChecksumErrors } from './checksum-errors.ts'
import { readMachineState } from './machine-state.ts'
import { type Ping, type ProbeResult, pingAll } from './probes.ts'
import {
  type Evidence,
  evidenceFormat,
  evidenceSchema,
  type MachineState,
  type NicEvidence,
  type PathEvidence,
} from './schema.ts'
import { type FarEnd, farKey, guestKey, hostKey, linkOf, type PlannedPath, planPaths } from './topology.ts'
import { probeTunnels } from './tunnel-paths.ts'

/** A machine that may be looked into: how it is reached, and what makes a command root's there. */
export interface ObservedMachine {
  readonly shell: Shell
  readonly asRoot: readonly string[]
}

/** A far end that is asked and probed from. Its NIC goes by its MAC address, where one is given. */
export type FarMachine = Omit<FarEnd, 'machine'> & { readonly machine: ObservedMachine; readonly mac?: string }

export interface ObserveRequest {
  readonly vm: Evidence['vm']
  readonly host: ObservedMachine
  /** Undefined when nobody may or can log in there. */
  readonly guest: ObservedMachine | undefined
  /** Names are those that the definition gives; the guest's own take their place where a MAC address matches. */
  readonly nics: readonly NicEvidence[]
  /** Who is on the network of a NIC, by NIC name. */
  readonly farEnds: ReadonlyMap<string, readonly FarMachine[]>
  /** By NIC name: addresses that the guest is meant to have. */
  readonly intended: ReadonlyMap<string, readonly string[]>
  readonly unknowns: readonly Evidence['unknowns'][number][]
  /** Only paths that it accepts are probed. */
  readonly select?: (path: PlannedPath) => boolean
  /** What a probe from cold caches showed a moment ago, of paths that need no other before they are followed. */
  readonly known?: (path: PlannedPath) => ProbeResult | undefined
  readonly signal: AbortSignal
  readonly onProgress?: (activity: string) => void
}

/**
 * Gathers the evidence: what each machine says of itself, then probes of every path from cold neighbour caches, and of
 * each path that is lost a second probe with every hop watched. Nothing is changed but the neighbour caches.
 *
 * A path is lost only when both probes are: once can be a guest that a busy host kept waiting.
 */
export async function observe(request: ObserveRequest): Promise<Evidence> {
  const { vm, host, guest, signal, onProgress = () => undefined } = request
  // Every command listens for the abort, and they run many at a time.
  setMaxListeners(0, signal)
  const startedAt = performance.now()
  const observedAt = new Date().toISOString()
  onProgress('asking every machine')
  const machines = new Map<string, ObservedMachine>([[hostKey, host]])
  if (guest !== undefined) machines.set(guestKey, guest)
  for (const { name, machine } of [...request.farEnds.values()].flat()) machines.set(farKey(name), machine)
  const states = new Map(
    await Promise.all(
      [...machines].map(
        async ([key, { shell, asRoot }]) => [key, await readMachineState(shell, { asRoot, signal })] as const,
      ),
    ),
  )
  if (guest !== undefined) states.set(guestKey, await settled(guest, states.get(guestKey), signal))
  const hostState = states.get(hostKey)
  if (hostState === undefined) throw new RangeError('the host was not observed')
  const guestState = states.get(guestKey)
  const names = new Map(
    request.nics.map(({ name, mac }) => [
      name,
      guestState?.links.find((link) => link.mac === mac && link.kind === undefined)?.name ?? name,
    ]),
  )
  const nics = request.nics.map((nic) => ({ ...nic, name: names.get(nic.name) ?? nic.name }))
  const renamed = <T>(map: ReadonlyMap<string, T>) =>
    new Map([...map].map(([name, value]) => [names.get(name) ?? name, value]))
  const farEnds = new Map(
    [...renamed(request.farEnds)].map(([name, found]): [string, readonly FarEnd[]] => [
      name,
      found.map(({ mac, nic, ...far }) => {
        const machine = farKey(far.name)
        const own = states.get(machine)?.links.find((link) => link.mac === mac && link.kind === undefined)?.name
        return { ...far, machine, nic: (mac === undefined ? undefined : own) ?? nic }
      }),
    ]),
  )
  const planned = planPaths({
    ...{ vmName: vm.name, host: hostState, guest: guestState, nics, farEnds },
    machines: states,
    intended: renamed(request.intended),
  }).filter((path) => machines.has(path.from.machine) && (request.select?.(path) ?? true))
  const warm = await probeWarm(planned, machines, states, signal)
  const paths = new Map<string, PathEvidence>()
  for (const path of planned) {
    const probe = request.known?.(path)
    if (probe !== undefined) paths.set(path.id, { ...path, probe, ...warm.get(path.id) })
  }
  const groups = mergedGroups(groupsOf(planned.filter(({ id }) => !paths.has(id))))
  for (const [index, group] of groups.entries()) {
    onProgress(`probing from cold caches, ${index + 1} of ${groups.length}`)
    for (const path of await probeGroup(group, machines, signal)) paths.set(path.id, { ...path, ...warm.get(path.id) })
  }
  const lost = planned.filter(({ id }) => paths.get(id)?.probe.received === 0)
  if (lost.length > 0) {
    onProgress(`following ${lost.length} lost ${lost.length === 1 ? 'path' : 'paths'} hop by hop`)
    for (const [id, trace] of await traceLost(lost, machines, states, signal)) {
      const path = paths.get(id)
      if (path !== undefined) paths.set(id, { ...path, trace })
    }
  }
  onProgress('probing with large packets')
  for (const [id, large] of await probeLarge([...paths.values()], machines, states, signal)) {
    const path = paths.get(id)
    if (path !== undefined) paths.set(id, { ...path, large })
  }
  const tunnels =
    guest === undefined || guestState === undefined
      ? []
      : await probeTunnels(vm.name, guest, guestState, planned, signal)
  return evidenceSchema.parse({
    format: evidenceFormat,
    observedAt,
    seconds: (performance.now() - startedAt) / 1000,
    vm,
    nics,
    machines: Object.fromEntries(states),
    ...(guestState === undefined ? {} : { guest: guestKey }),
    paths: [
      ...planned.flatMap(({ id }) => paths.get(id) ?? []),
      ...tunnels.filter((path) => request.select?.(path) ?? true),
    ],
    unknowns: [...request.unknowns],
  } satisfies Evidence)
}

const settleMs = 6000

/** Duplicate address detection takes a second or two: before it ends an address answers nobody (RFC 4862 section 5.4). */
async function settled(
  { shell, asRoot }: ObservedMachine,
  first: MachineState | undefined,
  signal: AbortSignal,
): Promise<MachineState> {
  let state = first ?? (await readMachineState(shell, { asRoot, signal }))
  const waits = () =>
    state.links.some(
      ({ flags, addresses }) =>
        flags.includes('LOWER_UP') && addresses.some(({ tentative, duplicate }) => tentative && !duplicate),
    )
  for (const deadline = performance.now() + settleMs; waits() && performance.now() < deadline; ) {
    await delay(200, undefined, { signal })
    state = await readMachineState(shell, { asRoot, signal })
  }
  return state
}

/**
 * Paths that may be probed at the same time from cold caches: those of one sender. Who only answers teaches the sender
 * nothing but what it asked for, and nobody else has anything to find out. What is routed goes by itself, so that what a
 * router says of it is not taken for a word about another path.
 */
function groupsOf(paths: readonly PlannedPath[]): readonly (readonly PlannedPath[])[] {
  const keyOf = ({ routed, direction, from }: PlannedPath) => (routed ? direction : from.machine)
  const groups = new Map<string, PlannedPath[]>()
  for (const path of paths) groups.set(keyOf(path), [...(groups.get(keyOf(path)) ?? []), path])
  return [...groups.values()]
}

/** Groups of which no sender is another's target can be probed together too, where nobody looks at single frames. */
function mergedGroups(groups: readonly (readonly PlannedPath[])[]): readonly (readonly PlannedPath[])[] {
  const isApart = (one: readonly PlannedPath[], other: readonly PlannedPath[]) =>
    !one.some(({ from }) => other.some(({ to }) => to.machine === from.machine))
  const merged: (readonly PlannedPath[])[] = []
  for (const group of groups) {
    const index = group.some(({ routed }) => routed)
      ? -1
      : merged.findIndex((each) => !each.some(({ routed }) => routed) && isApart(each, group) && isApart(group, each))
    const other = merged[index]
    if (other === undefined) merged.push(group)
    else merged[index] = [...other, ...group]
  }
  return merged
}

type Machines = ReadonlyMap<string, ObservedMachine>

function pingOf({ family, from, to }: PlannedPath, bytes?: number): Ping {
  return {
    address: to.address,
    family,
    ...(/^fe80:/i.test(to.address) ? { zone: from.link } : {}),
    ...(bytes === undefined ? {} : { bytes }),
  }
}

/** Words for root first, then links. bash tells the time by itself from 5.0 on, and not every date knows fractions. */
const forgetScript = `export PATH="$PATH:/usr/sbin:/sbin"
root=("\${@:2:$1}")
shift $(($1 + 1))
for link; do "\${root[@]}" ip neighbour flush dev "$link" >/dev/null || true; done
echo "\${EPOCHREALTIME:-$(date +%s.%N)}"`

/**
 * What each link's neighbours were is forgotten everywhere on the paths; the senders go last, so that they learn nothing
 * again from what the others still send.
 *
 * @param timed machines that tell what their clocks said when the others had forgotten.
 * @returns seconds since 1970 by machine.
 */
async function forget(
  paths: readonly PlannedPath[],
  machines: Machines,
  signal: AbortSignal,
  timed: readonly string[] = [],
): Promise<Clocks> {
  const senders = new Set(paths.map(({ from }) => from.machine))
  const links = new Map<string, Set<string>>()
  // Who only passes frames on within one network resolves nothing.
  for (const { from, to, hops, routed } of paths)
    for (const { machine, link } of [from, to, ...(routed ? hops : [])])
      if (machine !== hostKey) links.set(machine, (links.get(machine) ?? new Set()).add(link))
  const run = async (key: string, flushed: Iterable<string>): Promise<readonly [string, number]> => {
    const machine = machines.get(key)
    if (machine === undefined) return [key, Number.NaN]
    const { asRoot, shell } = machine
    const argv = ['bash', '-c', forgetScript, 'bash', String(asRoot.length), ...asRoot, ...flushed]
    return [key, Number((await runChecked(shell, argv, { signal })).trim())]
  }
  await Promise.all([...links].filter(([key]) => !senders.has(key)).map(([key, own]) => run(key, own)))
  const last = new Set([...timed, ...senders])
  return new Map(await Promise.all([...last].map((key) => run(key, senders.has(key) ? (links.get(key) ?? []) : []))))
}

async function probe(
  paths: readonly PlannedPath[],
  machines: Machines,
  signal: AbortSignal,
  bytes: (path: PlannedPath) => number | undefined = () => undefined,
): Promise<ReadonlyMap<string, ProbeResult>> {
  const results = new Map<string, ProbeResult>()
  const senders = [...new Set(paths.map(({ from }) => from.machine))]
  await Promise.all(
    senders.map(async (key) => {
      const own = paths.filter(({ from }) => from.machine === key)
      const machine = machines.get(key)
      if (machine === undefined) return
      const found = await pingAll(
        machine.shell,
        own.map((path) => pingOf(path, bytes(path))),
        { signal },
      )
      for (const [index, path] of own.entries()) {
        const result = found[index]
        if (result !== undefined) results.set(path.id, result)
      }
    }),
  )
  return results
}

/** One path once more, from cold neighbour caches. */
export async function probeOnce(path: PlannedPath, machines: Machines, signal: AbortSignal): Promise<ProbeResult> {
  await forget([path], machines, signal)
  return (await probe([path], machines, signal)).get(path.id) ?? { sent: 0, received: 0 }
}

async function probeGroup(
  group: readonly PlannedPath[],
  machines: Machines,
  signal: AbortSignal,
): Promise<readonly PathEvidence[]> {
  await forget(group, machines, signal)
  const results = await probe(group, machines, signal)
  const known = await neighboursOf(group, machines, signal)
  return group.map((path) => {
    const mac = known(path)
    return {
      ...path,
      probe: results.get(path.id) ?? { sent: 0, received: 0 },
      ...(mac === undefined ? {} : { resolvedMac: mac }),
    }
  })
}

/** By which MAC address the senders know their targets now. */
async function neighboursOf(
  group: readonly PlannedPath[],
  machines: Machines,
  signal: AbortSignal,
): Promise<(path: PlannedPath) => string | undefined> {
  const tables = new Map<string, string>()
  await Promise.all(
    [...new Set(group.map(({ from }) => from.machine))].map(async (key) => {
      const machine = machines.get(key)
      if (machine !== undefined)
        tables.set(key, await runChecked(machine.shell, ['ip', 'neighbour', 'show'], { signal }))
    }),
  )
  return ({ from, to, resolved }) => {
    const target = resolved[0]?.to ?? to.address
    for (const line of (tables.get(from.machine) ?? '').split('\n')) {
      const [address, , link, , mac] = line.split(' ')
      if (address === target && link === from.link && line.includes(' lladdr ')) return mac
    }
    return undefined
  }
}

/** Every lost path once more, group by group, with every hop of all of them watched. */
async function traceLost(
  lost: readonly PlannedPath[],
  machines: Machines,
  states: ReadonlyMap<string, MachineState>,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, NonNullable<PathEvidence['trace']>>> {
  const groups = groupsOf(lost)
  const hops = new Map(lost.flatMap((path) => path.hops).map((hop) => [`${hop.machine} ${hop.link}`, hop]))
  const exchanges = lost.map(({ family, from, to, resolved }) => ({
    family,
    from: from.address === '' ? '::' : from.address,
    to: to.address,
    resolved: resolved.filter((pair) => pair.from !== ''),
  }))
  const watched = [...hops.values()].flatMap(({ machine, link }) => {
    const owner = machines.get(machine)
    return owner === undefined || linkOf(states.get(machine), link) === undefined ? [] : [{ machine, link, ...owner }]
  })
  const filter = exchangeFilter(exchanges.filter(({ from }) => from !== '::'))
  const watch = await watchLinks(watched, filter, { probes: groups.length, signal })
  const watching = [...new Set(watched.map(({ machine }) => machine))]
  const results = new Map<string, ProbeResult>()
  const spans = new Map<string, Span>()
  let seen: Awaited<ReturnType<typeof watch.stop>>
  try {
    let before: Span | undefined
    for (const group of groups) {
      const since = await forget(group, machines, signal, watching)
      if (before !== undefined) before.until = since
      before = { since, until: undefined }
      for (const { id } of group) spans.set(id, before)
      for (const [id, result] of await probe(group, machines, signal)) results.set(id, result)
    }
  } finally {
    seen = await watch.stop()
  }
  const errors = new Map(
    await Promise.all(
      [...new Set(lost.flatMap(({ from, to }) => [from.machine, to.machine]))].map(async (key) => {
        const machine = machines.get(key)
        return [key, machine === undefined ? undefined : await readChecksumErrors(machine.shell, signal)] as const
      }),
    ),
  )
  const errorsOf = ({ family, from, to }: PlannedPath) =>
    Object.fromEntries(
      [from.machine, to.machine].flatMap((key) => {
        const [now, before] = [errors.get(key)?.[family], states.get(key)?.checksumErrors[family]]
        return now === undefined || before === undefined ? [] : [[key, Math.max(0, now - before)]]
      }),
    )
  return new Map(
    lost.map((path) => [
      path.id,
      {
        probe: results.get(path.id) ?? { sent: 0, received: 0 },
        sightings: path.hops.flatMap((hop) => {
          const at = seen.find(({ machine, link }) => machine === hop.machine && link === hop.link)
          return at === undefined ? [] : sightingsAt(hop, path, during(spans.get(path.id), at))
        }),
        unwatched: path.hops.flatMap(({ machine, link, name }) =>
          seen.some((each) => each.machine === machine && each.link === link) ? [] : [name],
        ),
        checksumErrors: errorsOf(path),
      },
    ]),
  )
}

/** Seconds since 1970 by each machine's own clock. */
type Clocks = ReadonlyMap<string, number>

/** When a group of paths was probed. */
interface Span {
  readonly since: Clocks
  until: Clocks | undefined
}

/** Of what a link saw: what belongs to a group. Where a clock is not known, everything may. */
function during(
  span: Span | undefined,
  { machine, frames }: { readonly machine: string; readonly frames: readonly TimedFrame[] },
): readonly TimedFrame[] {
  const [since, until] = [span?.since.get(machine), span?.until?.get(machine)]
  return frames.filter(({ at }) => !(since !== undefined && at < since) && !(until !== undefined && at >= until))
}

/** Of paths that carry small packets: one as large as the sender's link allows, not to be fragmented. */
async function probeLarge(
  paths: readonly PathEvidence[],
  machines: Machines,
  states: ReadonlyMap<string, MachineState>,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, NonNullable<PathEvidence['large']>>> {
  // One address a direction and family says it for all of them.
  const chosen = paths.filter(
    (path, index) =>
      path.form !== 'link-local' &&
      path.probe.received > 0 &&
      paths.findIndex(
        (each) => each.direction === path.direction && each.family === path.family && each.probe.received > 0,
      ) === index,
  )
  const bytes = ({ from }: PlannedPath) => linkOf(states.get(from.machine), from.link)?.mtu ?? 1500
  const results = await probe(chosen, machines, signal, bytes)
  return new Map(
    chosen.flatMap((path) => {
      const result = results.get(path.id)
      return result === undefined ? [] : [[path.id, { ...result, bytes: bytes(path) }] as const]
    }),
  )
}

/**
 * A sender that knows its target by a MAC address that is none of the guest's is probed before anything is forgotten:
 * afterwards nothing would show what the entry did.
 */
async function probeWarm(
  paths: readonly PlannedPath[],
  machines: Machines,
  states: ReadonlyMap<string, MachineState>,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, Pick<PathEvidence, 'warm'>>> {
  const wrong = paths.flatMap((path) => {
    const expected = path.to.mac
    const entry = states
      .get(path.from.machine)
      ?.neighbours.find(({ address, link }) => address === path.to.address && link === path.from.link)
    return path.routed || expected === undefined || entry?.mac === undefined || entry.mac === expected
      ? []
      : [{ path, mac: entry.mac }]
  })
  if (wrong.length === 0) return new Map()
  const results = await probe(
    wrong.map(({ path }) => path),
    machines,
    signal,
  )
  return new Map(
    wrong.flatMap(({ path, mac }) => {
      const result = results.get(path.id)
      return result === undefined ? [] : [[path.id, { warm: { probe: result, mac } }] as const]
    }),
  )
}
