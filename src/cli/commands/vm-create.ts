import packageJson from '../../../package.json' with { type: 'json' }
import { loadBootedDefinition } from '../../config/booted-definition.ts'
import { readConfigText } from '../../config/load-yaml.ts'
import { withNicOptions } from '../../config/nic-options.ts'
import { journalDirectory } from '../../config/paths.ts'
import { checkVmName } from '../../config/vm-name.ts'
import type { Accelerator } from '../../domain/domain-xml.ts'
import { findNicMode, loadNicModes } from '../../domain/nic-modes.ts'
import { isVmrError, VmrError } from '../../errors/vmr-error.ts'
import { type LoginKey, loginKeyCommands } from '../../os/vyos/cloud-init.ts'
import { showCommand } from '../../os/vyos/path.ts'
import { loadTemplate } from '../../os/vyos/template/load-template.ts'
import { type FilledCommand, fillTemplate, requireNics } from '../../os/vyos/template/template.ts'
import { shellAccess } from '../../os/vyos/vyos-access.ts'
import { applyCommands, applyVyos } from '../../os/vyos/vyos-os.ts'
import { serialShell } from '../../shell/serial/serial-shell.ts'
import type { Shell } from '../../shell/shell.ts'
import { parseHostKeys } from '../../shell/ssh/host-key.ts'
import { dutAddresses } from '../../testbed/dut-addresses.ts'
import { loadTestbed } from '../../testbed/testbed.ts'
import { openJournal } from '../../undo/journal.ts'
import { withUndo } from '../../undo/undo-all.ts'
import { bootOutcome } from '../../vm/boot-outcome.ts'
import { type CreatedVm, createVm, planVm, vmPurpose } from '../../vm/create.ts'
import { undoExecutors } from '../../vm/domain-undo.ts'
import { factoryCredentials } from '../../vm/guest-access.ts'
import { withConnection } from '../../vm/host.ts'
import { chooseAccelerator, prepareGuest } from '../../vm/prepare-guest.ts'
import { pinHostKeys } from '../../vm/ssh/host-keys.ts'
import { makeStandingLab } from '../../vm/standing-lab.ts'
import { reportBoot } from '../boot-report.ts'
import type { CommandContext, CommandStatus } from '../context.ts'
import { withProgress } from '../progress.ts'

interface VmCreateOptions {
  readonly json?: true | undefined
  readonly nic: string
  readonly nicOption?: readonly string[] | undefined
  readonly domain?: string | undefined
  readonly image?: string | undefined
  readonly iso?: string | undefined
  readonly testbed: string
  readonly accel: 'auto' | Accelerator
  readonly connect: string
  readonly dryRun?: true | undefined
  readonly template?: string | undefined
  /** File of a public key. */
  readonly sshKey?: string | undefined
  /** `variable=value` for the template. */
  readonly set?: readonly string[] | undefined
  /** False leaves the guest as it booted. */
  readonly addresses: boolean
}

