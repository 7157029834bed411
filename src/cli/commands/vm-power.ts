import { VmrError } from '../../errors/vmr-error.ts'
import { findVm } from '../../vm/find-vm.ts'
import { withConnection } from '../../vm/host.ts'
import { isRunning, pauseVm, rebootVm, resetVm, resumeVm, setAutostart, stopVm } from '../../vm/power.ts'
import { startVm } from '../../vm/start.ts'
import { finishPendingSwitch } from '../../vm/switch/switch-vm.ts'
import { withVmLock } from '../../vm/vm-lock.ts'
import { reportBoot } from '../boot-report.ts'
import type { CommandContext, CommandStatus } from '../context.ts'
import { secondsOption } from '../number-option.ts'
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
        return withProgress(terminal, name, async (onProgress) => ({
          started: true as const,
          ...(await startVm(connection, vm, { signal, onProgress })),
        }))
      })
    },
    signal,
  )
  if (json) terminal.json<'vm start'>({ name, ...outcome })
  else if (!outcome.started) terminal.result(`${name} runs already`)
  else terminal.result(`${name} runs; console ready after ${outcome.readyAfterSeconds} s`)
  return outcome.started ? reportBoot(terminal, name, outcome.boot) : undefined
}

export async function vmStop(
  { terminal, signal }: CommandContext,
  name: string,
  { json, connect, timeout }: ConnectOptions & { readonly timeout: string },
): Promise<CommandStatus> {
  const timeoutMs = secondsOption('--timeout', timeout) * 1000
  const outcome = await withConnection(
    connect,
    async (connection) => {
      const vm = await findVm(connection, name, signal)
      return withProgress(terminal, `shutting ${name} down`, () => stopVm(connection, vm, { timeoutMs, signal }))
    },
    signal,
  )
  if (json) terminal.json<'vm stop'>({ name, ...outcome })
  else if (outcome.how === 'was not running') terminal.result(`${name} was not running`)
  else if (outcome.how === 'shut down') terminal.result(`${name} shut down in ${outcome.seconds.toFixed(1)} s`)
  else terminal.result(`${name} did not shut down in ${timeout} s and was ended`)
  return undefined
}

const changes = {
  reboot: { change: rebootVm, done: 'reboots', already: 'does not run' },
  reset: { change: resetVm, done: 'was reset', already: 'does not run' },
  pause: { change: pauseVm, done: 'is paused', already: 'was paused already' },
  resume: { change: resumeVm, done: 'runs again', already: 'was not paused' },
} as const

/** Commands that ask nothing but which VM. */
export async function vmChangePower(
  { terminal, signal }: CommandContext,
  which: keyof typeof changes,
  name: string,
  { json, connect }: ConnectOptions,
): Promise<CommandStatus> {
  const { change, done, already } = changes[which]
  const changed = await withConnection(
    connect,
    (connection) =>
      withVmLock(name, { signal }, async () => change(connection, await findVm(connection, name, signal), { signal })),
    signal,
  )
  if (json) terminal.json<'vm reboot' | 'vm reset' | 'vm pause' | 'vm resume'>({ name, changed })
  else terminal.result(`${name} ${changed ? done : already}`)
  return undefined
}

export async function vmAutostart(
  { terminal, signal }: CommandContext,
  name: string,
  onOff: string,
  { json, connect }: ConnectOptions,
): Promise<CommandStatus> {
  if (onOff !== 'on' && onOff !== 'off')
    throw new VmrError('USAGE', `autostart takes on or off, not ${JSON.stringify(onOff.slice(0, 40))}`, {
      hint: `vmr vm autostart ${name} on`,
    })
  const autostart = onOff === 'on'
  const changed = await withConnection(
    connect,
    async (connection) => setAutostart(connection, await findVm(connection, name, signal), autostart, { signal }),
    signal,
  )
  if (json) terminal.json<'vm autostart'>({ name, autostart, changed })
  else
    terminal.result(`${name} ${autostart ? 'starts' : 'does not start'} with the host${changed ? '' : ', as before'}`)
  return undefined
}
