import { readFileSync } from 'node:fs'

export interface RecordedEvent {
  readonly kind: 'send' | 'recv'
  readonly data: string
}

/** What a real VyOS 1.4.1 was sent and sent on its serial console. Each character of `data` is one byte. */
export const recording: readonly RecordedEvent[] = readFileSync(
  new URL('../../fixtures/vyos-1.4.1-console.ndjson', import.meta.url),
  'utf8',
)
  .split('\n')
  .filter((line) => line !== '')
  .map((line) => JSON.parse(line) as { readonly kind: string; readonly data: string })
  .filter((event): event is RecordedEvent => event.kind === 'send' || event.kind === 'recv')

export const receivedBytes = Buffer.from(
  recording
    .filter((event) => event.kind === 'recv')
    .map((event) => event.data)
    .join(''),
  'latin1',
)

/** What VyOS answered between the typing of this line and the next one. */
export function answerTo(typed: string): string {
  const start = recording.findIndex((event) => event.kind === 'send' && event.data === `${typed}\r`)
  let answer = ''
  for (let index = start + 1; recording[index]?.kind === 'recv'; index += 1) answer += recording[index]?.data
  return answer
}
