import type { Family } from '../ipv6/reachability.ts'
import type { AddressForm, Costs, Way } from '../results/schema.ts'
import type { HostCapabilities } from '../testbed/host-capabilities.ts'
import { type KernelNeed, linkOfRole } from './cases/bench-case.ts'
import { findCase } from './cases/index.ts'
import type { CellSelection, Matrix, ThroughputSettings } from './matrix.ts'
import { median, type RandomSource, randomSource } from './statistics.ts'

interface CellKey {
  /** Stable over runs and versions: `nic/macvtap/vm/ipv6`, `nic/host/ipv6`, `nic/macvtap/vm/ipv6/eui64`. */
  readonly id: string
  readonly case: string
  readonly family: Family
  readonly form: AddressForm
  readonly ways: readonly Way[]
  readonly slide?: string
}

/** One thing to measure. */
export type PlannedCell = CellKey & ({ readonly dut: 'vm'; readonly mode: string } | { readonly dut: 'host' })

/** One look at a cell. */
export interface Visit {
  readonly cell: PlannedCell
  readonly number: 1 | 2
  /** No visit to this cell comes after it. */
  readonly last: boolean
  /** Of each way; a last visit goes on where more are needed for a narrow interval. */
  readonly repetitions: number
}

export interface Plan {
  /** In the order of the matrix. */
  readonly cells: readonly PlannedCell[]
  /** Cells that this testbed cannot run. */
  readonly impossible: readonly { readonly cell: PlannedCell; readonly reason: string }[]
  /** In the order of running. */
  readonly visits: readonly Visit[]
  /** Estimate of the whole, in seconds. */
  readonly expectedSeconds: number
}

export interface PlanRequest {
  readonly matrix: Matrix
  readonly selection?: CellSelection
  /** What the testbed's own kernel can do: it decides which cells are possible, and where a PC is a VM. */
  readonly capabilities: Pick<HostCapabilities, KernelNeed>
  /** Of everything that may be in any order. */
  readonly seed: number
  readonly costs?: StepCosts
}

/** What each kind of step is expected to take, in seconds. */
export type StepCosts = Readonly<Record<keyof Costs, number>>

/** Measured with guests under software emulation on two cores; earlier runs on the same machine know better. */
const usualCosts: StepCosts = { boot: 5, switchMode: 3, configure: 5, enterHost: 1, cell: 6 }

/** The medians of what steps took in earlier runs, and the usual where there are none. */
export function learnedCosts(earlier: readonly Costs[]): StepCosts {
  const learned = (kind: keyof Costs) => {
    const seconds = earlier.flatMap((costs) => costs[kind])
    return seconds.length === 0 ? usualCosts[kind] : median(seconds)
  }
  return {
    boot: learned('boot'),
    switchMode: learned('switchMode'),
    configure: learned('configure'),
    enterHost: learned('enterHost'),
    cell: learned('cell'),
  }
}

const needNames: Readonly<Record<KernelNeed, string>> = {
  vlan: '802.1Q VLANs',
  ip6Tunnel: 'IPv6 tunnels (ip6_tunnel)',
}

/**
 * The cells of a matrix that the selection leaves, each once, and the order in which they run.
 *
 * A change of DUT or mode costs most, one of case less, one of family nothing. So the host's cells come first, then
 * mode after mode; within a mode case after case, in every second mode backward, so that a mode begins with the case
 * that the one before ended with. Cases that need more VMs stand together at one end. No order of the same set-ups has
 * fewer changes; what is left open is drawn from the seed.
 */
