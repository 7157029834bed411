import { findVm } from '../../vm/find-vm.ts'
import { withConnection } from '../../vm/host.ts'
import { checkNewName, renameVm } from '../../vm/rename.ts'
import type { CommandContext, CommandStatus } from '../context.ts'

interface VmRenameOptions {
  readonly json?: true | undefined
  readonly dryRun?: true | undefined
  readonly connect: string
}

export async function vmRename(
  { terminal, signal }: CommandContext,
  from: string,
  to: string,
  { json, dryRun, connect }: VmRenameOptions,
): Promise<CommandStatus> {
  const renamed = await withConnection(
    connect,
    async (connection) => {
      const vm = await findVm(connection, from, signal)
      if (from === to) return false
      if (dryRun) await checkNewName(connection, to, signal)
      else await renameVm(connection, vm, to, { signal })
      return !dryRun
    },
    signal,
  )
  if (json) terminal.json<'vm rename'>({ name: to, before: from, renamed })
  else if (renamed) terminal.result(`${from} is ${to} now`)
  else terminal.result(dryRun ? `would rename ${from} to ${to}` : `${from} has that name already`)
  return undefined
}
