import { VmrError } from '../../errors/vmr-error.ts'
import { findVm } from '../../vm/find-vm.ts'
import { withConnection } from '../../vm/host.ts'
import { withLibvirt } from '../../vm/libvirt-failure.ts'
import { isRunning } from '../../vm/power.ts'
import type { CommandContext, CommandStatus } from '../context.ts'
import { joinTerminal } from '../raw-terminal.ts'

interface VmConsoleOptions {
  readonly force?: true | undefined
  readonly connect: string
}

export async function vmConsole(
  { terminal, signal }: CommandContext,
  name: string,
  { force, connect }: VmConsoleOptions,
): Promise<CommandStatus> {
  return withConnection(
    connect,
    async (connection) => {
      const vm = await findVm(connection, name, signal)
      if (!(await isRunning(connection, vm, signal)))
        throw new VmrError('VM_NOT_RUNNING', `${name} does not run`, { hint: `Start it: vmr vm start ${name}` })
      const stream = await withLibvirt(`opening the console of ${name}`, () =>
        connection.openConsole(vm.domain, { force: force === true, signal }),
      )
      terminal.notice(`console of ${name}; Ctrl-] leaves`)
      const end = await joinTerminal(stream, process, signal)
      terminal.notice(end === 'left' ? `\r\nleft the console of ${name}` : `\r\nthe console of ${name} was closed`)
      return undefined
    },
    signal,
  )
}
