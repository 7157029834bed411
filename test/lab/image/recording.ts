import { readFile } from 'node:fs/promises'
import { z } from 'zod'

const lineSchema = z.object({ t: z.number(), kind: z.enum(['label', 'send', 'recv', 'note']), data: z.string() })

/** One step of a recorded console session: what was typed, and everything that the system showed until the next step. */
export interface RecordedStep {
  readonly label: string
  readonly typed: string
  readonly shown: string
}

/** Reads a recording: one JSON object a line, each character of `data` one byte. */
export async function readRecording(path: string): Promise<readonly RecordedStep[]> {
  const steps: { label: string; typed: string; shown: string }[] = []
  for (const line of (await readFile(path, 'utf8')).split('\n').filter((text) => text !== '')) {
    const record = lineSchema.parse(JSON.parse(line))
    if (record.kind === 'label') steps.push({ label: record.data, typed: '', shown: '' })
    const step = steps.at(-1)
    if (step === undefined) continue
    if (record.kind === 'send') step.typed += record.data
    if (record.kind === 'recv') step.shown += record.data
  }
  return steps
}
