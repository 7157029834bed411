import { tally } from '../bench/verdict.ts'
import type { CellResult, Run } from '../results/schema.ts'
import { figuresOf, megabits } from './figures.ts'
import { markdownTable, markdownText } from './markdown-table.ts'
import {
  directionLabel,
  directionsOf,
  dutLabelOf,
  familyLabel,
  formLabels,
  modeLabel,
  notesOf,
  reached,
  verdictWords,
  wayLabels,
} from './words.ts'
import { zeroLossColumns, zeroLossRows } from './zero-loss.ts'

/** The run in GitHub's Markdown: what is broken first, then reachability, then every figure. */
export function markdownReport(run: Run): string {
  const { manifest, cells } = run
  const { healthy, broken, error, impossible, missing } = tally(manifest.planned, cells)
  const counts = [
    `${healthy} healthy`,
    `${broken} broken`,
    ...(error > 0 ? [`${error} could not be measured`] : []),
    ...(impossible > 0 ? [`${impossible} not possible here`] : []),
    ...(missing > 0 ? [`${missing} not run`] : []),
  ]
  const figures = figuresOf(run)
  const zeroLoss = zeroLossRows(cells)
  const lines = [
    `# ${markdownText(manifest.matrix.name)}: ${counts.join(', ')}`,
    '',
    markdownText(
      `Run ${manifest.run}, started ${manifest.startedAt}, kernel ${manifest.host.kernel}${
        manifest.guest === undefined ? '' : `, guest ${manifest.guest.label}`
      }.`,
    ),
    '',
    ...cells.flatMap((cell) =>
      cell.verdict.verdict === 'broken'
        ? [
            `- **${markdownText(modeLabel(cell))}** ${verdictWords(cell)} in ${markdownText(caseWords(cell))}: ${markdownText(notesOf(cell, dutLabelOf([cell])).join('; '))}`,
          ]
        : [],
    ),
    '',
    markdownTable(
      ['case', 'mode', 'family', 'reached', 'verdict'],
      cells.map((cell) => [
        caseWords(cell),
        modeLabel(cell),
        familyLabel(cell.family),
        directionsOf([cell])
          .map((direction) => `${directionLabel(direction, dutLabelOf([cell]))} ${reached(cell, direction) ?? '–'}`)
          .join(', '),
        verdictWords(cell),
      ]),
    ),
    ...(figures.length === 0
      ? []
      : [
          '',
          markdownTable(
            ['case', 'mode', 'family', 'direction', 'way', 'Mbit/s', 'min–max', 'of limit', 'of the host’s'],
            figures.map(({ cell, record, hostRatio }) => [
              caseWords(cell),
              modeLabel(cell),
              familyLabel(cell.family),
              directionLabel(record.direction, dutLabelOf([cell])),
              wayLabels[record.way],
              rate(record.summary.median),
              `${rate(record.summary.min)}–${rate(record.summary.max)}`,
              percent(record.shareOfWireLimit),
              hostRatio === undefined ? '–' : percent(hostRatio),
            ]),
          ),
        ]),
    ...(zeroLoss.length === 0
      ? []
      : ['', 'Highest rate of UDP without loss (after RFC 2544):', '', markdownTable(zeroLossColumns, zeroLoss)]),
  ]
  return `${lines.join('\n')}\n`
}

const caseWords = ({ case: name, form }: CellResult): string =>
  form === 'static' ? name : `${name}, ${formLabels[form]}`
const rate = (bitsPerSecond: number): string => megabits(bitsPerSecond).toFixed(0)
const percent = (share: number): string => `${(share * 100).toFixed(0)} %`