export function planCells({ matrix, selection = {}, capabilities, seed, costs = usualCosts }: PlanRequest): Plan {
  const chosen = new Map<string, PlannedCell>()
  for (const cell of matrix.cells.flatMap((group) => cellsOf(group, matrix.throughput))) {
    const selected = selectedPart(cell, selection)
    if (selected !== undefined) chosen.set(selected.id, selected)
  }
  const cells = [...chosen.values()]
  const impossible = cells.flatMap((cell) => {
    const reason = whyImpossible(cell, capabilities)
    return reason === undefined ? [] : [{ cell, reason }]
  })
  const possible = cells.filter((cell) => !impossible.some((each) => each.cell === cell))
  const forth = order(possible, capabilities, randomSource(seed))
  const visits = visitsOf(forth, matrix)
  const expectedSeconds = expectedVisitSeconds(visits, matrix, capabilities, costs).reduce((sum, each) => sum + each, 0)
  return { cells, impossible, visits, expectedSeconds }
}

/** What the cells share that run without a change in between. */
export function setupOf(cell: PlannedCell): string {
  const form = cell.form === 'static' ? '' : `/${cell.form}`
  return cell.dut === 'vm' ? `${cell.case}/${cell.mode}/vm${form}` : `${cell.case}/host${form}`
}

/** Links of the testbed, from 0, whose far end has to be a VM because the host's kernel lacks what the case needs. */
export function farVmLinks(caseName: string, capabilities: PlanRequest['capabilities']): readonly number[] {
  const { needs, roles } = findCase(caseName)
  return roles.flatMap((role) => {
    const need = needs[role]
    return role === 'dut' || need === undefined || capabilities[need] ? [] : [linkOfRole[role]]
  })
}

export function lackOf(need: KernelNeed): string {
  return `this host's kernel has no ${needNames[need]}`
}

function whyImpossible(cell: PlannedCell, capabilities: PlanRequest['capabilities']): string | undefined {
  const need = findCase(cell.case).needs.dut
  if (cell.dut === 'vm' || need === undefined || capabilities[need]) return undefined
  return lackOf(need)
}

function cellsOf(group: Matrix['cells'][number], throughput: Matrix['throughput']): readonly PlannedCell[] {
  const modes = group.dut === 'vm' ? group.modes : [undefined]
  const ways = throughput === false ? [] : (group.ways ?? throughput.ways)
  return modes.flatMap((mode) =>
    group.families.flatMap((family) =>
      // An IPv4 address has no other form, and takes no part in what is to be shown by one.
      (family === 'ipv4' ? group.forms.filter((form) => form === 'static') : group.forms).map((form): PlannedCell => {
        const path = mode === undefined ? `${group.case}/host` : `${group.case}/${mode}/vm`
        const key = {
          id: `${path}/${family}${form === 'static' ? '' : `/${form}`}`,
          case: group.case,
          family,
          form,
          ways,
          ...(group.slide === undefined ? {} : { slide: group.slide }),
        }
        return mode === undefined ? { ...key, dut: 'host' } : { ...key, dut: 'vm', mode }
      }),
    ),
  )
}

function selectedPart(
  cell: PlannedCell,
  { cases, modes, duts, families, ways }: CellSelection,
): PlannedCell | undefined {
  const selected =
    (cases?.includes(cell.case) ?? true) &&
    (duts?.includes(cell.dut) ?? true) &&
    (families?.includes(cell.family) ?? true) &&
    // A mode is a VM's: choosing some leaves out the host, which has none.
    (modes === undefined || (cell.dut === 'vm' && modes.includes(cell.mode)))
  if (!selected) return undefined
  const left = cell.ways.filter((way) => ways?.includes(way) ?? true)
  if (ways !== undefined && cell.ways.length > 0 && left.length === 0) return undefined
  return { ...cell, ways: left }
}

