import { setTimeout as delay } from 'node:timers/promises'
import { z } from 'zod'
import { isVmrError, VmrError } from '../../errors/vmr-error.ts'
import { throwIfAborted } from '../../shell/abort.ts'
import { type HttpsAnswer, type HttpsTarget, postForm } from '../../shell/https/post-form.ts'
import { parseConfigTree } from './config-tree.ts'
import { isDone, renderCommand, showCommand, type VyosCommand, type VyosPath } from './path.ts'
import { planUndo, resolveUndo, type VyosChange } from './plan.ts'
import type { ChangeOptions } from './transaction.ts'
import type { UndoRecords } from './undo-record.ts'
import { parseVyosVersion, type VyosVersion } from './version.ts'
import type { VyosAccess } from './vyos-access.ts'

export interface HttpApiOptions extends HttpsTarget {
  /** With full rights: never in a message. */
  readonly key: string
  readonly undoRecords: UndoRecords
}

/** A configuration in braces of some thousand lines has a tenth of it. */
const maxAnswerBytes = 8 * 1024 * 1024
const readTimeoutMs = 120_000
/** As over a shell: `commit` of a slow guest took up to 90 s, each `set` 2 to 3 s. */
const baseTimeoutMs = 300_000
const commandTimeoutMs = 6000
const saveTimeoutMs = 120_000
/** How long another operator's commit is waited for, and how often it is asked whether it has ended. */
const lockLimitMs = 120_000
const lockRetryMs = 3000

const locked = 'temporarily locked due to another commit'

const answerSchema = z.object({
  success: z.boolean(),
  data: z.unknown(),
  error: z.string().nullish(),
})

type Answer = { readonly ok: true; readonly data: unknown } | { readonly ok: false; readonly words: string }

/** VyOS by its HTTP API (`service https api`), 1.2 to 1.5: a change is one list of commands, which is one commit. */
export function httpApiAccess({ key, undoRecords, ...target }: HttpApiOptions): VyosAccess {
  const description = `HTTP API of ${target.name}`
  let version: VyosVersion | undefined

  const post = async (
    endpoint: '/configure' | '/retrieve' | '/show' | '/config-file',
    data: unknown,
    timeoutMs: number,
    signal?: AbortSignal,
  ): Promise<Answer> => {
    const fields = { data: JSON.stringify(data), key }
    return readAnswer(
      description,
      endpoint,
      await postForm(target, endpoint, fields, { signal, timeoutMs, maxBytes: maxAnswerBytes }),
    )
  }
  const ask = async (endpoint: '/retrieve' | '/show', data: unknown, signal?: AbortSignal): Promise<unknown> => {
    const answer = await post(endpoint, data, readTimeoutMs, signal)
    if (answer.ok) return answer.data
    throw new VmrError('GUEST_NOT_READY', `the ${description} refuses ${endpoint}: ${answer.words}`)
  }
  const show = async (path: readonly string[], signal?: AbortSignal): Promise<string> => {
    const shown = z.string().safeParse(await ask('/show', { op: 'show', path }, signal))
    if (shown.success) return shown.data
    throw new VmrError('GUEST_API_LOST', `the ${description} answers "show ${path.join(' ')}" with no text`)
  }
  const readConfiguration = async (signal?: AbortSignal) =>
    parseConfigTree(await ask('/retrieve', { op: 'showConfig', path: [] }, signal))

  /** One commit. The guest does not see an abort; its end is waited for. */
  const commit = async (commands: readonly VyosCommand[]): Promise<Answer> => {
    const list = commands.map(({ kind, path }) => ({ op: kind, path }))
    const deadline = performance.now() + lockLimitMs
    for (;;) {
      const answer = await post('/configure', list, baseTimeoutMs + commands.length * commandTimeoutMs)
      if (answer.ok || !answer.words.includes(locked) || performance.now() > deadline) return answer
      await delay(lockRetryMs)
    }
  }

  return {
    description,
    undoRecords,
    async readVersion(signal) {
      version ??= parseVyosVersion(await show(['version'], signal))
      return version
    },
    readConfiguration,
    async interfaceNames(signal) {
      const names = (await show(['interfaces'], signal)).split('\n').map((line) => /^([a-z][\w.-]*)\s/.exec(line)?.[1])
      return names.filter((name) => name !== undefined)
    },
    async changeConfiguration(before, commands, { signal, save = false }: ChangeOptions = {}) {
      throwIfAborted(signal, `configuring the ${description}`)
      // What cannot be written as a command in a shell is refused here too, so that all ways take the same.
      commands.forEach(renderCommand)
      if (commands.length > 0) {
        const answer = await commit(commands).catch((error: unknown) => {
          throw inDoubt(error)
        })
        await holdOrUndo(before, commands, answer)
      }
      if (!save) return
      const saved = await post('/config-file', { op: 'save' }, saveTimeoutMs)
      if (!saved.ok)
        throw new VmrError(
          'GUEST_CONFIG_REFUSED',
          `the ${description} committed the configuration but could not save it: ${saved.words}\nIt is active until the guest restarts.`,
          { hint: 'Make room on the guest’s disk (`df /config` in it), then save again.' },
        )
    },
  }

  /** Success is what the configuration says afterwards: a commit that fails can leave parts active. */
  async function holdOrUndo(
    before: readonly VyosPath[],
    commands: readonly VyosChange[],
    answer: Answer,
  ): Promise<void> {
    const after = await readConfiguration()
    const missing = commands.filter((command) => !isDone(command, after))
    if (answer.ok && missing.length === 0) return
    const undo = planUndo(before, commands)
    const back = resolveUndo(after, undo)
    if (back.length > 0) await commit(back)
    const left = back.length === 0 ? [] : resolveUndo(await readConfiguration(), undo)
    const reason = answer.ok
      ? `VyOS reported no failure, but this is not active: ${missing.map(showCommand).join('; ')}`
      : answer.words
    const state =
      left.length === 0
        ? 'The configuration is as it was before.'
        : `This part of it could not be undone: ${left.map(showCommand).join('; ')}`
    throw new VmrError(
      'GUEST_CONFIG_REFUSED',
      `the ${description} refused the configuration:\n${reason.trimEnd()}\n${state}`,
    )
  }
}

