import type { StressResult } from '../ipv6/endurance/endure.ts'
import { isWorse } from '../ipv6/endurance/verdicts.ts'

/** A line a stress; of what was lost, why and what mends it; and what was shortened meanwhile. */
export function enduranceText(results: readonly StressResult[]): string {
  const width = Math.max(...results.map(({ stress }) => stress.name.length))
  return ['', 'Endurance:', ...results.flatMap((result) => linesOf(result, width))].join('\n')
}

function linesOf(result: StressResult, width: number): readonly string[] {
  const { stress, outcome, why, verdicts, shortened, facts, diagnosis, recovered, seconds } = result
  const took = outcome === 'not run' ? '' : `  ${seconds.toFixed(1)} s`
  return [
    `  ${stress.name.padEnd(width)}  ${outcome}${why === undefined ? took : `: ${why}`}`,
    ...verdicts.filter(isWorse).map(({ line }) => `    ${line}`),
    ...(diagnosis?.named ?? []).flatMap(({ fault, hop, facts: proof, fixes }) => [
      `    cause: ${fault.title} (${fault.id}), at ${hop}`,
      ...proof.map((fact) => `      - ${fact}`),
      ...fixes
        .slice(0, 1)
        .map(({ what, commands: [command] }) =>
          command === undefined ? `      fix: ${what}` : `      fix: ${what} (on ${command.on}: ${command.words})`,
        ),
    ]),
    ...(diagnosis?.broken ?? [])
      .filter(({ causes }) => causes.length === 0)
      .map(({ path, line }) => `    ${path.id}: ${line}; none of the known causes fits`),
    ...(recovered === undefined
      ? []
      : [recovered ? '    all is as before again' : '    what was lost stayed lost after everything was taken back']),
    ...facts.map((fact) => `    ${fact}`),
    ...shortened.map(
      ({ on, setting, before, to, restored }) =>
        `    ${on}: ${setting} ${before} -> ${to}, ${restored ? 'restored' : 'NOT RESTORED'}`,
    ),
  ]
}
