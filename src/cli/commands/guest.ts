import { loadYaml } from '../../config/load-yaml.ts'
import { type NetworkConfig, networkConfigSchema } from '../../config/network-config.ts'
import { VmrError } from '../../errors/vmr-error.ts'
import type { Connection } from '../../libvirt/index.ts'
import { renderCommand, showPath, type VyosCommand } from '../../os/vyos/path.ts'
import type { VyosAccess } from '../../os/vyos/vyos-access.ts'
import { applyVyos, planVyos, planVyosReset, resetVyos } from '../../os/vyos/vyos-os.ts'
import { dutAddresses } from '../../testbed/dut-addresses.ts'
import { loadTestbed } from '../../testbed/testbed.ts'
import { enableApi } from '../../vm/api/enable-api.ts'
import type { Vm } from '../../vm/find-vm.ts'
import { withConnection } from '../../vm/host.ts'
import { type OpenVyosOptions, openVyos } from '../../vm/open-vyos.ts'
import { findRunningVm } from '../../vm/power.ts'
import { openGuestShell } from '../../vm/ssh/open-guest-shell.ts'
import { withVmLock } from '../../vm/vm-lock.ts'
import type { CommandContext, CommandStatus } from '../context.ts'
import { type ReportProgress, withProgress } from '../progress.ts'

interface GuestOptions {
  readonly json?: true | undefined
  readonly via: OpenVyosOptions['via']
  readonly host?: string | undefined
  readonly apiKeyFile?: string | undefined
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
  const planned = await onGuest(context, name, options, async ({ vm, vyos, report }) => {
    const config = given ?? (await testbedConfig(vm))
    report('comparing')
    return planVyos(vyos, config, signal)
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
  const sent = await onGuest(context, name, options, async ({ vm, vyos, report }) => {
    const config = given ?? (await testbedConfig(vm))
    report(options.dryRun ? 'comparing' : 'configuring')
    return options.dryRun
      ? planVyos(vyos, config, signal)
      : applyVyos(vyos, config, { signal, save: options.save === true })
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
  const sent = await onGuest(context, name, options, ({ vyos, report }) => {
    report(options.dryRun ? 'comparing' : 'taking back what vmr set')
    return options.dryRun ? planVyosReset(vyos, signal) : resetVyos(vyos, { signal, save: options.save === true })
  })
  printChange(context, 'guest reset', name, sent, options)
  return undefined
}

export async function guestShow(context: CommandContext, name: string, options: GuestOptions): Promise<CommandStatus> {
  const { terminal, signal } = context
  const { version, paths } = await onGuest(context, name, options, async ({ vyos, report }) => {
    report('reading its configuration')
    return { version: (await vyos.readVersion(signal)).name, paths: await vyos.readConfiguration(signal) }
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
  readonly vyos: VyosAccess
  readonly report: ReportProgress
}

interface EnableApiOptions extends Pick<GuestOptions, 'json' | 'connect'> {
  readonly save?: true | undefined
}

export async function guestEnableApi(
  context: CommandContext,
  name: string,
  options: EnableApiOptions,
): Promise<CommandStatus> {
  const { terminal, signal } = context
  const { connect, json } = options
  const save = options.save === true
  const { changed, fingerprint } = await onRunningVm(context, name, connect, async (connection, vm, report) => {
    const { shell, close } = await openGuestShell(connection, vm, { via: 'console', signal })
    try {
      report('switching its HTTP API on')
      return await enableApi(name, shell, { signal, save })
    } finally {
      await close()
    }
  })
  if (json) terminal.json<'guest enable-api'>({ name, changed, fingerprint, saved: save })
  else {
    terminal.result(
      changed ? `${name}: its HTTP API is on, with a key of its own` : `${name}: its HTTP API was on already`,
    )
    terminal.result(`${name}: its certificate is pinned, SHA-256 ${fingerprint}`)
    if (save) terminal.result(`${name}: its configuration is saved`)
  }
  return undefined
}

/** Opens the way to the guest for the task. */
function onGuest<T>(
  context: CommandContext,
  name: string,
  { via, host, apiKeyFile, connect }: GuestOptions,
  task: (context: GuestContext) => Promise<T>,
): Promise<T> {
  const { signal } = context
  return onRunningVm(context, name, connect, async (connection, vm, report) => {
    const { vyos, close } = await openVyos(connection, vm, { via, host, apiKeyFile, signal })
    try {
      return await task({ vm, vyos, report })
    } finally {
      await close()
    }
  })
}

/** Whatever the task does with the guest, no other vmr changes it meanwhile. */
function onRunningVm<T>(
  { terminal, signal }: CommandContext,
  name: string,
  uri: string,
  task: (connection: Connection, vm: Vm, report: ReportProgress) => Promise<T>,
): Promise<T> {
  return withProgress(terminal, name, (report) =>
    withConnection(
      uri,
      (connection) =>
        withVmLock(name, { signal }, async () => {
          const vm = await findRunningVm(connection, name, signal)
          report('logging in')
          return task(connection, vm, report)
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
