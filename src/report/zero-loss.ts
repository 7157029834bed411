import type { CellResult } from '../results/schema.ts'
import { megabits } from './figures.ts'
import { directionLabel, dutLabelOf, familyLabel, modeLabel } from './words.ts'

export const zeroLossColumns = [
  'case',
  'mode',
  'family',
  'direction',
  'frame',
  'frames/s',
  'Mbit/s',
  'of limit',
  'trials',
] as const

/** A line for each frame size of each cell that was searched; the frame in bytes, the rate of payload. */
export function zeroLossRows(cells: readonly CellResult[]): readonly (readonly string[])[] {
  return cells.flatMap((cell) =>
    (cell.zeroLoss ?? []).map(
      ({ direction, frameBytes, bitsPerSecond, framesPerSecond, wireLimitBitsPerSecond, trials }) => [
        cell.case,
        modeLabel(cell),
        familyLabel(cell.family),
        directionLabel(direction, dutLabelOf([cell])),
        String(frameBytes),
        framesPerSecond?.toFixed(0) ?? 'none',
        bitsPerSecond === undefined ? 'none' : megabits(bitsPerSecond).toFixed(1),
        bitsPerSecond === undefined ? '–' : `${((bitsPerSecond / wireLimitBitsPerSecond) * 100).toFixed(0)} %`,
        String(trials.length),
      ],
    ),
  )
}
