import type { NicViews } from '../../truth/compare.ts'
import { compareViews, waitingForNextStart } from '../../truth/compare.ts'
import { observeTruth } from '../../truth/observe.ts'
import type { BootOutcome } from '../../vm/boot-outcome.ts'
import { findVm } from '../../vm/find-vm.ts'
import { withConnection } from '../../vm/host.ts'
import type { CommandContext, CommandStatus } from '../context.ts'
import { withProgress } from '../progress.ts'
import type { Terminal } from '../terminal.ts'

interface VmShowOptions {
  readonly json?: true | undefined
  /** False leaves the console alone. */
  readonly guest: boolean
  readonly connect: string
}

export async function vmShow(
  { terminal, signal }: CommandContext,
  name: string,
  { json, guest, connect }: VmShowOptions,
): Promise<CommandStatus> {
  const { vm, truth } = await withConnection(
    connect,
    async (connection) => {
      const found = await findVm(connection, name, signal)
      const asked = withProgress(terminal, `asking about ${name}`, () =>
        observeTruth(connection, found, { askGuest: guest, signal }),
      )
      return { vm: found, truth: await asked }
    },
    signal,
  )
  const { metadata, facts } = vm
  const views = compareViews(truth)
  const differences = waitingForNextStart(truth)
  const shown = {
    name,
    uuid: vm.domain.uuid,
    state: truth.state,
    definition: metadata.definition,
    testbed: metadata.testbed,
    image: metadata.image,
    os: metadata.os,
    accelerator: facts.accelerator,
    vcpus: facts.vcpus,
    memoryMiB: facts.memoryKiB === undefined ? undefined : facts.memoryKiB / 1024,
    serialLog: facts.serial?.log,
  }
  if (json) {
    const nics = views.map((view) => {
      const note = metadata.nics.find(({ mac }) => mac === view.mac)
      const attached = truth.live?.nics.find(({ mac }) => mac === view.mac)
      return {
        ...view,
        mode: note?.mode,
        uplink: note?.uplink,
        ...(attached === undefined ? {} : { device: attached.target, trust: attached.trustGuestRxFilters }),
      }
    })
    terminal.json<'vm show'>({ ...shown, differences, boot: truth.boot, guestUnasked: truth.guestUnasked, nics })
    return undefined
  }
  for (const [key, value] of Object.entries(shown))
    if (value !== undefined) terminal.result(`${key.padEnd(12)}${value}`)
  if (truth.boot !== undefined) printBoot(terminal, truth.boot)
  for (const words of differences) terminal.result(terminal.style('yellow', `! ${words}`))
  for (const view of views) printNic(terminal, view, metadata.nics.find(({ mac }) => mac === view.mac)?.mode)
  if (truth.live !== undefined && truth.guestUnasked !== undefined)
    terminal.result(`\nthe guest was not asked: ${truth.guestUnasked}`)
  return undefined
}

function printBoot(terminal: Terminal, { state, configuration, words }: BootOutcome): void {
  terminal.result(`${'boot'.padEnd(12)}${state}`)
  if (configuration !== 'failed') return
  terminal.result(terminal.style('yellow', '! it came up without part of its configuration'))
  for (const line of words) terminal.result(`  ${line}`)
}

function printNic(terminal: Terminal, view: NicViews, mode: string | undefined): void {
  terminal.result(`\n${terminal.style('bold', view.name)}  ${mode ?? 'in no mode that vmr knows of'}  ${view.mac}`)
  const rows = {
    'as defined': view.defined,
    'as it runs': view.live,
    'the kernel': view.kernel,
    'the guest': view.guest,
  }
  for (const [source, words] of Object.entries(rows))
    if (words !== undefined) terminal.result(`  ${source.padEnd(12)}${words}`)
  for (const { between, words } of view.differences)
    terminal.result(terminal.style('yellow', `  ! ${between}: ${words}`))
}
