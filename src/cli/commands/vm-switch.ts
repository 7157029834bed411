import { findNicMode, loadNicModes } from '../../domain/nic-modes.ts'
import { xmlDiff } from '../../domain/xml-diff.ts'
import { VmrError } from '../../errors/vmr-error.ts'
import { type NicFinding, probeNic } from '../../ipv6/nic-reachability.ts'
import { interfaceKeeper } from '../../os/vyos/keep-interface.ts'
import { vyosOs } from '../../os/vyos/vyos-os.ts'
import type { Shell } from '../../shell/shell.ts'
import { pcMachines } from '../../testbed/machine.ts'
import { loadTestbed, type Testbed } from '../../testbed/testbed.ts'
import { findVm, type Vm } from '../../vm/find-vm.ts'
import { withConnection } from '../../vm/host.ts'
import { withGuest } from '../../vm/switch/finish-switch.ts'
import type { SwitchPlan } from '../../vm/switch/plan-switch.ts'
import {
  finishPendingSwitch,
  prepareSwitch,
  type SwitchedNic,
  switchRunning,
  switchStopped,
} from '../../vm/switch/switch-vm.ts'
import { withVmLock } from '../../vm/vm-lock.ts'
import type { CommandContext, CommandStatus } from '../context.ts'
import type { Output } from '../output/outputs.ts'
import { type ReportProgress, withProgress } from '../progress.ts'
import type { Terminal } from '../terminal.ts'

interface VmSwitchOptions {
  readonly json?: true | undefined
  readonly nic: string
  readonly only?: readonly string[] | true | undefined
  readonly source?: string | undefined
  readonly stp?: true | undefined
  readonly multicastSnooping?: true | undefined
  readonly dryRun?: true | undefined
  readonly verify: boolean
  readonly connect: string
}

type Outcome =
  | { readonly kind: 'planned'; readonly plan: SwitchPlan; readonly diff: string }
  | {
      readonly kind: 'switched'
      readonly nics: readonly SwitchedNic[]
      /** Undefined where nothing could be probed. */
      readonly findings: Readonly<Record<string, readonly NicFinding[]>> | undefined
    }

export async function vmSwitch(
  { terminal, signal }: CommandContext,
  name: string,
  options: VmSwitchOptions,
): Promise<CommandStatus> {
  const modes = await loadNicModes()
  const to = findNicMode(modes, options.nic)
  for (const warning of to.warnings) terminal.warn(warning)
  const outcome = await withProgress(terminal, `${name} to ${to.name}`, (report) =>
    withConnection(
      options.connect,
      (connection) =>
        withVmLock(name, { signal }, async (): Promise<Outcome> => {
          if (!options.dryRun) await finishPendingSwitch(name)
          const vm = await findVm(connection, name, signal)
          const testbed = vm.metadata.testbed === undefined ? undefined : await loadTestbed(vm.metadata.testbed)
          const context = { signal, onProgress: report }
          const plan = await prepareSwitch(
            connection,
            vm,
            {
              modes,
              to,
              only: namesOf(options.only),
              source: options.source,
              links: testbed?.links ?? [],
              bridge: {
                ...(options.stp === undefined ? {} : { stp: true }),
                ...(options.multicastSnooping === undefined ? {} : { multicastSnooping: true }),
              },
            },
            context,
          )
          if (options.dryRun) {
            const names = { from: `${name} as defined`, to: `${name} afterwards` }
            return { kind: 'planned', plan, diff: xmlDiff(vm.facts.element, plan.definition, names) }
          }
          if (!plan.running)
            return { kind: 'switched', nics: await switchStopped(connection, vm, plan, context), findings: undefined }
          return withGuest(
            connection,
            vm,
            async (guest) => {
              const keeper = interfaceKeeper(guest)
              const nics = await switchRunning(connection, vm, plan, { ...context, guest, keeper })
              await keeper.close()
              const findings =
                options.verify && testbed !== undefined
                  ? await verify({ vm, testbed, guest, nics, signal, report })
                  : undefined
              return { kind: 'switched', nics, findings }
            },
            signal,
          )
        }),
      signal,
    ),
  )
  if (options.json) terminal.json<'vm switch'>(asJson(name, outcome))
  else print(terminal, name, outcome)
  return undefined
}

