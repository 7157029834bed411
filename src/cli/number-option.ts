import { VmrError } from '../errors/vmr-error.ts'

/** @throws VmrError USAGE for what is no number of seconds from 0 to a day. */
export function secondsOption(option: string, text: string): number {
  const value = Number(text)
  if (text.trim() !== '' && Number.isFinite(value) && value >= 0 && value <= 86_400) return value
  throw new VmrError('USAGE', `${option} takes seconds, 0 to 86400, not ${JSON.stringify(text.slice(0, 40))}`, {
    hint: `For example ${option} 30.`,
  })
}

/** @throws VmrError USAGE for what is no whole number from 1 to `largest`. */
export function wholeNumberOption(option: string, text: string, largest: number): number {
  const value = Number(text)
  if (/^\d+$/.test(text) && value >= 1 && value <= largest) return value
  throw new VmrError(
    'USAGE',
    `${option} takes a whole number, 1 to ${largest}, not ${JSON.stringify(text.slice(0, 40))}`,
    { hint: `For example ${option} 5.` },
  )
}
