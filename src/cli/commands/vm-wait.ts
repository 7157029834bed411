import { VmrError } from '../../errors/vmr-error.ts'
import { openSession } from '../../vm/boot.ts'
import { findVm } from '../../vm/find-vm.ts'
import { guestAccess } from '../../vm/guest-access.ts'
import { withConnection } from '../../vm/host.ts'
import { isRunning, waitUntilStopped } from '../../vm/power.ts'
import type { CommandContext, CommandStatus } from '../context.ts'
import { secondsOption } from '../number-option.ts'
import { withProgress } from '../progress.ts'

interface VmWaitOptions {
  readonly json?: true | undefined
  readonly for: 'console' | 'stopped'
  readonly timeout: string
  readonly connect: string
}

export async function vmWait(
  { terminal, signal }: CommandContext,
  name: string,
  { json, for: state, timeout, connect }: VmWaitOptions,
): Promise<CommandStatus> {
  const timeoutMs = secondsOption('--timeout', timeout) * 1000
  const start = performance.now()
  await withConnection(
    connect,
    async (connection) => {
      const vm = await findVm(connection, name, signal)
      await withProgress(terminal, `waiting for ${name}`, async (report) => {
        if (state === 'stopped') {
          if (await waitUntilStopped(connection, vm, { timeoutMs, signal })) return
          throw new VmrError('TIMED_OUT', `${name} still runs after ${timeout} s`, {
            hint: `End it: vmr vm stop ${name}`,
          })
        }
        if (!(await isRunning(connection, vm, signal)))
          throw new VmrError('VM_NOT_RUNNING', `${name} does not run`, { hint: `Start it: vmr vm start ${name}` })
        const session = await openSession(connection, vm.domain, {
          ...guestAccess(vm.metadata.os, vm.facts.accelerator ?? 'tcg'),
          timeoutMs,
          signal,
          onState: (current) => report(current.state),
        })
        await session.close()
      })
    },
    signal,
  )
  const seconds = Number(((performance.now() - start) / 1000).toFixed(2))
  if (json) terminal.json<'vm wait'>({ name, state, seconds })
  else terminal.result(state === 'stopped' ? `${name} is stopped` : `${name} is ready on its console`)
  return undefined
}
