import { loadYaml } from '../../config/load-yaml.ts'
import { type NetworkConfig, networkConfigSchema } from '../../config/network-config.ts'
import { VmrError } from '../../errors/vmr-error.ts'
import { renderCommand, showPath, type VyosCommand } from '../../os/vyos/path.ts'
import { readConfiguration } from '../../os/vyos/transaction.ts'
import { applyVyos, planVyos, planVyosReset, readVyosVersion, resetVyos } from '../../os/vyos/vyos-os.ts'
import type { Shell } from '../../shell/shell.ts'
import { dutAddresses } from '../../testbed/dut-addresses.ts'
import { loadTestbed } from '../../testbed/testbed.ts'
import type { Vm } from '../../vm/find-vm.ts'
import { withConnection } from '../../vm/host.ts'
import { findRunningVm } from '../../vm/power.ts'
import { type GuestChannel, openGuestShell } from '../../vm/ssh/open-guest-shell.ts'
import { withVmLock } from '../../vm/vm-lock.ts'
import type { CommandContext, CommandStatus } from '../context.ts'
import { type ReportProgress, withProgress } from '../progress.ts'

interface GuestOptions {
  readonly json?: true | undefined
  readonly via: GuestChannel
  readonly connect: string
}

interface GuestPlanOptions extends GuestOptions {
  readonly file?: string | undefined
}

interface GuestResetOptions extends GuestOptions {
  readonly dryRun?: true | undefined
  readonly save?: true | undefined
}

export async function guestPlan(
  context: CommandContext,
  name: string,
  options: GuestPlanOptions,
): Promise<CommandStatus> {
  const { terminal, signal } = context
  const given = await readFile(options.file)
  const planned = await onGuest(context, name, options, async ({ vm, guest, report }) => {
    const config = given ?? (await testbedConfig(vm))
    report('comparing')
    return planVyos(guest, config, signal)
  })
  const commands = planned.map(renderCommand)
  if (options.json) terminal.json<'guest plan'>({ name, commands })
  else terminal.result(commands.join('\n') || `${name} is so already`)
  return undefined
}

export async function guestApply(
  context: CommandContext,
  name: string,
  options: GuestPlanOptions & GuestResetOptions,
): Promise<CommandStatus> {
  const { signal } = context
  const given = await readFile(options.file)
  const sent = await onGuest(context, name, options, async ({ vm, guest, report }) => {
    const config = given ?? (await testbedConfig(vm))
    report(options.dryRun ? 'comparing' : 'configuring')
    return options.dryRun
      ? planVyos(guest, config, signal)
      : applyVyos(guest, config, { signal, save: options.save === true })
  })
  printChange(context, 'guest apply', name, sent, options)
  return undefined
}

export async function guestReset(
  context: CommandContext,
  name: string,
  options: GuestResetOptions,
): Promise<CommandStatus> {
  const { signal } = context
  const sent = await onGuest(context, name, options, ({ guest, report }) => {
    report(options.dryRun ? 'comparing' : 'taking back what vmr set')
    return options.dryRun ? planVyosReset(guest, signal) : resetVyos(guest, { signal, save: options.save === true })
  })
  printChange(context, 'guest reset', name, sent, options)
  return undefined
}

export async function guestShow(context: CommandContext, name: string, options: GuestOptions): Promise<CommandStatus> {
  const { terminal, signal } = context
  const { version, paths } = await onGuest(context, name, options, async ({ guest, report }) => {
    report('reading its configuration')
    return { version: (await readVyosVersion(guest, signal)).name, paths: await readConfiguration(guest, signal) }
  })
  const commands = paths.map(showPath)
  if (options.json) terminal.json<'guest show'>({ name, version, commands })
  else terminal.result(commands.join('\n'))
  return undefined
}

function printChange(
  { terminal }: CommandContext,
  what: 'guest apply' | 'guest reset',
  name: string,
  sent: readonly VyosCommand[],
  { json, dryRun, save }: GuestResetOptions,
): void {
  const commands = sent.map(renderCommand)
  const applied = dryRun === undefined
  const saved = applied && save === true
  if (json) {
    terminal.json<typeof what>({ name, commands, applied, saved })
    return
  }
  for (const line of commands) terminal.result(line)
  if (commands.length === 0) terminal.result(`${name} is so already`)
  else if (applied)
    terminal.result(`${name}: ${commands.length} ${commands.length === 1 ? 'command' : 'commands'} committed`)
  if (saved) terminal.result(`${name}: its configuration is saved`)
}

interface GuestContext {
  readonly vm: Vm
  readonly guest: Shell
  readonly report: ReportProgress
}

/** Logs in to the guest for the task; no other vmr changes it meanwhile. */
function onGuest<T>(
  { terminal, signal }: CommandContext,
  name: string,
  { via, connect }: GuestOptions,
  task: (context: GuestContext) => Promise<T>,
): Promise<T> {
  return withProgress(terminal, name, (report) =>
    withConnection(
      connect,
      (connection) =>
        withVmLock(name, { signal }, async () => {
          const vm = await findRunningVm(connection, name, signal)
          report('logging in')
          const { shell, close } = await openGuestShell(connection, vm, { via, signal })
          try {
            return await task({ vm, guest: shell, report })
          } finally {
            await close()
          }
        }),
      signal,
    ),
  )
}

async function readFile(file: string | undefined): Promise<NetworkConfig | undefined> {
  return file === undefined ? undefined : loadYaml(file, networkConfigSchema)
}

async function testbedConfig({ domain, metadata }: Vm): Promise<NetworkConfig> {
  if (metadata.testbed === undefined)
    throw new VmrError('USAGE', `${domain.name} has no testbed that says which addresses it has`, {
      hint: 'Name a file: --file net.yaml',
    })
  return dutAddresses(await loadTestbed(metadata.testbed), metadata.nics.length)
}
