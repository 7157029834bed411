import Table from 'cli-table3'
import { familySummary, guestBridgeSummary, hostNeedsWords, hotSwitch } from '../../domain/nic-mode-words.ts'
import type { NicMode } from '../../domain/nic-modes.ts'
import type { CommandContext, CommandStatus } from '../context.ts'
import { modesHere, shownFile } from './nic-modes.ts'

interface NicListOptions {
  readonly json?: true | undefined
  readonly connect: string
}

export async function nicList(context: CommandContext, { json, connect }: NicListOptions): Promise<CommandStatus> {
  const { terminal } = context
  const { modes, libvirtVersion, acceptance } = await modesHere(context, connect, (all) =>
    [...all.values()].sort((left, right) => (left.name < right.name ? -1 : 1)),
  )
  if (json) {
    terminal.json<'nic list'>({
      libvirt: libvirtVersion ?? null,
      modes: modes.map((mode) => ({
        name: mode.name,
        summary: mode.summary,
        managementOnly: mode.managementOnly,
        needs: mode.needs,
        carries: mode.carries,
        hotSwitch: hotSwitch(mode),
        warnings: mode.warnings,
        cure: mode.cure,
        libvirtSays: acceptance(mode),
        file: mode.file,
      })),
    })
    return undefined
  }
  const table = new Table({
    head: ['mode', 'needs from the host', 'IPv4', 'IPv6', 'bridge in guest', 'hot switch', 'file'],
    style: { head: [], border: [], compact: true },
  })
  for (const mode of modes) table.push(row(mode))
  terminal.result(table.toString())
  terminal.result(
    'IPv4, IPv6: from cold neighbour caches, as a NIC (nic), a router (forward) and a tunnel end (ipip6).\n' +
      'outbound only: fails towards the guest. in place: from another bridge; all else is detached and attached again.\n' +
      '`vmr nic explain MODE` says why, what cures it and what it costs.',
  )
  if (libvirtVersion === undefined)
    terminal.result('libvirt was not reached: whether it takes every mode is not known.')
  for (const mode of modes) {
    const said = acceptance(mode)
    if (said.kind === 'refused')
      terminal.warn(`${mode.name}: libvirt ${libvirtVersion} here refuses it: ${said.reason}`)
    // Where the table shows what is broken, it says enough.
    if (!looksBroken(mode)) for (const warning of mode.warnings) terminal.warn(`${mode.name}: ${warning}`)
  }
  return undefined
}

function looksBroken({ carries }: NicMode): boolean {
  return Object.values(carries).some(({ ipv4, ipv6 }) => [ipv4, ipv6].some((verdict) => verdict !== 'works'))
}

function row(mode: NicMode): string[] {
  return [
    mode.managementOnly ? `${mode.name}\n(management)` : mode.name,
    hostNeedsWords(mode),
    ...[familySummary(mode, 'ipv4'), familySummary(mode, 'ipv6'), guestBridgeSummary(mode)].map(oneALine),
    hotSwitch(mode).startsWith('in place') ? 'in place' : 'detach, attach',
    shownFile(mode.file),
  ]
}

const oneALine = (summary: string) => summary.replaceAll('; ', '\n')
