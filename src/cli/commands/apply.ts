import { basename } from 'node:path'
import packageJson from '../../../package.json' with { type: 'json' }
import { loadDomainDefinition } from '../../config/load-domain-definition.ts'
import { withNicOptions } from '../../config/nic-options.ts'
import { readDomainFacts } from '../../domain/domain-facts.ts'
import type { Accelerator } from '../../domain/domain-xml.ts'
import { loadNicModes } from '../../domain/nic-modes.ts'
import { VmrError } from '../../errors/vmr-error.ts'
import { loadTestbed } from '../../testbed/testbed.ts'
import { applyVm, asItIs } from '../../vm/apply/apply-vm.ts'
import { type ApplyPlan, planApply } from '../../vm/apply/plan-apply.ts'
import { planVm } from '../../vm/create.ts'
import { findDomain, findVm } from '../../vm/find-vm.ts'
import { withConnection } from '../../vm/host.ts'
import { isRunning } from '../../vm/power.ts'
import { chooseAccelerator, prepareGuest } from '../../vm/prepare-guest.ts'
import type { Started } from '../../vm/start.ts'
import { liveFacts } from '../../vm/switch/finish-switch.ts'
import { finishPendingSwitch } from '../../vm/switch/switch-vm.ts'
import { withVmLock } from '../../vm/vm-lock.ts'
import { reportBoot } from '../boot-report.ts'
import { confirm } from '../confirm.ts'
import type { CommandContext, CommandStatus } from '../context.ts'
import { withProgress } from '../progress.ts'
import type { Terminal } from '../terminal.ts'
import { vmCreate } from './vm-create.ts'

interface ApplyOptions {
  readonly json?: true | undefined
  readonly name?: string | undefined
  readonly nic?: string | undefined
  readonly nicOption?: readonly string[] | undefined
  readonly testbed: string
  readonly accel: 'auto' | Accelerator
  readonly restart?: true | undefined
  readonly yes?: true | undefined
  readonly dryRun?: true | undefined
  readonly connect: string
}

export async function apply(context: CommandContext, file: string, options: ApplyOptions): Promise<CommandStatus> {
  const { terminal, signal } = context
  const name = options.name ?? basename(file).replace(/\.ya?ml$/, '')
  const isThere = await withConnection(
    options.connect,
    async (connection) => (await findDomain(connection, name, signal)) !== undefined,
    signal,
  )
  if (!isThere) {
    if (!options.json) terminal.notice(`there is no VM ${name} yet: ${options.dryRun ? 'would make' : 'making'} it`)
    return vmCreate(context, name, { ...options, nic: options.nic ?? 'bridge', domain: file, addresses: true })
  }
  const modes = await loadNicModes()
  const testbed = await loadTestbed(options.testbed)
  const loaded = await loadDomainDefinition(file)
  return withConnection(
    options.connect,
    (connection) =>
      withVmLock(name, { signal }, async () => {
        if (!options.dryRun) await finishPendingSwitch(name)
        const vm = await findVm(connection, name, signal)
        const asWritten = withNicOptions(loaded.definition, options.nicOption ?? [])
        const definition = { ...loaded, definition: asItIs(asWritten, vm, options.nic) }
        const preparing = { requested: options.accel, signal, onProgress: () => undefined }
        const { image, accelerator } =
          asWritten.image === undefined
            ? { image: undefined, ...(await chooseAccelerator(preparing)) }
            : await prepareGuest(preparing)
        const wanted = await planVm({
          ...{ name, definition, modes, testbed, testbedName: options.testbed, image, accelerator, signal },
          mode: options.nic ?? 'bridge',
          vmrVersion: packageJson.version,
        })
        const facts = readDomainFacts(wanted.xml.replace(wanted.uuid, vm.domain.uuid))
        const live = (await isRunning(connection, vm, signal))
          ? await liveFacts(connection, vm.domain, signal)
          : undefined
        const plan = planApply({ wanted: facts, defined: vm.facts, live })
        if (!options.json) print(terminal, name, plan)
        let restarted: Started | undefined
        if (!options.dryRun && plan.changes.length > 0) {
          await requireConsent(name, plan, options, signal)
          restarted = await withProgress(terminal, name, (onProgress) =>
            applyVm(connection, vm, plan, {
              ...{ wanted: facts, definition: definition.definition, storage: wanted.storage, modes, testbed },
              ...{ restart: options.restart === true, signal, onProgress },
            }),
          )
        }
        report(terminal, name, plan, { ...options, restarted: restarted !== undefined, running: live !== undefined })
        return restarted === undefined ? undefined : reportBoot(terminal, name, restarted.boot)
      }),
    signal,
  )
}

const marks = {
  now: 'now',
  'now, interrupts': 'now, out for a third of a second',
  'at the next start': 'at the next start',
}

function print(terminal: Terminal, name: string, { changes }: ApplyPlan): void {
  if (changes.length === 0) terminal.result(`${name} is as its definition says`)
  for (const { what, from, to, effect } of changes) {
    const [mark, words] =
      from === undefined ? ['+', `${to}`] : to === undefined ? ['-', from] : ['~', `${from} → ${to}`]
    const colour = mark === '+' ? 'green' : mark === '-' ? 'red' : 'yellow'
    terminal.result(`${terminal.style(colour, mark)} ${what}: ${words}  (${marks[effect]})`)
  }
}

async function requireConsent(
  name: string,
  { changes }: ApplyPlan,
  { yes, restart, json }: ApplyOptions,
  signal: AbortSignal,
): Promise<void> {
  const interrupts = changes.some(({ effect }) => effect === 'now, interrupts')
  const restarts = restart && changes.some(({ effect }) => effect === 'at the next start')
  if (yes || (!interrupts && !restarts)) return
  const what = restarts ? `${name} will be restarted` : `traffic of ${name} will be interrupted`
  if (json || !(await confirm(`${what}. Go on?`, signal)))
    throw new VmrError('USAGE', `nothing was changed: ${what}, and nobody said yes`, { hint: 'Give --yes.' })
}

function report(
  terminal: Terminal,
  name: string,
  { changes, changesDefinition }: ApplyPlan,
  { json, dryRun, restarted, running }: ApplyOptions & { readonly restarted: boolean; readonly running: boolean },
): void {
  const waits = running && !restarted && changes.some(({ effect }) => effect === 'at the next start')
  const felt = changes.some(({ effect }) => effect !== 'at the next start')
  const applied = !dryRun && (changesDefinition || felt || restarted)
  if (json) {
    terminal.json<'apply'>({
      name,
      changes: changes.map(({ what, from, to, effect }) => ({ what, from, to, effect })),
      ...{ applied, restarted, waitsForNextStart: waits },
    })
    return
  }
  if (dryRun || changes.length === 0) return
  if (restarted) terminal.result(`${name} is as its definition says, and was restarted`)
  else if (applied) terminal.result(`${name} is changed`)
  if (waits) terminal.notice(`what is not there yet comes with the next start; --restart does it at once`)
}
