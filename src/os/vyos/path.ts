import { VmrError } from '../../errors/vmr-error.ts'

/** The words of one node of VyOS's configuration, values included: `['interfaces', 'ethernet', 'eth0', 'mtu', '1500']`. */
export type VyosPath = readonly string[]

export interface VyosCommand {
  readonly kind: 'set' | 'delete'
  readonly path: VyosPath
}

const maxWordLength = 4000
/** VyOS's own paths have a dozen; what a guest sends may have any number. */
export const maxPathWords = 64

/** A path as one string, for sets and maps: no word can hold a NUL. */
export function keyOf(path: VyosPath): string {
  return path.join('\0')
}

export function startsWith(path: VyosPath, prefix: VyosPath): boolean {
  return prefix.length <= path.length && prefix.every((word, index) => path[index] === word)
}

/** Whether the configuration that is active afterwards has what was set, and no longer what was deleted. */
export function isDone(command: VyosCommand, after: readonly VyosPath[]): boolean {
  const there = after.some((path) => startsWith(path, command.path))
  return command.kind === 'set' ? there : !there
}

/**
 * One configuration command, as typed or written in a script: node names bare, every other word in single quotes.
 *
 * @throws VmrError CONFIG_INVALID for a word that VyOS cannot hold or that could end the quotes: VyOS's CLI has no way
 *   to write a single quote inside a value, and evaluates double quotes, backslashes and backquotes once more.
 */
export function renderCommand(command: VyosCommand): string {
  if (command.path.length === 0) throw new VmrError('INTERNAL', 'a configuration command without a path')
  return `${command.kind} ${command.path.map(renderWord).join(' ')}`
}

/** One line as `show configuration commands` has it, for reading: without secrets, and without what acts on a terminal. */
export function showPath(path: VyosPath): string {
  return showCommand({ kind: 'set', path })
}

/** {@link showPath} for either kind of command. */
export function showCommand({ kind, path }: VyosCommand): string {
  const words = path.map((word, index) => (isSecret(path, index) ? '********' : word))
  return `${kind} ${words.map(showWord).join(' ')}`
}

function isSecret(path: VyosPath, index: number): boolean {
  const name = path[index - 1] ?? ''
  const ofApi = name === 'key' && startsWith(path, ['service', 'https', 'api'])
  return index === path.length - 1 && (ofApi || /(?:password|secret|passphrase|private-key|psk)$/.test(name))
}

function showWord(word: string): string {
  if (bareWord.test(word)) return word
  return `'${word.replaceAll("'", "'\\''").replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, '\ufffd')}'`
}

const bareWord = /^[a-z][a-z0-9-]*$/

function renderWord(word: string): string {
  if (word.length === 0 || word.length > maxWordLength || /[\u0000-\u001f\u007f-\u009f'"\\`]/.test(word)) {
    throw new VmrError('CONFIG_INVALID', `VyOS cannot be given the value ${JSON.stringify(word.slice(0, 80))}`, {
      hint: 'Values must not be empty, and must not hold quotes, backslashes, backquotes or control characters.',
    })
  }
  return bareWord.test(word) ? word : `'${word}'`
}
