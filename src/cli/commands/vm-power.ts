import { VmrError } from '../../errors/vmr-error.ts'
import { bootGuest } from '../../vm/boot.ts'
import { findVm } from '../../vm/find-vm.ts'
import { guestAccess } from '../../vm/guest-access.ts'
import { withConnection } from '../../vm/host.ts'
import { isRunning, stopVm } from '../../vm/power.ts'
import { finishPendingSwitch } from '../../vm/switch/switch-vm.ts'
import { prepareUplinksOf } from '../../vm/uplink-uses.ts'
import { withVmLock } from '../../vm/vm-lock.ts'
import type { CommandContext, CommandStatus } from '../context.ts'
import { withProgress } from '../progress.ts'

interface ConnectOptions {
  readonly json?: true | undefined
  readonly connect: string
}

export async function vmStart(
  { terminal, signal }: CommandContext,
  name: string,
  { json, connect }: ConnectOptions,
): Promise<CommandStatus> {
  const outcome = await withConnection(
    connect,
    async (connection) => {
      return withVmLock(name, { signal }, async () => {
        await finishPendingSwitch(name)
        const vm = await findVm(connection, name, signal)
        if (await isRunning(connection, vm, signal)) return { started: false as const }
        await prepareUplinksOf(vm, { signal })
        return withProgress(terminal, name, async (report) => {
          const { session, readyAfterMs, retried } = await bootGuest(connection, vm.domain, {
            ...guestAccess(vm.metadata.os, vm.facts.accelerator ?? 'tcg'),
            signal,
            onState: ({ state }) => report(`booting: ${state}`),
            onRetry: () => report('the boot hung, trying once more'),
          })
          await session.close()
          return { started: true as const, readyAfterSeconds: Number((readyAfterMs / 1000).toFixed(2)), retried }
        })
      })
    },
    signal,
  )
  if (json) terminal.json({ name, ...outcome })
  else if (!outcome.started) terminal.result(`${name} runs already`)
  else terminal.result(`${name} runs; console ready after ${outcome.readyAfterSeconds} s`)
  return undefined
}

export async function vmStop(
  { terminal, signal }: CommandContext,
  name: string,
  { json, connect, timeout }: ConnectOptions & { readonly timeout: string },
): Promise<CommandStatus> {
  const timeoutMs = seconds('--timeout', timeout) * 1000
  const outcome = await withConnection(
    connect,
    async (connection) => {
      const vm = await findVm(connection, name, signal)
      return withProgress(terminal, `shutting ${name} down`, () => stopVm(connection, vm, { timeoutMs, signal }))
    },
    signal,
  )
  if (json) terminal.json({ name, ...outcome })
  else if (outcome.how === 'was not running') terminal.result(`${name} was not running`)
  else if (outcome.how === 'shut down') terminal.result(`${name} shut down in ${outcome.seconds.toFixed(1)} s`)
  else terminal.result(`${name} did not shut down in ${timeout} s and was ended`)
  return undefined
}

function seconds(option: string, text: string): number {
  const value = Number(text)
  if (text.trim() !== '' && Number.isFinite(value) && value >= 0 && value <= 86_400) return value
  throw new VmrError('USAGE', `${option} takes seconds, 0 to 86400, not ${JSON.stringify(text.slice(0, 40))}`, {
    hint: `For example ${option} 30.`,
  })
}
