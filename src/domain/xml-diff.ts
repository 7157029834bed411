import { pciAddress } from './domain-facts.ts'
import { buildXml } from './xml/build.ts'
import { firstChild, isElement, withAttributes, withChildren, type XmlElement, type XmlNode } from './xml/element.ts'

export interface XmlDiffOptions {
  readonly from: string
  readonly to: string
  /** Lines shown around a change. Default 3. */
  readonly contextLines?: number
  /** Leave out what libvirt fills in only while a domain runs, to compare live with persistent XML. Default false. */
  readonly ignoreRuntimeState?: boolean
}

/**
 * Unified diff of two domains (or any two elements), '' when they say the same. Indentation, quotes, attribute order,
 * comments and the order of different kinds of siblings are no difference; the order of siblings of one kind is, except of
 * NICs with PCI addresses, whose order the guest takes from those: libvirt lists a hot-plugged one last.
 */
export function xmlDiff(before: XmlElement, after: XmlElement, options: XmlDiffOptions): string {
  const { contextLines = 3, ignoreRuntimeState = false } = options
  const lines = (root: XmlElement) =>
    buildXml(normalised(ignoreRuntimeState ? withoutRuntime(root) : root))
      .trimEnd()
      .split('\n')
  const edits = diffLines(lines(before), lines(after))
  const hunks = groupHunks(edits, contextLines)
  if (hunks.length === 0) return ''
  return `${[`--- ${options.from}`, `+++ ${options.to}`, ...hunks.flatMap(formatHunk)].join('\n')}\n`
}

/** libvirt writes a domain in this order (virDomainDefFormatInternal); what is not listed follows by name. */
const order: readonly string[] = [
  ...[
    'name',
    'uuid',
    'title',
    'description',
    'metadata',
    'memory',
    'currentMemory',
    'memoryBacking',
    'vcpu',
    'iothreads',
  ],
  ...['cputune', 'resource', 'sysinfo', 'os', 'features', 'cpu', 'clock', 'on_poweroff', 'on_reboot', 'on_crash', 'pm'],
  ...[
    'devices',
    'seclabel',
    'emulator',
    'disk',
    'controller',
    'filesystem',
    'interface',
    'serial',
    'console',
    'channel',
  ],
  ...['input', 'tpm', 'graphics', 'audio', 'video', 'hostdev', 'watchdog', 'memballoon', 'rng'],
]

function normalised(node: XmlElement): XmlElement {
  const children = node.children
    .filter((child) => child.kind !== 'comment')
    .map((child): XmlNode => {
      if (child.kind === 'element') return normalised(child)
      return { kind: 'text', text: child.text.trim() }
    })
  const hasText = children.some((child) => child.kind !== 'element')
  return {
    ...node,
    attributes: Object.fromEntries(Object.entries(node.attributes).sort(([left], [right]) => compare(left, right))),
    children: hasText ? children : children.toSorted(byLibvirtOrder),
  }
}

function byLibvirtOrder(left: XmlNode, right: XmlNode): number {
  if (left.kind !== 'element' || right.kind !== 'element') return 0
  const rank = (name: string) => (order.includes(name) ? order.indexOf(name) : order.length)
  return rank(left.name) - rank(right.name) || compare(left.name, right.name) || compare(slotOf(left), slotOf(right))
}

function slotOf(device: XmlElement): string {
  return device.name === 'interface' ? (pciAddress(firstChild(device, 'address')) ?? '') : ''
}

function compare(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0
}

/** What a live domain has and its definition has not (virDomainDefFormat without VIR_DOMAIN_XML_INACTIVE). */
function withoutRuntime(root: XmlElement): XmlElement {
  const walk = (node: XmlElement, parent: string): XmlElement => {
    const children = node.children.flatMap((child): readonly XmlNode[] => {
      if (child.kind !== 'element') return [child]
      if (child.name === 'alias' && !child.attributes.name?.startsWith('ua-')) return []
      if (child.name === 'seclabel' && child.attributes.type === 'dynamic') return []
      if (child.name === 'backingStore' && node.name === 'disk') return []
      if (child.name === 'target' && node.name === 'interface' && /^(vnet|macvtap)\d/.test(child.attributes.dev ?? ''))
        return []
      if (child.name === 'source' && isPty(node)) return []
      return [walk(child, node.name)]
    })
    return withChildren(withAttributes(node, runtimeAttributes(node, parent)), children)
  }
  return walk(root, '')
}

