import { VmrError } from '../../errors/vmr-error.ts'
import { maxPathWords, type VyosPath } from './path.ts'

const maxLength = 8 * 1024 * 1024
const maxCommands = 200_000

/**
 * Reads what `show configuration commands` prints: one `set` a line, words separated by blanks, values in single
 * quotes (a single quote itself as `'\''`), which may hold line ends.
 *
 * @throws VmrError GUEST_NOT_READY naming the line that is none of this
 */
export function parseSetCommands(text: string): readonly VyosPath[] {
  if (text.length > maxLength) throw unreadable(0, `it is longer than ${maxLength} characters`)
  const paths: VyosPath[] = []
  let words: string[] = []
  let word: string | undefined
  let line = 1
  let index = 0

  const endWord = () => {
    if (word !== undefined) words.push(word)
    word = undefined
  }
  const endCommand = () => {
    endWord()
    if (words.length === 0) return
    const [verb, ...path] = words
    if (verb !== 'set' || path.length === 0)
      throw unreadable(line, `"${words.join(' ').slice(0, 100)}" is no set command`)
    if (path.length > maxPathWords) throw unreadable(line, `a path of more than ${maxPathWords} words`)
    if (paths.length >= maxCommands) throw unreadable(line, `it has more than ${maxCommands} commands`)
    paths.push(path)
    words = []
  }

  while (index < text.length) {
    const character = text[index]
    index += 1
    if (character === '\n') {
      endCommand()
      line += 1
    } else if (character === ' ' || character === '\t' || character === '\r') {
      endWord()
    } else if (character === "'" || character === '"') {
      const end = text.indexOf(character, index)
      if (end < 0) throw unreadable(line, 'a quote is not closed')
      const quoted = text.slice(index, end)
      word = (word ?? '') + quoted
      for (const symbol of quoted) if (symbol === '\n') line += 1
      index = end + 1
    } else if (character === '\\' && index < text.length) {
      word = (word ?? '') + text[index]
      index += 1
    } else {
      let end = index
      while (end < text.length && !' \t\r\n\'"\\'.includes(text[end] ?? ' ')) end += 1
      word = (word ?? '') + text.slice(index - 1, end)
      index = end
    }
  }
  endCommand()
  return paths
}

function unreadable(line: number, problem: string): VmrError {
  return new VmrError(
    'GUEST_NOT_READY',
    `the guest's configuration cannot be read${line > 0 ? ` at line ${line}` : ''}: ${problem}`,
  )
}
