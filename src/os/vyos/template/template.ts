import { isVmrError, VmrError } from '../../../errors/vmr-error.ts'
import { maxPathWords, renderCommand, startsWith, type VyosCommand } from '../path.ts'
import { findVariableType, type VariableType, variableTypeNames } from './variable-type.ts'

export interface TemplateVariable {
  readonly name: string
  /** As it is written: "string(64)". */
  readonly typeName: string
  readonly type: VariableType
  readonly fallback: string | undefined
  /** What it is, in the template's words. */
  readonly about: string
  readonly line: number
}

type WordPart =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'variable'; readonly name: string; readonly part: string | undefined }

interface WrittenCommand {
  readonly kind: VyosCommand['kind']
  readonly words: readonly (readonly WordPart[])[]
  readonly line: number
}

/** VyOS commands with typed variables in them. */
export interface Template {
  readonly file: string
  readonly variables: ReadonlyMap<string, TemplateVariable>
  readonly commands: readonly WrittenCommand[]
}

/** A command with its variables filled in, and the line it stands in. */
export interface FilledCommand extends VyosCommand {
  readonly line: number
}

/** A guest without KVM takes seconds for each. */
const maxCommands = 1000
const maxShownProblems = 10

const declaration =
  /^#\s*var\s+([a-z][a-z0-9_]{0,40})\s*:\s*([a-z][a-z0-9-]*)(?:\((\d{1,4})\))?(?:\s*=\s*(?:'([^']*)'|(\S+)))?(?:\s+(\S.*))?$/

/**
 * Reads a template: `set` and `delete` lines as VyOS shows them, comments from # on, and declarations of variables,
 * `# var NAME: TYPE  what it is` or `# var NAME: TYPE = DEFAULT  what it is`. `{{NAME}}` stands for a value anywhere in
 * a word, bare or in single quotes. What separates words is decided here, before there are values.
 *
 * @throws VmrError CONFIG_INVALID that names every line with a defect
 */
export function parseTemplate(source: string, file: string): Template {
  const problems: string[] = []
  const variables = new Map<string, TemplateVariable>()
  const commands: WrittenCommand[] = []
  for (const [index, raw] of source.split(/\r?\n/).entries()) {
    const at = { line: index + 1, tell: (words: string) => void problems.push(`${file}:${index + 1}: ${words}`) }
    const text = raw.trim()
    if (text === '') continue
    if (!text.startsWith('#')) {
      const command = parseCommand(text, at)
      if (command !== undefined) commands.push(command)
    } else if (/^#\s*var\s/.test(text)) {
      const variable = parseDeclaration(text, at)
      if (variable === undefined) continue
      const before = variables.get(variable.name)
      if (before !== undefined) at.tell(`${variable.name} is declared in line ${before.line} already`)
      else variables.set(variable.name, variable)
    }
  }
  problems.push(...problemsOfUse(file, variables, commands))
  if (commands.length > maxCommands) problems.push(`${file}: more than ${maxCommands} commands`)
  if (commands.length === 0 && problems.length === 0) problems.push(`${file}: there is no command in it`)
  if (problems.length > 0) throw refused('CONFIG_INVALID', problems, 'Correct the template.')
  return { file, variables, commands }
}

/**
 * Puts values into a template. Each becomes a word, or part of one, and never anything else.
 *
 * @throws VmrError USAGE that names every value that is missing, unknown or of another type, with the line of its
 *   declaration; CONFIG_INVALID for commands that cannot become active together
 */
