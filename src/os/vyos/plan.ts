import { keyOf, startsWith, type VyosCommand, type VyosPath } from './path.ts'
import type { WantedConfiguration } from './render.ts'

/** A command with what it takes to undo it. */
export interface VyosChange extends VyosCommand {
  /** The last word is the only value of its node: another one is replaced. */
  readonly single: boolean
  /** Lengths of the prefixes that are objects of their own, outermost first: one made by this goes whole again. */
  readonly objects: readonly number[]
}

/** One step back. */
export type UndoStep =
  /** `created`: the length of the shortest prefix that was not there before; it goes too once nothing else is in it. */
  | { readonly kind: 'delete'; readonly path: VyosPath; readonly created: number }
  | { readonly kind: 'set'; readonly path: VyosPath; readonly single: boolean }

/** An index of a configuration: every node of it, inner ones included. */
interface Nodes {
  has(path: VyosPath): boolean
  /** The leaves at or below a node. */
  below(path: VyosPath): readonly VyosPath[]
}

/**
 * The difference between what runs and what is wanted, limited to what is wanted: nodes that it does not name stay.
 * Deletions come first, so that what has to go never stands in the way of what comes.
 */
export function planChange(running: readonly VyosPath[], wanted: WantedConfiguration): readonly VyosChange[] {
  const nodes = indexOf(running)
  const deletions = wanted.absent.filter((path) => nodes.has(path)).map(deletionOf)
  const additions = wanted.present.filter((node) => !nodes.has(node.path))
  return [...deletions, ...withoutParents(additions.map((node): VyosChange => ({ kind: 'set', ...node })))]
}

/** What takes these changes back, given what ran before them. Valid whatever has been added by others since. */
export function planUndo(before: readonly VyosPath[], changes: readonly VyosChange[]): readonly UndoStep[] {
  const nodes = indexOf(before)
  const deletions = new Map<string, UndoStep>()
  const restorations: UndoStep[] = []
  for (const { kind, path, single, objects } of changes) {
    const name = path.slice(0, -1)
    const replaced =
      kind === 'delete'
        ? nodes.below(path)
        : single
          ? nodes.below(name).filter((leaf) => leaf.length === path.length)
          : []
    for (const leaf of replaced) restorations.push({ kind: 'set', path: leaf, single: kind === 'set' })
    if (kind === 'delete' || replaced.length > 0) continue
    const object = objects.map((length) => path.slice(0, length)).find((prefix) => !nodes.has(prefix))
    const gone = object ?? (single ? name : path)
    let created = 1
    while (created < gone.length && nodes.has(gone.slice(0, created))) created += 1
    deletions.set(keyOf(gone), { kind: 'delete', path: gone, created })
  }
  return [...[...deletions.values()].toReversed(), ...restorations]
}

/** What runs once all of the changes are active. VyOS keeps a node whose last child was deleted. */
export function applyChanges(before: readonly VyosPath[], changes: readonly VyosChange[]): readonly VyosPath[] {
  let paths = before
  for (const { kind, path, single } of changes) {
    const parent = path.slice(0, -1)
    if (kind === 'delete') {
      paths = paths.filter((leaf) => !startsWith(leaf, path))
      if (parent.length > 0 && !paths.some((leaf) => startsWith(leaf, parent))) paths = [...paths, parent]
      continue
    }
    const goes = (leaf: VyosPath) =>
      leaf.length < path.length
        ? startsWith(path, leaf)
        : single && leaf.length === path.length && startsWith(leaf, parent)
    const others = paths.filter((leaf) => !goes(leaf))
    paths = others.some((leaf) => startsWith(leaf, path)) ? others : [...others, path]
  }
  return paths
}

/** The commands that these steps still take, given what runs now: others may have changed things in between. */
export function resolveUndo(running: readonly VyosPath[], steps: readonly UndoStep[]): readonly VyosChange[] {
  const nodes = indexOf(running)
  const gone = steps.filter((step) => step.kind === 'delete' && nodes.has(step.path)).map((step) => step.path)
  const goes = (leaf: VyosPath) => gone.some((path) => startsWith(leaf, path))
  const changes = new Map<string, VyosChange>()
  for (const step of steps) {
    if (step.kind === 'set') {
      if (!nodes.has(step.path))
        changes.set(keyOf(step.path), { kind: 'set', path: step.path, single: step.single, objects: [] })
      continue
    }
    // VyOS keeps a node whose last child was deleted: what was made for the child goes with it.
    let length = step.created
    while (
      length < step.path.length &&
      !nodes.below(step.path.slice(0, length)).every((leaf) => goes(leaf) || leaf.length <= length)
    )
      length += 1
    const path = step.path.slice(0, length)
    if (nodes.has(path)) changes.set(keyOf(path), deletionOf(path))
  }
  return withoutCovered([...changes.values()])
}