function order(
  cells: readonly PlannedCell[],
  capabilities: PlanRequest['capabilities'],
  random: RandomSource,
): readonly PlannedCell[] {
  const caseRank = new Map(
    shuffled([...new Set(cells.map((cell) => cell.case))], random)
      .toSorted((a, b) => farVmLinks(a, capabilities).length - farVmLinks(b, capabilities).length)
      .map((name, rank) => [name, rank]),
  )
  const modes = shuffled([...new Set(cells.flatMap((cell) => (cell.dut === 'vm' ? [cell.mode] : [])))], random)
  const blocks = [
    cells.filter(({ dut }) => dut === 'host'),
    ...modes.map((mode) => cells.filter((cell) => cell.dut === 'vm' && cell.mode === mode)),
  ].filter((block) => block.length > 0)
  return blocks.flatMap((block, index) => {
    // The host's block is small and needs no VM: the snake begins behind it, with the cases that need none either.
    const backward = block[0]?.dut === 'vm' && (index - (blocks[0]?.[0]?.dut === 'host' ? 1 : 0)) % 2 === 1
    const setups = [...new Set(shuffled(block, random).map(setupOf))]
    const rank = (setup: string) => caseRank.get(setup.split('/')[0] ?? '') ?? 0
    const sorted = setups.toSorted((a, b) => rank(a) - rank(b))
    return (backward ? sorted.toReversed() : sorted).flatMap((setup) =>
      shuffled(
        block.filter((cell) => setupOf(cell) === setup),
        random,
      ),
    )
  })
}

function visitsOf(forth: readonly PlannedCell[], { throughput, interleave }: Matrix): readonly Visit[] {
  const repetitions = throughput === false ? 0 : throughput.repetitions
  const key = (cell: PlannedCell) => `${cell.case}/${cell.family}/${cell.form}`
  const dutsOf = (cell: PlannedCell) => new Set(forth.filter((each) => key(each) === key(cell)).map(({ dut }) => dut))
  const twice = new Set(
    interleave && repetitions > 1 ? forth.filter((cell) => cell.ways.length > 0 && dutsOf(cell).size > 1) : [],
  )
  const first = Math.ceil(repetitions / 2)
  return [
    ...forth.map(
      (cell): Visit =>
        twice.has(cell)
          ? { cell, number: 1, last: false, repetitions: first }
          : { cell, number: 1, last: true, repetitions },
    ),
    ...forth
      .filter((cell) => twice.has(cell))
      .toReversed()
      .map((cell): Visit => ({ cell, number: 2, last: true, repetitions: repetitions - first })),
  ]
}

/** Seconds of load that a visit applies, as far as is known before. */
export function loadSecondsOf({ cell, repetitions }: Visit, settings: ThroughputSettings | false): number {
  if (settings === false) return 0
  return cell.ways.length * repetitions * (settings.seconds + settings.omitSeconds)
}

/** What each visit is expected to take after the one before it, in seconds. */
export function expectedVisitSeconds(
  visits: readonly Visit[],
  { throughput }: Pick<Matrix, 'throughput'>,
  capabilities: PlanRequest['capabilities'],
  costs: StepCosts,
): readonly number[] {
  let farVms = new Set<number>()
  return visits.map((visit, index) => {
    const { cell } = visit
    const needed = farVmLinks(cell.case, capabilities)
    const toBoot = needed.filter((link) => !farVms.has(link)).length
    farVms = new Set(needed)
    const step = stepSeconds(visits[index - 1]?.cell, cell, costs)
    return toBoot * costs.boot + step + costs.cell + loadSecondsOf(visit, throughput)
  })
}

function stepSeconds(before: PlannedCell | undefined, cell: PlannedCell, costs: StepCosts): number {
  if (before !== undefined && setupOf(before) === setupOf(cell)) return 0
  if (cell.dut === 'host') return costs.configure + (before?.dut === 'host' ? 0 : costs.enterHost)
  if (before?.dut !== 'vm') return costs.boot + costs.configure
  return costs.configure + (before.mode === cell.mode ? 0 : costs.switchMode)
}

function shuffled<Item>(items: readonly Item[], random: RandomSource): readonly Item[] {
  const copy = [...items]
  for (let left = copy.length; left > 1; left--) {
    const picked = Math.floor(random() * left)
    const [last, chosen] = [copy[left - 1], copy[picked]]
    if (last === undefined || chosen === undefined) continue
    copy[left - 1] = chosen
    copy[picked] = last
  }
  return copy
}