export async function vmCreate(
  { terminal, signal }: CommandContext,
  name: string,
  options: VmCreateOptions,
): Promise<CommandStatus> {
  checkVmName(name)
  const modes = await loadNicModes()
  for (const warning of findNicMode(modes, options.nic).warnings) terminal.warn(warning)
  const loaded = await loadBootedDefinition(options)
  const definition = { ...loaded, definition: withNicOptions(loaded.definition, options.nicOption ?? []) }
  const template = await filledTemplate(options)
  const testbed = await loadTestbed(options.testbed)
  const key = options.sshKey === undefined ? undefined : await readLoginKey(options.sshKey)
  const addressesOf = (nics: number) => dutAddresses(options.addresses ? testbed : { ...testbed, links: [] }, nics)
  const outcome = await withProgress(terminal, name, async (report) => {
    const preparing = { requested: options.accel, signal, onProgress: report }
    const { image, accelerator, reason } =
      definition.definition.image === undefined
        ? { image: undefined, ...(await chooseAccelerator(preparing)) }
        : await prepareGuest(preparing)
    const plan = await planVm({
      name,
      definition,
      mode: options.nic,
      modes,
      testbed,
      testbedName: options.testbed,
      image,
      accelerator,
      vmrVersion: packageJson.version,
      first: { network: addressesOf(definition.definition.nics.length), key },
      signal,
    })
    if (template !== undefined) requireNics(template.file, template.commands, plan.nics.nics.length)
    if (options.dryRun) return { plan, created: undefined, accelerator, reason }
    const created = await withConnection(
      options.connect,
      async (connection) => {
        report('making the lab')
        await makeStandingLab(testbed, { signal })
        const vm = await openJournal({ directory: journalDirectory(), purpose: vmPurpose(name) })
        return withUndo(vm, { executors: undoExecutors }, async (journal) => {
          const made = await createVm(connection, plan, { journal, signal, accelerator, onProgress: report })
          const guest = serialShell(made.session)
          const boot = await bootOutcome(made.session.boot, guest, { signal })
          if (template !== undefined) {
            report(`applying ${template.file}`)
            await applyCommands(guest, template.commands, signal)
          }
          if (options.addresses || plan.seed !== undefined)
            report(
              plan.seed === undefined ? 'giving the guest its addresses' : 'reading what cloud-init made of its seed',
            )
          const network = plan.seed?.network ?? (options.addresses ? addressesOf(plan.nics.nics.length) : undefined)
          const sent = [
            ...(network === undefined ? [] : await applyVyos(shellAccess(guest), network, { signal })),
            ...(key === undefined
              ? []
              : await applyCommands(guest, loginKeyCommands(factoryCredentials.user, key), signal)),
          ]
          if (options.addresses || plan.seed !== undefined || key !== undefined || template !== undefined) {
            report('reading its SSH host keys')
            await pinIfThere(made, guest, signal)
          }
          await guest.close()
          await made.session.close()
          await journal.keep()
          return { ...made, boot, sent }
        })
      },
      signal,
    )
    return { plan, created, accelerator, reason }
  })
  const { plan, created, accelerator, reason } = outcome
  const { seed } = plan
  const seeded = seed && {
    seed: { commands: seed.commands.map(withoutPassword), sent: created?.sent.map(showCommand) ?? [] },
  }
  const shown = template && { template: { file: template.file, commands: template.commands.map(showCommand) } }
  if (created === undefined) {
    if (options.json) terminal.json<'vm create'>({ name, xml: plan.xml, ...shown, ...seeded })
    else {
      terminal.result(plan.xml)
      for (const line of [...(seeded?.seed.commands ?? []), ...(shown?.template.commands ?? [])]) terminal.notice(line)
    }
    return undefined
  }
  const nics = plan.nics.nics.map(({ mode, mac, uplink }, position) => ({
    name: `eth${position}`,
    mode: mode.name,
    mac,
    uplink,
  }))
  const readyAfterSeconds = Number((created.readyAfterMs / 1000).toFixed(2))
  if (options.json)
    terminal.json<'vm create'>({
      name,
      uuid: plan.uuid,
      accelerator,
      nics,
      readyAfterSeconds,
      retried: created.retried,
      boot: created.boot,
      ...shown,
      ...seeded,
    })
  else {
    terminal.result(`${name} runs (${plan.os === 'vyos' ? 'VyOS' : 'lab router, not VyOS'}; ${accelerator}: ${reason})`)
    for (const nic of nics) terminal.result(`  ${nic.name}  ${nic.mode} on ${nic.uplink ?? 'nothing'}  ${nic.mac}`)
    if (shown !== undefined)
      terminal.result(`  ${shown.template.file}: ${shown.template.commands.length} commands, committed and saved`)
    if (seeded !== undefined)
      terminal.result(
        `  first configuration by cloud-init: ${seeded.seed.commands.length} commands; ${seeded.seed.sent.length} of what they say had to be set over its console`,
      )
    terminal.result(`  console ready after ${readyAfterSeconds} s${created.retried ? ', at the second try' : ''}`)
  }
  return reportBoot(terminal, name, created.boot)
}

/** As {@link showCommand}, for a line of a seed. */
function withoutPassword(line: string): string {
  return line.replace(/(password) '.*'$/, "$1 '********'")
}

/** @throws VmrError CONFIG_NOT_FOUND, CONFIG_INVALID for a file that holds no public key. */
async function readLoginKey(file: string): Promise<LoginKey> {
  const [key] = parseHostKeys(await readConfigText(file), 0)
  if (key === undefined)
    throw new VmrError('CONFIG_INVALID', `${file} holds no public key of SSH`, {
      hint: 'Name the file that ends in .pub: --ssh-key ~/.ssh/id_ed25519.pub',
    })
  return key
}

interface FilledTemplate {
  readonly file: string
  readonly commands: readonly FilledCommand[]
}

async function filledTemplate({ template: name, set = [] }: VmCreateOptions): Promise<FilledTemplate | undefined> {
  if (name === undefined) {
    if (set.length === 0) return undefined
    throw new VmrError('USAGE', '--set gives a variable of a template its value, and there is no --template')
  }
  const template = await loadTemplate(name)
  return { file: template.file, commands: fillTemplate(template, settings(set)) }
}

function settings(given: readonly string[]): ReadonlyMap<string, string> {
  const values = new Map<string, string>()
  for (const each of given) {
    const [, name, value] = /^([^=]+)=(.*)$/s.exec(each) ?? []
    if (name === undefined || value === undefined)
      throw new VmrError('USAGE', `--set ${JSON.stringify(each.slice(0, 80))} has another form`, {
        hint: 'Write it as --set lan_address=192.0.2.1/24',
      })
    if (values.has(name)) throw new VmrError('USAGE', `--set gives ${JSON.stringify(name.slice(0, 40))} two values`)
    values.set(name, value)
  }
  return values
}

/** VyOS has no SSH service, and no key, until it is configured: then `vmr vm ssh` pins them at its first use. */
async function pinIfThere(made: CreatedVm, guest: Shell, signal: AbortSignal): Promise<void> {
  try {
    await pinHostKeys(made, guest, { signal })
  } catch (error) {
    if (!isVmrError(error) || error.code !== 'GUEST_NOT_READY') throw error
  }
}