function isPty(node: XmlElement): boolean {
  return (isElement(node, 'serial') || isElement(node, 'console')) && node.attributes.type === 'pty'
}

function runtimeAttributes(node: XmlElement, parent: string): Readonly<Record<string, undefined>> {
  switch (node.name) {
    case 'domain':
      return { id: undefined }
    case 'console':
      return { tty: undefined }
    case 'source':
      return parent === 'interface' ? { portid: undefined } : { index: undefined }
    default:
      return {}
  }
}

interface Edit {
  readonly sign: ' ' | '-' | '+'
  readonly line: string
}

/** Shortest edit script by longest common subsequence. Domains are a few hundred lines, so the table stays small. */
function diffLines(before: readonly string[], after: readonly string[]): readonly Edit[] {
  let start = 0
  while (start < before.length && start < after.length && before[start] === after[start]) start++
  let end = 0
  while (
    end < before.length - start &&
    end < after.length - start &&
    before[before.length - 1 - end] === after[after.length - 1 - end]
  )
    end++
  const left = before.slice(start, before.length - end)
  const right = after.slice(start, after.length - end)
  const width = right.length + 1
  const common = new Uint32Array((left.length + 1) * width)
  for (let row = left.length - 1; row >= 0; row--) {
    for (let column = right.length - 1; column >= 0; column--) {
      const at = row * width + column
      common[at] =
        left[row] === right[column]
          ? (common[at + width + 1] ?? 0) + 1
          : Math.max(common[at + width] ?? 0, common[at + 1] ?? 0)
    }
  }
  const same = (line: string): Edit => ({ sign: ' ', line })
  const edits: Edit[] = before.slice(0, start).map(same)
  let row = 0
  let column = 0
  while (row < left.length || column < right.length) {
    const [mine, theirs] = [left[row], right[column]]
    if (mine !== undefined && mine === theirs) {
      edits.push(same(mine))
      row++
      column++
    } else if (
      mine !== undefined &&
      (theirs === undefined || (common[(row + 1) * width + column] ?? 0) >= (common[row * width + column + 1] ?? 0))
    ) {
      edits.push({ sign: '-', line: mine })
      row++
    } else if (theirs !== undefined) {
      edits.push({ sign: '+', line: theirs })
      column++
    }
  }
  return [...edits, ...before.slice(before.length - end).map(same)]
}

interface Hunk {
  readonly beforeStart: number
  readonly afterStart: number
  readonly edits: readonly Edit[]
}

function groupHunks(edits: readonly Edit[], context: number): readonly Hunk[] {
  const shown = new Set<number>()
  for (const [index, edit] of edits.entries()) {
    if (edit.sign === ' ') continue
    for (let near = Math.max(0, index - context); near <= Math.min(edits.length - 1, index + context); near++)
      shown.add(near)
  }
  const hunks: { beforeStart: number; afterStart: number; edits: Edit[] }[] = []
  let beforeLine = 1
  let afterLine = 1
  for (const [index, edit] of edits.entries()) {
    if (shown.has(index)) {
      if (!shown.has(index - 1)) hunks.push({ beforeStart: beforeLine, afterStart: afterLine, edits: [] })
      hunks.at(-1)?.edits.push(edit)
    }
    if (edit.sign !== '+') beforeLine++
    if (edit.sign !== '-') afterLine++
  }
  return hunks
}

function formatHunk({ beforeStart, afterStart, edits }: Hunk): readonly string[] {
  const range = (start: number, sign: '-' | '+') => {
    const length = edits.filter((edit) => edit.sign === ' ' || edit.sign === sign).length
    // An empty range names the line before it (POSIX diff, unified format).
    return length === 1 ? `${start}` : `${length === 0 ? start - 1 : start},${length}`
  }
  return [
    `@@ -${range(beforeStart, '-')} +${range(afterStart, '+')} @@`,
    ...edits.map(({ sign, line }) => `${sign}${line}`),
  ]
}
