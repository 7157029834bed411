import { VmrError } from '../errors/vmr-error.ts'
import { type Console, withRecord } from '../shell/serial/console.ts'
import { classifyPrompt } from '../shell/serial/prompts.ts'
import { answerTo, isSuccess } from './install-dialogue.ts'

export interface InstallerOptions {
  /** What the user vyos of the installed system logs in with. */
  readonly password: string
  /** For the whole dialogue: copying the system takes most of it. */
  readonly timeoutMs: number
  /** A question that stands this long unanswered is one that vmr does not know; an answer without echo was lost. */
  readonly questionMs: number
  /** A question is read once nothing has followed for this long: a slow guest prints it in pieces. */
  readonly settleMs: number
  readonly signal: AbortSignal
  /** What VyOS says it does. */
  readonly onProgress: (line: string) => void
}

/** The same question again means that its answer was not taken: a password that lost a character, say. */
const maxSameQuestion = 3
const keptLines = 12

type Step =
  | { readonly kind: 'question'; readonly question: string; readonly text: string; readonly secret: boolean }
  | { readonly kind: 'unheard' }
  | { readonly kind: 'end' }

/**
 * Types `install image` at the operational prompt of a live VyOS, and answers what it asks until the prompt is back.
 *
 * @throws VmrError IMAGE_INSTALL_FAILED with VyOS's own words: for a question that vmr does not know, or when it ended
 * without having installed; GUEST_COMMAND_TIMEOUT, GUEST_CONSOLE_LOST.
 */
export async function runInstaller(console: Console, options: InstallerOptions): Promise<void> {
  const { password, questionMs, settleMs, signal, onProgress } = options
  const deadline = performance.now() + options.timeoutMs
  const asked = new Map<string, number>()
  let said: string[] = []
  let installed = false
  let heard = true
  let last: { readonly text: string; readonly secret: boolean } = { text: 'install image', secret: false }
  const failure = (what: string) => {
    const words = said.filter((line) => line.trim() !== '').map((line) => `  ${line.trim().slice(0, 200)}`)
    return withRecord(
      new VmrError('IMAGE_INSTALL_FAILED', `${what}${words.length === 0 ? '' : `:\n${words.join('\n')}`}`, {
        hint: 'Install it by hand (vmr vm create trial --iso …), and import the disk: vmr image import vyos.qcow2',
      }),
      console.record,
    )
  }
  const type = async () => {
    heard = false
    await console.send(`${last.text}\r`, { secret: last.secret })
  }
  await type()
  for (;;) {
    let standing = ''
    const step = await console.expect<Step>(
      {
        line: ({ text }) => {
          heard = true
          if (text.trim() === '') return undefined
          said = [...said, text].slice(-keptLines)
          if (isSuccess(text)) installed = true
          onProgress(text.trim().slice(0, 100))
          return undefined
        },
        prompt: (tail) => {
          standing = tail
          const kind = classifyPrompt(tail)?.kind
          if (kind === 'shell') return heard ? { kind: 'end' } : undefined
          if (kind === 'login') throw failure('the guest left the installation and asks for a login')
          const answer = answerTo(tail, { password })
          return answer?.kind === 'answer' ? { ...answer, kind: 'question', question: tail.trim() } : undefined
        },
        settleMs,
        idle: {
          afterMs: questionMs,
          react: () => {
            if (answerTo(standing, { password })?.kind === 'unknown')
              throw failure(`VyOS asks what vmr has no answer to: ${JSON.stringify(standing.trim().slice(0, 200))}`)
            return heard ? undefined : { kind: 'unheard' }
          },
        },
      },
      {
        what: 'the end of `install image`',
        timeoutMs: Math.max(1, deadline - performance.now()),
        hint: 'On a slow machine it takes long to copy the system: try again with less beside it.',
        signal,
      },
    )
    switch (step.kind) {
      case 'end':
        if (installed) return
        throw failure('VyOS ended the installation without having installed')
      case 'unheard':
        // Nothing came back, not even the end of the line: it was thrown away on the way.
        await type()
        break
      case 'question': {
        const times = (asked.get(step.question) ?? 0) + 1
        asked.set(step.question, times)
        if (times > maxSameQuestion)
          throw failure(`VyOS does not take the answer to ${JSON.stringify(step.question.slice(0, 200))}`)
        last = step
        await type()
      }
    }
  }
}
