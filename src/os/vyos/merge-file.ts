import { keyOf, startsWith, type VyosCommand, type VyosPath } from './path.ts'

/** Below this, one `merge`, a Python program on most trains, costs a slow guest more than it saves. */
const fewestCommands = 6

/**
 * Nodes that a file in braces can be written for without asking the guest: `*` stands for the name of a tag node,
 * `=` for the value of a leaf that has one, `+` for one value of a leaf that has many; a path without either at its end
 * has no value. The braces of a tag node open behind its name, those of a plain node do not, and a path alone does not
 * tell which it is.
 */
const knownNodes: readonly VyosPath[] = [
  ...['ethernet *', 'ethernet * vif *', 'bridge *', 'tunnel *', 'loopback *'].flatMap((link) =>
    ['', 'address +', 'description =', 'disable', 'mac =', 'mtu ='].map((below) => `interfaces ${link} ${below}`),
  ),
  ...['gro', 'gso', 'lro', 'rps', 'sg', 'tso'].map((offload) => `interfaces ethernet * offload ${offload}`),
  ...['aging =', 'forwarding-delay =', 'member interface *', 'stp'].map((below) => `interfaces bridge * ${below}`),
  ...['encapsulation =', 'remote =', 'source-address =', 'local-ip =', 'remote-ip ='].map(
    (below) => `interfaces tunnel * ${below}`,
  ),
  ...['encaplimit =', 'hoplimit ='].map((below) => `interfaces tunnel * parameters ipv6 ${below}`),
  ...['route *', 'route6 *'].flatMap((route) =>
    ['next-hop *', 'next-hop * distance =', 'next-hop * interface =', 'interface *', 'interface * distance ='].map(
      (below) => `protocols static ${route} ${below}`,
    ),
  ),
  'service ssh port +',
  'service ssh listen-address +',
  'service ssh disable-password-authentication',
  'system host-name =',
  'system ip disable-forwarding',
  'system ipv6 disable-forwarding',
  'system login user * authentication public-keys * key =',
  'system login user * authentication public-keys * type =',
].map((node) => node.trim().split(' '))

/** Not every train's reader knows that what looks like a comment is none inside quotes. */
const commentMark = /\/\*|\*\//

/** Names of tag nodes stand bare in the file. */
const bareName = /^[A-Za-z0-9][A-Za-z0-9_.:/@-]{0,127}$/

export interface MergeFile {
  /** How many commands come before all that the file stands for. */
  readonly first: number
  /** The places in the list of the commands that the file stands for. */
  readonly merged: readonly number[]
  /** What config.boot would hold for them, without its version footer. */
  readonly text: string
}

/**
 * One file for as many of these `set` commands as `merge FILE` does the same for, so that a slow guest pays once for
 * all of them instead of a second or more for each. Undefined when that would not pay.
 *
 * Left out, to be set one by one: nodes whose place in braces is not known; what a `merge` would pass over because it
 * runs already (a deletion before may have taken it away); a single value that stands beside another one, since not
 * every train's `merge` replaces values; and whatever comes before the last deletion.
 */
export function planMergeFile(before: readonly VyosPath[], commands: readonly VyosCommand[]): MergeFile | undefined {
  const first = commands.findLastIndex(({ kind }) => kind === 'delete') + 1
  const places = commands.flatMap(({ path }, index) => {
    const place = index >= first ? placeOf(path) : undefined
    return place === undefined ? [] : [{ ...place, path, index }]
  })
  const fitting = places.filter(({ path, single }) => {
    if (before.some((there) => startsWith(there, path))) return false
    if (!single) return true
    const leaf = path.slice(0, -1)
    const others = [...before, ...places.map((place) => place.path)].filter((there) => startsWith(there, leaf))
    return others.every((there) => keyOf(there) === keyOf(path))
  })
  if (fitting.length < fewestCommands) return undefined
  const root: Block = new Map()
  for (const { lines } of fitting) {
    let block = root
    for (const line of lines) block = block.get(line) ?? opened(block, line)
  }
  return { first, merged: fitting.map(({ index }) => index), text: render(root, '') }
}

/** The lines inside a pair of braces, each with what stands in its own. */
interface Block extends Map<string, Block> {}

interface Place {
  /** The line of each node on the way, outermost first; `{` at the end of those that open braces. */
  readonly lines: readonly string[]
  readonly single: boolean
}

function opened(block: Block, line: string): Block {
  const inner: Block = new Map()
  block.set(line, inner)
  return inner
}

function placeOf(path: VyosPath): Place | undefined {
  const node = knownNodes.find(
    (known) =>
      known.length === path.length &&
      known.every((word, index) =>
        word === '*' ? bareName.test(path[index] ?? '') : isValue(word) || word === path[index],
      ),
  )
  if (node === undefined || path.some((word) => commentMark.test(word))) return undefined
  const lines: string[] = []
  for (const [index, word] of path.entries()) {
    const [kind = '', next] = [node[index], node[index + 1]]
    if (kind === '*') lines.push(`${path[index - 1]} ${word} {`)
    else if (isValue(kind)) lines.push(`${path[index - 1]} "${word}"`)
    else if (next === undefined) lines.push(word)
    else if (next !== '*' && !isValue(next)) lines.push(`${word} {`)
  }
  return { lines, single: node.at(-1) === '=' }
}

function isValue(word: string): boolean {
  return word === '=' || word === '+'
}

function render(block: Block, indent: string): string {
  let text = ''
  for (const [line, inner] of block) {
    text += `${indent}${line}\n`
    if (line.endsWith('{')) text += `${render(inner, `${indent}    `)}${indent}}\n`
  }
  return text
}
