import type { Family } from '../ipv6/reachability.ts'
import type { Matrix, ThroughputSettings } from './matrix.ts'

interface CellKey {
  /** Stable over runs and versions: `nic/macvtap/vm/ipv6`, `nic/host/ipv6`. */
  readonly id: string
  readonly case: string
  readonly family: Family
}

/** One thing to measure. */
export type PlannedCell = CellKey & ({ readonly dut: 'vm'; readonly mode: string } | { readonly dut: 'host' })

export interface CellSelection {
  readonly cases?: readonly string[]
  readonly modes?: readonly string[]
  readonly duts?: readonly ('vm' | 'host')[]
  readonly families?: readonly Family[]
}

export interface Plan {
  /** In the order of running: cells that need the same set-up follow each other. */
  readonly cells: readonly PlannedCell[]
  /** Estimate of the whole, in seconds. */
  readonly expectedSeconds: number
}

/** What a change of case, DUT or mode costs, measured with a guest under software emulation. */
const setupSeconds = 6
/** Two directions probed from cold caches, before and after; both answer. */
const probeSeconds = 3
/** Starting and ending a server and a client around each run. */
const runOverheadSeconds = 1

/** The cells of a matrix that the selection leaves, each once, ordered so that set-ups change as seldom as can be. */
export function planCells(matrix: Matrix, selection: CellSelection = {}): Plan {
  const chosen = new Map<string, PlannedCell>()
  for (const cell of matrix.cells.flatMap(cellsOf)) {
    if (isSelected(cell, selection)) chosen.set(cell.id, cell)
  }
  const setups = [...new Set([...chosen.values()].map(setupOf))]
  const cells = setups.flatMap((setup) => [...chosen.values()].filter((cell) => setupOf(cell) === setup))
  const perCell = probeSeconds + throughputSeconds(matrix.throughput)
  return { cells, expectedSeconds: setups.length * setupSeconds + cells.length * perCell }
}

/** What the cells share that run without a change in between. */
export function setupOf(cell: PlannedCell): string {
  return cell.dut === 'vm' ? `${cell.case}/${cell.mode}/vm` : `${cell.case}/host`
}

function cellsOf(group: Matrix['cells'][number]): readonly PlannedCell[] {
  const modes = group.dut === 'vm' ? group.modes : [undefined]
  return modes.flatMap((mode) =>
    group.families.map((family): PlannedCell => {
      if (mode === undefined) return { id: `${group.case}/host/${family}`, case: group.case, dut: 'host', family }
      return { id: `${group.case}/${mode}/vm/${family}`, case: group.case, dut: 'vm', mode, family }
    }),
  )
}

function isSelected(cell: PlannedCell, { cases, modes, duts, families }: CellSelection): boolean {
  return (
    (cases?.includes(cell.case) ?? true) &&
    (duts?.includes(cell.dut) ?? true) &&
    (families?.includes(cell.family) ?? true) &&
    // A mode is a VM's: choosing some leaves out the host, which has none.
    (modes === undefined || (cell.dut === 'vm' && modes.includes(cell.mode)))
  )
}

function throughputSeconds(settings: ThroughputSettings | false): number {
  if (settings === false) return 0
  const directions = settings.directions === 'both' ? 2 : 1
  return directions * settings.repetitions * (settings.seconds + settings.omitSeconds + runOverheadSeconds)
}
