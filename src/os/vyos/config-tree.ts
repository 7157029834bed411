import { VmrError } from '../../errors/vmr-error.ts'
import { maxPathWords, type VyosPath } from './path.ts'

const maxPaths = 200_000

/**
 * Reads a configuration as VyOS's HTTP API shows it into the paths of its leaves and of its empty nodes: an object is a
 * node, its names the words below; a text is a value, a list is several.
 *
 * @throws VmrError GUEST_NOT_READY for what is none of this
 */
export function parseConfigTree(tree: unknown): readonly VyosPath[] {
  const paths: VyosPath[] = []
  const add = (path: VyosPath) => {
    if (path.length > maxPathWords) throw unreadable(`a path of more than ${maxPathWords} words`)
    if (paths.length >= maxPaths) throw unreadable(`it has more than ${maxPaths} nodes`)
    paths.push(path)
  }
  const walk = (node: unknown, path: VyosPath): void => {
    if (typeof node === 'string') {
      add([...path, node])
      return
    }
    if (Array.isArray(node)) {
      for (const value of node as readonly unknown[]) {
        if (typeof value !== 'string') throw unreadable(`${path.join(' ').slice(0, 100)} has a value that is no text`)
        add([...path, value])
      }
      return
    }
    if (typeof node !== 'object' || node === null)
      throw unreadable(`${path.join(' ').slice(0, 100)} is neither a node nor a value`)
    if (path.length > maxPathWords) throw unreadable(`a path of more than ${maxPathWords} words`)
    const children = Object.entries(node)
    if (children.length === 0 && path.length > 0) add(path)
    for (const [word, child] of children) walk(child, [...path, word])
  }
  if (typeof tree !== 'object' || Array.isArray(tree)) throw unreadable('the whole is no node')
  walk(tree, [])
  return paths
}

function unreadable(problem: string): VmrError {
  return new VmrError('GUEST_NOT_READY', `the guest's configuration cannot be read: ${problem}`)
}
