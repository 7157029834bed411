import type { CellResult, Manifest, Run } from '../results/schema.ts'
import { markdownTable, markdownText } from './markdown-table.ts'
import {
  directionLabel,
  directionsOf,
  dutLabelOf,
  familyLabel,
  formLabels,
  modeLabel,
  plain,
  reached,
} from './words.ts'

/** What each case asks of the guest. */
const caseTitles: Readonly<Record<string, string>> = {
  nic: 'nic: PC 1 and the VM itself, on uplink 1',
  nic2: 'nic2: PC 2 and the VM itself, on uplink 2',
  bridge: 'bridge: the VM bridges both uplinks',
  forward: 'forward: the VM routes between both uplinks',
  ipip6: 'ipip6: the VM ends a tunnel of IPv4 in IPv6',
  'vlan-bridge': 'vlan-bridge: the VM bridges VLAN 100 of uplink 1 and VLAN 200 of uplink 2',
}

/**
 * What each interface mode carries, as a run measured it: mode x case x family x direction x form of address, in GitHub's
 * Markdown, with the versions that it holds for.
 */
export function interfaceModes({ manifest, cells }: Run): string {
  const ofVm = cells.filter(({ dut }) => dut === 'vm')
  const groups = [...new Set(ofVm.map((cell) => `${cell.case} ${cell.family}`))]
  const lines = [
    '# What each interface mode carries',
    '',
    'Measured from cold neighbour caches, each direction by itself, and written by',
    `\`vmr report ${manifest.run} --format interface-modes\`. \`vmr nic explain MODE\` says why, and what cures it.`,
    '',
    `Run ${manifest.run}, ${manifest.startedAt.slice(0, 10)}: ${versions(manifest)}.`,
    '',
    'yes: every address was reached, before and after. no: none was. partly: some were; a macvtap’s filter is a hash, which',
    'now and then passes a group that nobody joined. A static address shares no group with a MAC address; one of EUI-64, as',
    'SLAAC makes it, does; one that is added later is given to the guest while it runs.',
    ...groups.flatMap((group) => {
      const own = ofVm.filter((cell) => `${cell.case} ${cell.family}` === group)
      const [first] = own
      if (first === undefined) return []
      const directions = directionsOf(own)
      const modes = [...new Set(own.map(modeLabel))].toSorted()
      return [
        '',
        `## ${markdownText(`${caseTitles[first.case] ?? first.case}, ${familyLabel(first.family)}`)}`,
        '',
        markdownTable(
          ['mode', ...directions.map((direction) => directionLabel(direction, dutLabelOf(own)))],
          modes.map((mode) => {
            const ofMode = own.filter((cell) => modeLabel(cell) === mode)
            return [mode, ...directions.map((direction) => formWords(ofMode, direction))]
          }),
        ),
      ]
    }),
  ]
  return `${lines.join('\n')}\n`
}

/** One word where all forms of address fare alike. */
function formWords(cells: readonly CellResult[], direction: string): string {
  const fates = cells.map((cell) => ({ form: formLabels[cell.form], fate: fateOf(cell, direction) }))
  const [first] = fates
  if (first === undefined) return '–'
  if (fates.every(({ fate }) => fate === first.fate)) return first.fate
  return fates.map(({ form, fate }) => `${form}: ${fate}`).join(', ')
}

function fateOf(cell: CellResult, direction: string): string {
  if (cell.verdict.verdict === 'impossible') return 'not possible'
  if (cell.verdict.verdict === 'error') return 'not measured'
  return reached(cell, direction) ?? '–'
}

function versions({ host, libvirt, qemu, guest, accelerator, vmr }: Manifest): string {
  return plain(
    [
      `kernel ${host.kernel}`,
      ...(libvirt === undefined ? [] : [`libvirt ${libvirt.version}`]),
      ...(qemu === undefined ? [] : [`QEMU ${qemu}`]),
      ...(guest === undefined ? [] : [`guest ${guest.label}`]),
      ...(accelerator === undefined ? [] : [accelerator === 'kvm' ? 'KVM' : 'TCG']),
      `vmr ${vmr}`,
    ].join(', '),
  )
}
