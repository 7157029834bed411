import { VmrError } from '../../errors/vmr-error.ts'
import { maxPathWords, type VyosPath } from './path.ts'

const maxLength = 8 * 1024 * 1024
const maxDepth = 64

/**
 * Reads a configuration in braces, as in config.boot and as `show configuration` prints it, into the paths of its
 * leaves and of its empty nodes. Comments, the version footer among them, are passed over.
 *
 * @throws VmrError CONFIG_INVALID with the line of what does not fit
 */
export function parseConfigBoot(text: string): readonly VyosPath[] {
  if (text.length > maxLength) throw invalid(1, `longer than ${maxLength} characters`)
  const paths: VyosPath[] = []
  /** The path so far, and how many words each open brace added to it. */
  const here: string[] = []
  const open: { readonly words: number; children: number }[] = []
  let words: string[] = []
  let line = 1
  let index = 0

  const countChild = () => {
    const parent = open.at(-1)
    if (parent !== undefined) parent.children += 1
  }
  // Else a few long lines would be many long paths.
  const checkLength = () => {
    if (here.length + words.length > maxPathWords) throw invalid(line, `a path of more than ${maxPathWords} words`)
  }
  const endLeaf = () => {
    if (words.length === 0) return
    checkLength()
    paths.push([...here, ...words])
    countChild()
    words = []
  }
  const comment = (end: string): void => {
    const stop = text.indexOf(end, index)
    if (stop < 0) {
      if (end === '*/') throw invalid(line, 'a comment is not closed')
      index = text.length
      return
    }
    for (let at = index; at < stop; at += 1) if (text[at] === '\n') line += 1
    index = end === '\n' ? stop : stop + end.length
  }
  const quoted = (): string => {
    const start = line
    let value = ''
    for (;;) {
      const character = text[index]
      index += 1
      if (character === undefined) throw invalid(start, 'a quote is not closed')
      if (character === '"') return value
      if (character === '\n') line += 1
      if (character === '\\' && (text[index] === '"' || text[index] === '\\')) {
        value += text[index]
        index += 1
      } else {
        value += character
      }
    }
  }

  while (index < text.length) {
    const character = text[index]
    index += 1
    switch (character) {
      case '\n':
        endLeaf()
        line += 1
        break
      case ' ':
      case '\t':
      case '\r':
        break
      case '{':
        if (words.length === 0) throw invalid(line, 'a brace opens without a name')
        if (open.length >= maxDepth) throw invalid(line, `nested deeper than ${maxDepth}`)
        checkLength()
        countChild()
        here.push(...words)
        open.push({ words: words.length, children: 0 })
        words = []
        break
      case '}': {
        endLeaf()
        const closed = open.pop()
        if (closed === undefined) throw invalid(line, 'a brace closes that was never opened')
        if (closed.children === 0) paths.push([...here])
        here.length -= closed.words
        break
      }
      case '"':
        words.push(quoted())
        break
      default: {
        if (character === '/' && text[index] === '/') {
          comment('\n')
          break
        }
        if (character === '/' && text[index] === '*') {
          index += 1
          comment('*/')
          break
        }
        let end = index
        while (end < text.length && !' \t\r\n{}"'.includes(text[end] ?? ' ')) end += 1
        words.push(text.slice(index - 1, end))
        index = end
      }
    }
  }
  endLeaf()
  if (open.length > 0) throw invalid(line, `${open.length} braces are not closed`)
  return paths
}

function invalid(line: number, problem: string): VmrError {
  return new VmrError('CONFIG_INVALID', `the VyOS configuration cannot be read at line ${line}: ${problem}`)
}
