import { randomBytes } from 'node:crypto'
import type { ErrorCode } from '../../errors/codes.ts'
import { isVmrError, VmrError } from '../../errors/vmr-error.ts'
import { throwIfAborted } from '../../shell/abort.ts'
import { runChecked, type Shell } from '../../shell/shell.ts'
import { type MergeFile, planMergeFile } from './merge-file.ts'
import { parseSetCommands } from './parse-commands.ts'
import { isDone, showCommand, type VyosCommand, type VyosPath } from './path.ts'
import { applyChanges, planUndo, resolveUndo, type VyosChange } from './plan.ts'
import {
  isRefusal,
  parseTransaction,
  type TransactionReport,
  transactionScript,
  type VyosAnswer,
} from './transaction-script.ts'

const wrapper = '/opt/vyatta/bin/vyatta-op-cmd-wrapper'
const readTimeoutMs = 120_000
/** `configure` and `commit` of a slow guest: up to 90 s were measured for one commit without KVM on a busy host. */
const baseTimeoutMs = 300_000
/** One `set` starts a chain of processes: 2 to 3 s without KVM. */
const commandTimeoutMs = 6000
const lockSeconds = 120

/** Runs an operational command (`show version`) as VyOS wants it from a program. */
export function runOperational(shell: Shell, words: readonly string[], signal?: AbortSignal): Promise<string> {
  return runChecked(shell, [wrapper, ...words], {
    timeoutMs: readTimeoutMs,
    ...(signal === undefined ? {} : { signal }),
  })
}

/** The configuration that is active now, as paths. */
export async function readConfiguration(shell: Shell, signal?: AbortSignal): Promise<readonly VyosPath[]> {
  return parseSetCommands(await runOperational(shell, ['show', 'configuration', 'commands'], signal))
}

export interface ChangeOptions {
  readonly signal?: AbortSignal | undefined
  /** Also writes it to the guest's disk. */
  readonly save?: boolean
}

/**
 * Makes all of these changes active, or none.
 *
 * Everything is set first; one refused command and nothing is committed. A commit that fails can leave parts active:
 * the guest undoes them by itself, even if it is lost meanwhile, and what is left is read back and undone. Success is what the configuration says afterwards, not what the commit answered.
 * A commit cannot be interrupted: an abort takes effect before it starts or after it has ended.
 *
 * @throws VmrError GUEST_CONFIG_REFUSED naming the refused command with VyOS's own words, and what could not be undone;
 *   also when all is active and only the file could not be written
 */
export async function changeConfiguration(
  shell: Shell,
  before: readonly VyosPath[],
  commands: readonly VyosChange[],
  { signal, save = false }: ChangeOptions = {},
): Promise<void> {
  if (commands.length === 0 && !save) return
  throwIfAborted(signal, `configuring ${shell.description}`)
  const undo = planUndo(before, commands)
  const worst = resolveUndo(applyChanges(before, commands), undo)
  const report = await runTransaction(shell, commands, {
    save,
    undo: worst,
    mergeFile: planMergeFile(before, commands),
  }).catch((error: unknown) => {
    throw inDoubt(error)
  })
  if (report.outcome === 'refused') throw refusal(shell, report, [])
  const after = await readConfiguration(shell)
  const missing = commands.filter((command) => !isDone(command, after))
  if (missing.length === 0) {
    if (report.outcome === 'committed') return
    if (report.outcome === 'saveFailed' || report.outcome === 'saveLost') throw notSaved(shell, report)
  }

  // The script takes back what it can; what it missed, and what no commit reported, goes here.
  const back = resolveUndo(after, undo)
  if (back.length > 0) await runTransaction(shell, back, { save: false, undo: [] })
  const left = back.length === 0 ? [] : resolveUndo(await readConfiguration(shell), undo)
  throw refusal(shell, report, left, missing)
}

async function runTransaction(
  shell: Shell,
  commands: readonly VyosCommand[],
  {
    save,
    undo,
    mergeFile,
  }: { readonly save: boolean; readonly undo: readonly VyosCommand[]; readonly mergeFile?: MergeFile | undefined },
): Promise<TransactionReport> {
  const word = `vmr-${randomBytes(9).toString('hex')}`
  const path = `/tmp/${word}`
  await shell.writeFile(path, transactionScript(commands, { word, lockSeconds, save, undo, mergeFile }), {
    mode: 0o600,
  })
  const timeoutMs = baseTimeoutMs + (commands.length + undo.length) * commandTimeoutMs + lockSeconds * 1000
  const result = await shell.run(['vbash', path], { timeoutMs })
  const report = parseTransaction(result.stdout, commands, word)
  if (report === undefined) {
    const words = `${result.stdout}\n${result.stderr}`.replaceAll(word, '').trim().slice(-1000)
    throw new VmrError(
      'GUEST_CONFIG_REFUSED',
      `${shell.description}: the configuration commands did not run to their end: ${words}`,
    )
  }
  return report
}

const lost: ReadonlySet<ErrorCode> = new Set(['GUEST_CONSOLE_LOST', 'GUEST_SSH_LOST', 'TIMED_OUT'])

/** The guest was lost while it changed: the script in it goes on, and commits as a whole. */
function inDoubt(error: unknown): unknown {
  if (!isVmrError(error) || !lost.has(error.code)) return error
  return new VmrError(
    error.code,
    `${error.message}\nIts configuration was being changed: all of the change is active, or none of it.`,
    { ...(error.hint === undefined ? {} : { hint: error.hint }), cause: error },
  )
}

function refusal(
  shell: Shell,
  report: TransactionReport,
  left: readonly VyosCommand[],
  missing: readonly VyosCommand[] = [],
): VmrError {
  const told = report.answers.filter(isRefusal)
  const words = told.map(quoteAnswer)
  const reason =
    words.length > 0
      ? words.join('\n')
      : `VyOS reported no failure, but this is not active: ${missing.map(showCommand).join('; ')}\n${report.answers
          .filter((answer) => answer.text !== '')
          .map(quoteAnswer)
          .join('\n')}`
  const state =
    left.length === 0
      ? 'The configuration is as it was before.'
      : `This part of it could not be undone: ${left.map(showCommand).join('; ')}`
  return new VmrError(
    'GUEST_CONFIG_REFUSED',
    `${shell.description} refused the configuration:\n${reason.trimEnd()}\n${state}`,
  )
}

function notSaved(shell: Shell, { answers, outcome }: TransactionReport): VmrError {
  const words =
    answers.find(({ command }) => command === 'save')?.text.trimEnd() || 'save: no configuration was written'
  const file = outcome === 'saveFailed' ? 'What was saved before is untouched.' : 'What was saved before is damaged.'
  return new VmrError(
    'GUEST_CONFIG_REFUSED',
    `${shell.description} committed the configuration but could not save it:\n${words.slice(0, 2000)}\nIt is active until the guest restarts. ${file}`,
    { hint: 'Make room on the guest’s disk (`df /config` in it), then save again.' },
  )
}

function quoteAnswer(answer: VyosAnswer): string {
  return `${answer.command}: ${answer.text.replaceAll('\n', '\n  ').slice(0, 2000)}`
}