export function fillTemplate(
  { file, variables, commands }: Template,
  given: ReadonlyMap<string, string>,
): readonly FilledCommand[] {
  const problems: string[] = []
  const values = new Map<string, string>()
  for (const { name, type, fallback, about, line } of variables.values()) {
    const value = given.get(name) ?? fallback
    if (value === undefined)
      problems.push(
        `${file}:${line}: ${name} has no value${about === '' ? '' : ` (${about})`}: it must be ${type.wanted}`,
      )
    else if (!type.accepts(value))
      problems.push(`${file}:${line}: ${name} is ${JSON.stringify(value.slice(0, 80))}: it must be ${type.wanted}`)
    else values.set(name, value)
  }
  const known = [...variables.keys()].join(', ') || 'none'
  for (const name of given.keys())
    if (!variables.has(name))
      problems.push(`${file}: it has no variable ${JSON.stringify(name.slice(0, 40))}, but ${known}`)
  if (problems.length > 0) throw refused('USAGE', problems, 'Give each variable a value of its type: --set NAME=VALUE')

  const filled = commands.map(({ kind, words, line }): FilledCommand => {
    const path = words.map((parts) =>
      parts
        .map((part) => {
          if (part.kind === 'text') return part.text
          const value = values.get(part.name) ?? ''
          return part.part === undefined ? value : (variables.get(part.name)?.type.parts[part.part]?.(value) ?? '')
        })
        .join(''),
    )
    return { kind, path, line }
  })
  problems.push(...problemsOfCommands(file, filled))
  if (problems.length > 0) throw refused('CONFIG_INVALID', problems, 'Correct the template.')
  return filled
}

/** @throws VmrError CONFIG_INVALID for a line that sets up an interface that the VM will not have: VyOS fails in the middle of a commit then. */
export function requireNics(file: string, commands: readonly FilledCommand[], nics: number): void {
  const problems = commands.flatMap(({ kind, path, line }) => {
    const index = kind === 'set' ? ethernetIndex(path) : undefined
    return index === undefined || index < nics
      ? []
      : [`${file}:${line}: the VM has no eth${index}, but ${nics} NICs from eth0 on`]
  })
  if (problems.length > 0)
    throw refused('CONFIG_INVALID', problems, 'Name an interface that it has, or give it another NIC.')
}

function ethernetIndex(path: VyosCommand['path']): number | undefined {
  const index =
    path[0] === 'interfaces' && path[1] === 'ethernet' ? /^eth(\d{1,4})$/.exec(path[2] ?? '')?.[1] : undefined
  return index === undefined ? undefined : Number(index)
}

interface Place {
  readonly line: number
  tell(words: string): void
}

function parseDeclaration(text: string, { line, tell }: Place): TemplateVariable | undefined {
  const match = declaration.exec(text)
  if (match === null) {
    tell('a variable is declared as "# var NAME: TYPE  what it is", its name in a-z, 0-9 and _')
    return undefined
  }
  const [, name = '', typeWord = '', length, quoted, bare, about = ''] = match
  const typeName = length === undefined ? typeWord : `${typeWord}(${length})`
  const type = findVariableType(typeWord, length)
  if (type === undefined) {
    tell(`${name} has the unknown type ${typeName}; known: ${variableTypeNames.join(', ')}`)
    return undefined
  }
  const fallback = quoted ?? bare
  if (fallback !== undefined && !type.accepts(fallback)) tell(`the default of ${name} must be ${type.wanted}`)
  return { name, typeName, type, fallback, about, line }
}