/**
 * The commands that these steps take when several changes stand on each other: each step goes from what the one before
 * leaves, and only what that comes to is sent.
 */
export function resolveUndoInTurn(running: readonly VyosPath[], steps: readonly UndoStep[]): readonly VyosChange[] {
  const goal = steps.reduce((paths, step) => applyChanges(paths, resolveUndo(paths, [step])), running)
  const [now, then] = [indexOf(running), indexOf(goal)]
  const deletions = new Map<string, VyosChange>()
  for (const leaf of running) {
    if (then.has(leaf)) continue
    let length = 1
    while (then.has(leaf.slice(0, length))) length += 1
    const path = leaf.slice(0, length)
    deletions.set(keyOf(path), deletionOf(path))
  }
  const additions = goal.filter((leaf) => !now.has(leaf))
  return [
    ...deletions.values(),
    ...additions.map((path): VyosChange => ({ kind: 'set', path, single: false, objects: [] })),
  ]
}

/**
 * Commands that take back the wanted nodes that are there, when no record tells what was there before. An object
 * (a tunnel, a VLAN, a route) in which nothing else would be left goes whole, since VyOS refuses empty ones.
 */
export function planRemoval(running: readonly VyosPath[], wanted: WantedConfiguration): readonly VyosChange[] {
  const nodes = indexOf(running)
  const ours = wanted.present.filter((node) => nodes.has(node.path))
  const oursByKey = new Set(ours.map((node) => keyOf(node.path)))
  const onlyOurs = (object: VyosPath) => nodes.below(object).every((leaf) => oursByKey.has(keyOf(leaf)))
  const changes = new Map<string, VyosChange>()
  for (const node of ours.toReversed()) {
    const isEthernet = (length: number) => node.path[1] === 'ethernet' && length === 3
    const length = node.objects.find((candidate) => !isEthernet(candidate) && onlyOurs(node.path.slice(0, candidate)))
    // A VLAN that holds more than vmr's part was there before or is in use: it stays.
    if (length === undefined && node.objects.includes(node.path.length)) continue
    const leaf = node.single ? node.path.slice(0, -1) : node.path
    const path = length === undefined ? leaf : node.path.slice(0, length)
    changes.set(keyOf(path), deletionOf(path))
  }
  return withoutCovered([...changes.values()])
}

function deletionOf(path: VyosPath): VyosChange {
  return { kind: 'delete', path, single: false, objects: [] }
}

function indexOf(paths: readonly VyosPath[]): Nodes {
  const all = new Set<string>()
  for (const path of paths)
    for (let length = 1; length <= path.length; length += 1) all.add(keyOf(path.slice(0, length)))
  return {
    has: (path) => all.has(keyOf(path)),
    below: (prefix) => paths.filter((path) => startsWith(path, prefix)),
  }
}

/** `set … vif 10` says nothing beside `set … vif 10 address …`, and every command costs the guest a second or more. */
function withoutParents(changes: readonly VyosChange[]): readonly VyosChange[] {
  const inner = new Set<string>()
  for (const { path } of changes)
    for (let length = 1; length < path.length; length += 1) inner.add(keyOf(path.slice(0, length)))
  return changes.filter(({ path }) => !inner.has(keyOf(path)))
}

/** A deletion below another one would be answered with "Nothing to delete". */
function withoutCovered(changes: readonly VyosChange[]): readonly VyosChange[] {
  const deleted = new Set(changes.filter(({ kind }) => kind === 'delete').map(({ path }) => keyOf(path)))
  const covered = (path: VyosPath) => path.some((_, index) => index > 0 && deleted.has(keyOf(path.slice(0, index))))
  return changes.filter(({ kind, path }) => kind === 'set' || !covered(path))
}
