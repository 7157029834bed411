import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { addAbortSignal } from 'node:stream'
import { readConfigText } from '../../config/load-yaml.ts'
import { isVmrError, VmrError } from '../../errors/vmr-error.ts'
import type { Connection } from '../../libvirt/index.ts'
import { defineEdited, definitionText, type Edit, planEdit } from '../../vm/edit.ts'
import { findVm, type Vm } from '../../vm/find-vm.ts'
import { withConnection } from '../../vm/host.ts'
import { isRunning } from '../../vm/power.ts'
import { withVmLock } from '../../vm/vm-lock.ts'
import { confirm } from '../confirm.ts'
import type { CommandContext, CommandStatus } from '../context.ts'
import { runInForeground } from '../foreground.ts'

interface VmEditOptions {
  readonly json?: true | undefined
  readonly file?: string | undefined
  readonly dryRun?: true | undefined
  readonly connect: string
}

export async function vmEdit(context: CommandContext, name: string, options: VmEditOptions): Promise<CommandStatus> {
  const { terminal, signal } = context
  const { json, file, dryRun, connect } = options
  const { diff, running } = await withConnection(
    connect,
    (connection) =>
      withVmLock(name, { signal }, async () => {
        const vm = await findVm(connection, name, signal)
        const apply = async (edited: string, of: string): Promise<Edit> => {
          const edit = planEdit(vm.facts, edited, of)
          if (edit.diff !== '' && !dryRun) await defineEdited(connection, edit, of, signal)
          return edit
        }
        const edit =
          file === undefined
            ? await editByHand(connection, vm, apply, signal)
            : await apply(file === '-' ? await readStandardInput(signal) : await readConfigText(file), file)
        return { diff: edit.diff, running: await isRunning(connection, vm, signal) }
      }),
    signal,
  )
  const changed = diff !== '' && !dryRun
  if (json) {
    terminal.json<'vm edit'>({ name, changed, diff, atNextStart: running })
    return undefined
  }
  terminal.result(diff === '' ? `${name} is as it was` : diff.trimEnd())
  if (changed && running) terminal.notice(`${name} runs as before; it takes effect at its next start`)
  return undefined
}

/** Far above any definition; what is piped in by mistake ends here. */
const maxInputLength = 1 << 20

async function readStandardInput(signal: AbortSignal): Promise<string> {
  let read = ''
  try {
    for await (const chunk of addAbortSignal(signal, process.stdin.setEncoding('utf8'))) {
      read += chunk
      if (read.length > maxInputLength)
        throw new VmrError('CONFIG_INVALID', 'standard input is longer than 1 MiB', {
          hint: 'Give the domain XML of one VM.',
        })
    }
  } catch (error) {
    // The stream's own error hides why it was ended.
    signal.throwIfAborted()
    throw error
  }
  return read
}

async function editByHand(
  connection: Connection,
  vm: Vm,
  apply: (edited: string, of: string) => Promise<Edit>,
  signal: AbortSignal,
): Promise<Edit> {
  if (!process.stdin.isTTY)
    throw new VmrError('USAGE', 'an editor needs a terminal', { hint: 'Give the XML with --file FILE, or --file - .' })
  // The XML may hold passwords.
  const folder = await mkdtemp(join(tmpdir(), 'vmr-edit-'))
  const file = join(folder, `${vm.domain.name}.xml`)
  try {
    await writeFile(file, await definitionText(connection, vm, signal), { mode: 0o600 })
    for (;;) {
      await runEditor(file, signal)
      try {
        return await apply(await readFile(file, 'utf8'), file)
      } catch (error) {
        if (!isVmrError(error) || error.code !== 'CONFIG_INVALID') throw error
        if (!(await confirm(`${error.message}\nEdit it again?`, signal))) throw error
      }
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** $VISUAL and $EDITOR may have arguments, so a shell reads them, as git has it do; the file is never part of its text. */
async function runEditor(file: string, signal: AbortSignal): Promise<void> {
  const editor = process.env.VISUAL || process.env.EDITOR || 'vi'
  const status = await runInForeground(['sh', '-c', `${editor} "$1"`, 'sh', file], { signal })
  if (status !== 0)
    throw new VmrError('USAGE', `the editor ${editor} ended with status ${status}: nothing was changed`, {
      hint: 'Set EDITOR to an editor that is installed.',
    })
}
