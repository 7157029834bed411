import Table from 'cli-table3'
import { hotSwitch, roles, verdictWords } from '../../domain/nic-mode-words.ts'
import { findNicMode, hostNeeds } from '../../domain/nic-modes.ts'
import { buildXml } from '../../domain/xml/build.ts'
import type { CommandContext, CommandStatus } from '../context.ts'
import type { Terminal } from '../terminal.ts'
import { modesHere, shownFile } from './nic-modes.ts'

interface NicExplainOptions {
  readonly json?: true | undefined
  readonly connect: string
}

export async function nicExplain(
  context: CommandContext,
  name: string,
  { json, connect }: NicExplainOptions,
): Promise<CommandStatus> {
  const { terminal } = context
  const { modes, libvirtVersion, acceptance } = await modesHere(context, connect, (all) => [
    findNicMode({ modes: all, conflicts: [] }, name),
  ])
  for (const mode of modes) {
    const said = acceptance(mode)
    if (json) {
      const { element, ...told } = mode
      terminal.json<'nic explain'>({
        ...told,
        hostNeeds: hostNeeds(mode),
        hotSwitch: hotSwitch(mode),
        libvirt: libvirtVersion ?? null,
        libvirtSays: said,
        xml: buildXml(element),
      })
      continue
    }
    const section = sectionOf(terminal)
    terminal.result(`${terminal.style('bold', mode.name)}: ${mode.summary}`)
    section('What it is', mode.explain ?? 'Its file does not say.')
    section('What the host must have', mode.needs.length === 0 ? 'Its file does not say.' : mode.needs.map(bullet))
    const table = new Table({ head: ['the guest …', 'case', 'IPv4', 'IPv6'], style: { head: [], border: [] } })
    for (const { role, words } of roles) {
      const { ipv4, ipv6 } = mode.carries[role]
      table.push([words, role, verdictWords[ipv4], verdictWords[ipv6]])
    }
    section('What it carries, from cold neighbour caches', undefined)
    terminal.result(table.toString())
    if (mode.managementOnly)
      section('Only for management', 'It reaches no testbed, so no NIC that is measured can have it.')
    if (mode.warnings.length > 0) section('Beware', mode.warnings.map(bullet))
    if (mode.cure !== undefined) section('What cures it', mode.cure)
    section('What it costs in security', mode.security ?? 'Its file does not say.')
    section('Switching a running NIC to it', `${sentence(hotSwitch(mode))}.`)
    if (said.kind === 'refused') section('Here', `libvirt ${libvirtVersion} refuses it: ${said.reason}`)
    if (said.kind === 'accepted') section('Here', `libvirt ${libvirtVersion} takes it.`)
    section(`XML of ${shownFile(mode.file)}`, undefined)
    terminal.result(buildXml(mode.element).trimEnd())
  }
  return undefined
}

const bullet = (text: string) => `- ${text}`
const sentence = (words: string) => words.charAt(0).toUpperCase() + words.slice(1)

function sectionOf(terminal: Terminal) {
  const columns = Math.min(terminal.columns, 100)
  return (title: string, body: string | readonly string[] | undefined) => {
    terminal.result(`\n${terminal.style('bold', title)}`)
    for (const paragraph of body === undefined ? [] : typeof body === 'string' ? [body] : body)
      terminal.result(filled(paragraph, columns))
  }
}

/** Words filled into lines; those after a bullet's first are indented. */
function filled(text: string, columns: number): string {
  const indent = text.startsWith('- ') ? '  ' : ''
  return text
    .split(/\s+/)
    .reduce<string[]>((lines, word) => {
      const last = lines.at(-1)
      if (last !== undefined && last.length + 1 + word.length <= columns) lines[lines.length - 1] = `${last} ${word}`
      else lines.push(lines.length === 0 ? word : `${indent}${word}`)
      return lines
    }, [])
    .join('\n')
}
