import { expectedVisitSeconds, type PlanRequest, type StepCosts, type Visit } from '../bench/plan.ts'
import { cellLine } from '../bench/verdict.ts'
import type { CellResult } from '../results/schema.ts'
import type { ReportProgress } from './progress.ts'
import type { Terminal } from './terminal.ts'

interface BenchProgressRequest extends Pick<PlanRequest, 'matrix' | 'capabilities'> {
  readonly visits: readonly Visit[]
  readonly costs: StepCosts
  readonly terminal: Pick<Terminal, 'interactive' | 'notice'>
  readonly report: ReportProgress
}

interface BenchProgress {
  /** `number` is the visit's place in the plan, from 1. */
  visit(visit: Visit, number: number): void
  activity(activity: string): void
  cell(cell: CellResult): void
}

/**
 * Tells what a run does, what comes next, about how long it still takes and what was measured last: a person sees it in
 * place, a log gets a line for each visit that begins and each that ends.
 */
export function benchProgress(request: BenchProgressRequest): BenchProgress {
  const { visits, matrix, capabilities, costs, terminal, report } = request
  const expected = expectedVisitSeconds(visits, matrix, capabilities, costs)
  const began = performance.now()
  let [place, last] = ['', '']
  /** A resumed run begins in the middle of its plan. */
  let firstIndex: number | undefined
  const sum = (seconds: readonly number[]) => seconds.reduce((total, each) => total + each, 0)

  return {
    visit(visit, number) {
      firstIndex ??= number - 1
      const left = secondsLeft(
        sum(expected.slice(firstIndex, number - 1)),
        (performance.now() - began) / 1000,
        sum(expected.slice(number - 1)),
      )
      place = `${number}/${visits.length}`
      const next = visits[number]?.cell.id
      const words = [`about ${roughTime(left)} left`, ...(next === undefined ? [] : [`next: ${next}`])]
      if (terminal.interactive)
        report(`${place} ${visit.cell.id}`, [...words, ...(last === '' ? [] : [`last: ${last}`])].join(' · '))
      else terminal.notice(`${place} ${visit.cell.id}, ${words.join(', ')}`)
    },
    activity(activity) {
      report(place === '' ? activity : `${place} ${activity}`)
    },
    cell(cell) {
      last = cellLine(cell)
      if (!terminal.interactive) terminal.notice(`  ${last}`)
    },
  }
}

/** Of a run, after so much of it was expected to take so long and took so long in truth. Pure. */
export function secondsLeft(expectedSoFar: number, tookSoFar: number, expectedRest: number): number {
  // The start of a run, with the image and the lab, says little about the rest.
  const known = Math.min(1, expectedSoFar / 60)
  const pace = expectedSoFar === 0 ? 1 : tookSoFar / expectedSoFar
  return expectedRest * (known * pace + (1 - known))
}

export function roughTime(seconds: number): string {
  return seconds < 90 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`
}