function namesOf(only: readonly string[] | true | undefined): readonly string[] | undefined {
  if (only === true) throw new VmrError('USAGE', '--only takes the names of NICs', { hint: 'For example --only eth1.' })
  return only
}

interface Verification {
  readonly vm: Vm
  readonly testbed: Testbed
  readonly guest: Shell
  readonly nics: readonly SwitchedNic[]
  readonly signal: AbortSignal
  readonly report: ReportProgress
}

/** By NIC, what probes from cold caches show: a ping over warm ones succeeds on a path that is broken. */
async function verify({
  vm,
  testbed,
  guest,
  nics,
  signal,
  report,
}: Verification): Promise<Readonly<Record<string, readonly NicFinding[]>>> {
  const machine = { name: vm.domain.name, shell: guest, os: vyosOs }
  const pcs = pcMachines(testbed)
  const findings: Record<string, readonly NicFinding[]> = {}
  for (const { name, mac } of nics) {
    const uplink = vm.metadata.nics.find((nic) => nic.mac === mac)?.uplink
    const pc = pcs[testbed.links.findIndex((link) => link.uplink === uplink)]
    if (pc === undefined) continue
    report(`probing ${name} from cold caches`)
    findings[name] = await probeNic({ guest: machine, interfaceName: name, pc, signal })
  }
  return findings
}

function asJson(name: string, outcome: Outcome): Output<'vm switch'> {
  if (outcome.kind === 'planned')
    return {
      name,
      running: outcome.plan.running,
      nics: outcome.plan.nics.map((nic) => ({
        ...{ name: nic.name, mac: nic.mac, from: nic.from, to: nic.to },
        how: planWords(nic.plan?.kind, outcome.plan),
        ...(nic.uplink === undefined ? {} : { uplink: nic.uplink.name, needs: nic.uplink.use }),
      })),
      diff: outcome.diff,
    }
  return {
    name,
    nics: outcome.nics.map((nic) => ({
      ...nic,
      seconds: Number(nic.seconds.toFixed(3)),
      ...(outcome.findings?.[nic.name] === undefined ? {} : { reachability: outcome.findings[nic.name] }),
    })),
  }
}

function planWords(kind: string | undefined, { changesDefinition }: SwitchPlan): string {
  switch (kind) {
    case 'inPlace':
      return 'in place'
    case 'detachAttach':
      return 'detach and attach'
    case 'nothingToDo':
      return 'nothing to do'
    default:
      return changesDefinition ? 'definition only' : 'nothing to do'
  }
}

function print(terminal: Terminal, vmName: string, outcome: Outcome): void {
  if (outcome.kind === 'planned') {
    for (const nic of outcome.plan.nics)
      terminal.result(`${vmName} ${nic.name}: ${nic.from} to ${nic.to}, ${planWords(nic.plan?.kind, outcome.plan)}`)
    if (outcome.diff !== '') terminal.result(`\n${outcome.diff.trimEnd()}`)
    return
  }
  for (const { name, from, to, how, seconds, complaints } of outcome.nics) {
    const took = seconds === 0 ? '' : ` in ${seconds.toFixed(2)} s`
    terminal.result(`${vmName} ${name}: ${from} to ${to}, ${how}${took}`)
    for (const complaint of complaints) terminal.warn(`${name} is not all as it was: ${complaint}`)
    const findings = outcome.findings?.[name]
    if (findings === undefined) continue
    if (findings.length === 0)
      terminal.result(`  not probed: ${name} has no address that a PC of the testbed could reach`)
    for (const { family, direction, reachable, address } of findings)
      terminal.result(
        `  ${family === 'ipv4' ? 'IPv4' : 'IPv6'} ${direction}  ${reachable ? 'reachable' : `lost (${address})`}`,
      )
  }
}
