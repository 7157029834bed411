import type { CellResult, Way } from '../results/schema.ts'

/** Words of guests and tools, without what a terminal would act on. */
export function plain(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' ')
}

/** "pc1>dut" -> "PC1>VM" */
export function directionLabel(direction: string, dutLabel: string): string {
  return direction
    .split('>')
    .map((role) => (role === 'dut' ? dutLabel : /^pc\d$/.test(role) ? role.toUpperCase() : role))
    .join('>')
}

export function familyLabel(family: CellResult['family']): string {
  return family === 'ipv4' ? 'IPv4' : 'IPv6'
}

/** What the DUT of these cells is called: "VM", "host", or "DUT" where they have both. */
export function dutLabelOf(cells: readonly CellResult[]): string {
  const duts = new Set(cells.map(({ dut }) => dut))
  return duts.size > 1 ? 'DUT' : duts.has('host') ? 'host' : 'VM'
}

/** The interface mode, or the host in place of the VM. */
export function modeLabel({ dut, mode }: Pick<CellResult, 'dut' | 'mode'>): string {
  return plain(mode ?? (dut === 'host' ? 'host' : 'VM'))
}

export const formLabels = {
  static: 'static address',
  eui64: 'EUI-64 address',
  'added-later': 'address added later',
} as const satisfies Record<CellResult['form'], string>

export const wayLabels = {
  there: 'one way',
  back: 'the other way',
  both: 'both ways at once',
} as const satisfies Record<Way, string>

export const acceleratorWords = {
  kvm: 'accelerated by KVM',
  tcg: 'emulated in software (TCG, no KVM): its throughput is the emulator’s',
} as const

export type Reached = 'yes' | 'no' | 'partly'

/** Whether a direction was reached in every probe of a cell, before and after the load; undefined without a probe. */
export function reached({ probesBefore, probesAfter }: CellResult, direction: string): Reached | undefined {
  const probes = [...probesBefore, ...probesAfter].filter((probe) => probe.direction === direction)
  if (probes.length === 0) return undefined
  if (probes.every(({ reachable }) => reachable)) return 'yes'
  return probes.every(({ reachable }) => !reachable) ? 'no' : 'partly'
}

export function directionsOf(cells: readonly CellResult[]): readonly string[] {
  return [...new Set(cells.flatMap((cell) => cell.probesBefore.map(({ direction }) => direction)))]
}

/** What is said of a cell that is not healthy: where what was lost was seen last, or why there is no result. */
export function notesOf({ verdict, solicitations }: CellResult, dutLabel: string): readonly string[] {
  if (verdict.verdict === 'healthy') return []
  if (verdict.verdict === 'error') return [plain(verdict.error.message)]
  if (verdict.verdict === 'impossible') return [`not possible here: ${plain(verdict.reason)}`]
  const when = verdict.when === 'always' ? '' : ` (${verdict.when})`
  return verdict.directions.map((direction) => {
    const lost = `${directionLabel(direction, dutLabel)} lost${when}`
    const trace = solicitations.find((each) => each.direction === direction)
    return plain(trace === undefined ? lost : `${lost}: ${trace.protocol} ${trace.line}`)
  })
}

export function verdictWords({ verdict, family }: CellResult): string {
  switch (verdict.verdict) {
    case 'healthy':
      return 'healthy'
    case 'broken':
      return `breaks ${familyLabel(family)}`
    case 'error':
      return 'not measured'
    case 'impossible':
      return 'not possible'
  }
}
