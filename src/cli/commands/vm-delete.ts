import { journalDirectory } from '../../config/paths.ts'
import { VmrError } from '../../errors/vmr-error.ts'
import { describeStep } from '../../undo/steps.ts'
import { deleteVm } from '../../vm/delete.ts'
import { findVm } from '../../vm/find-vm.ts'
import { withConnection } from '../../vm/host.ts'
import { isRunning } from '../../vm/power.ts'
import { confirm } from '../confirm.ts'
import type { CommandContext, CommandStatus } from '../context.ts'

interface VmDeleteOptions {
  readonly json?: true | undefined
  readonly yes?: true | undefined
  readonly dryRun?: true | undefined
  readonly connect: string
}

export async function vmDelete(
  { terminal, signal }: CommandContext,
  name: string,
  { json, yes, dryRun, connect }: VmDeleteOptions,
): Promise<CommandStatus> {
  return withConnection(
    connect,
    async (connection) => {
      const vm = await findVm(connection, name, signal)
      const running = await isRunning(connection, vm, signal)
      if (dryRun) {
        const what = `${running ? 'the running VM' : 'the VM'} ${name}, the disks made for it, its serial log, and bridges that only it uses`
        if (json) terminal.json<'vm delete'>({ name, running, wouldRemove: what })
        else terminal.result(`would remove ${what}`)
        return undefined
      }
      if (!yes && !(await confirm(`Remove ${running ? 'the running VM' : 'the VM'} ${name}?`, signal)))
        throw new VmrError('USAGE', `${name} was not removed: nobody said yes`, { hint: 'Give --yes.' })
      const removed: string[] = []
      await deleteVm(connection, vm, {
        journalDirectory: journalDirectory(),
        signal,
        onStep: ({ step, outcome }) => {
          if (outcome === 'undone') removed.push(describeStep(step))
        },
      })
      if (json) terminal.json<'vm delete'>({ name, removed })
      else terminal.result(`${name} is removed`)
      return undefined
    },
    signal,
  )
}