function parseCommand(text: string, { line, tell }: Place): WrittenCommand | undefined {
  const [, kind, rest = ''] = /^(set|delete)\s+(.*)$/.exec(text) ?? []
  if (kind !== 'set' && kind !== 'delete') {
    tell('a line is a set or delete command with a path, or a comment from # on')
    return undefined
  }
  const words: WordPart[][] = []
  let word: WordPart[] | undefined
  let index = 0
  while (index < rest.length) {
    const character = rest[index] ?? ''
    if (character === ' ' || character === '\t') {
      if (word !== undefined) words.push(word)
      word = undefined
      index += 1
      continue
    }
    word ??= []
    if (character === "'") {
      const end = rest.indexOf("'", index + 1)
      if (end < 0) {
        tell('a quote is not closed')
        return undefined
      }
      const parts = parseParts(rest.slice(index + 1, end), tell)
      if (parts === undefined) return undefined
      word.push(...parts)
      index = end + 1
    } else if ('"\\`'.includes(character)) {
      tell(`write ${character} nowhere: VyOS takes it in no value, and values stand in single quotes`)
      return undefined
    } else {
      // Blanks in braces do not end a word.
      const [bare = ''] = /^(?:\{\{[^{}'\n]*\}\}|[^ \t'"\\`])+/.exec(rest.slice(index)) ?? []
      const parts = parseParts(bare, tell)
      if (parts === undefined) return undefined
      word.push(...parts)
      index += bare.length
    }
  }
  if (word !== undefined) words.push(word)
  if (words.length > maxPathWords) {
    tell(`a path of more than ${maxPathWords} words`)
    return undefined
  }
  return { kind, words, line }
}

/** Text with `{{NAME}}` and `{{NAME.PART}}` in it. */
function parseParts(text: string, tell: Place['tell']): readonly WordPart[] | undefined {
  const parts: WordPart[] = []
  let index = 0
  for (const match of text.matchAll(/\{\{\s*([a-z][a-z0-9_]{0,40})(?:\.([a-z]{1,20}))?\s*\}\}/g)) {
    if (match.index > index) parts.push({ kind: 'text', text: text.slice(index, match.index) })
    parts.push({ kind: 'variable', name: match[1] ?? '', part: match[2] })
    index = match.index + match[0].length
  }
  if (index < text.length) parts.push({ kind: 'text', text: text.slice(index) })
  if (parts.some((part) => part.kind === 'text' && /\{\{|\}\}/.test(part.text))) {
    tell('a variable is written as {{NAME}} or {{NAME.PART}}')
    return undefined
  }
  return parts
}

function problemsOfUse(
  file: string,
  variables: Template['variables'],
  commands: readonly WrittenCommand[],
): readonly string[] {
  const problems: string[] = []
  const used = new Set<string>()
  for (const { words, line } of commands) {
    for (const part of words.flat()) {
      if (part.kind === 'text') continue
      used.add(part.name)
      const variable = variables.get(part.name)
      if (variable === undefined) problems.push(`${file}:${line}: {{${part.name}}} is not declared`)
      else if (part.part === undefined ? !variable.type.whole : !Object.hasOwn(variable.type.parts, part.part)) {
        const forms = [
          ...(variable.type.whole ? [''] : []),
          ...Object.keys(variable.type.parts).map((name) => `.${name}`),
        ]
        const shown = forms.map((form) => `{{${part.name}${form}}}`).join(' and ')
        problems.push(`${file}:${line}: ${part.name} is ${variable.typeName}, and of it there is ${shown}`)
      }
    }
  }
  for (const { name, line } of variables.values())
    if (!used.has(name)) problems.push(`${file}:${line}: no command uses ${name}`)
  return problems
}

function problemsOfCommands(file: string, commands: readonly FilledCommand[]): readonly string[] {
  const problems: string[] = []
  const deletions = commands.filter(({ kind }) => kind === 'delete')
  for (const command of commands) {
    const { kind, path, line } = command
    try {
      renderCommand(command)
    } catch (error) {
      if (!isVmrError(error)) throw error
      problems.push(`${file}:${line}: ${error.message}`)
    }
    // VyOS replaces it by its hash, and vmr would read back that it is not active.
    if (path.at(-2) === 'plaintext-password')
      problems.push(`${file}:${line}: VyOS keeps no plaintext-password: give the encrypted-password, of mkpasswd`)
    const gone = kind === 'set' && deletions.find((deletion) => startsWith(path, deletion.path))
    if (gone) problems.push(`${file}:${line}: what line ${gone.line} deletes is set here, and all is one commit`)
  }
  return problems
}

function refused(code: 'CONFIG_INVALID' | 'USAGE', problems: readonly string[], hint: string): VmrError {
  const more = problems.length - maxShownProblems
  const shown = problems.slice(0, maxShownProblems).join('\n')
  return new VmrError(code, more > 0 ? `${shown}\nand ${more} more` : shown, { hint })
}