/** VyOS commits what it was sent, whether somebody still waits for the answer or not. */
function inDoubt(error: unknown): unknown {
  if (!isVmrError(error) || (error.code !== 'GUEST_API_LOST' && error.code !== 'TIMED_OUT')) return error
  return new VmrError(
    error.code,
    `${error.message}\nIts configuration was being changed: see what is active with \`vmr guest show\`.`,
    { ...(error.hint === undefined ? {} : { hint: error.hint }), cause: error },
  )
}

function readAnswer(description: string, endpoint: string, { status, body }: HttpsAnswer): Answer {
  const failed = (code: 'GUEST_LOGIN_FAILED' | 'GUEST_NOT_READY' | 'GUEST_API_LOST', words: string, hint: string) =>
    new VmrError(code, `the ${description} ${words}`, { hint })
  if (status === 401)
    throw failed(
      'GUEST_LOGIN_FAILED',
      'refuses the key',
      'Give its own with --api-key-file, or have one made: vmr guest enable-api',
    )
  if (status === 404) throw failed('GUEST_NOT_READY', `has no ${endpoint}`, 'On VyOS 1.5: set service https api rest')
  if (status === 502 || status === 503 || status === 504)
    throw failed(
      'GUEST_NOT_READY',
      `is not there: its web server answers ${status}`,
      'Configure `set service https api`, or wait.',
    )
  const parsed = answerSchema.safeParse(jsonOf(body))
  if (!parsed.success)
    throw failed(
      'GUEST_API_LOST',
      `answers ${endpoint} with ${status} and no answer of VyOS’s: ${readable(body, 200)}`,
      'Is it a VyOS that answers there?',
    )
  const { success, data, error } = parsed.data
  return success ? { ok: true, data } : { ok: false, words: readable(error ?? '', 2000) || `status ${status}` }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Text from outside, without what acts on a terminal. */
function readable(text: string, maxLength: number): string {
  return text
    .trim()
    .slice(0, maxLength)
    .replaceAll(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/g, ' ')
    .trim()
}
