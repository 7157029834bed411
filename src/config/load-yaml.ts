import { open } from 'node:fs/promises'
import { isAlias, isMap, isPair, isScalar, isSeq, LineCounter, type Node, type Pair, parseDocument, visit } from 'yaml'
import type { z } from 'zod'
import { VmrError } from '../errors/vmr-error.ts'

/** Definitions, testbeds and matrices are a few KiB; anything near this was not written as configuration. */
export const maxYamlBytes = 1024 * 1024

export interface YamlTextOptions {
  /** Line of the containing file on which the text starts, when the YAML is part of one. Default 1. */
  readonly firstLine?: number
}

/**
 * Reads a YAML file and checks it with `schema`.
 *
 * @throws VmrError CONFIG_NOT_FOUND when there is no such file; CONFIG_INVALID, naming file, line, column and field, when
 * it cannot be read, is larger than {@link maxYamlBytes}, is not UTF-8 or YAML 1.2, or does not fit the schema.
 */
export async function loadYaml<S extends z.ZodType>(path: string, schema: S): Promise<z.output<S>> {
  return parseYaml(await readConfigText(path), schema, path)
}

/** {@link loadYaml} for a text at hand; `name` is what messages call it. */
export function parseYaml<S extends z.ZodType>(
  text: string,
  schema: S,
  name: string,
  { firstLine = 1 }: YamlTextOptions = {},
): z.output<S> {
  const lines = new LineCounter()
  const at = (offset: number, message: string, field = '') => {
    const { line, col } = lines.linePos(offset)
    const place = `${name}:${line + firstLine - 1}:${col}`
    return new VmrError('CONFIG_INVALID', `${place}: ${field === '' ? '' : `${field}: `}${message}`, {
      hint: `Correct ${field === '' ? 'the file' : field} at line ${line + firstLine - 1} and try again.`,
    })
  }
  if (Buffer.byteLength(text) > maxYamlBytes) throw tooLarge(name)
  const document = parseDocument(text, {
    lineCounter: lines,
    uniqueKeys: true,
    strict: true,
    prettyErrors: false,
    version: '1.2',
    schema: 'core',
  })
  const [defect] = [...document.errors, ...document.warnings]
  if (defect !== undefined) throw at(defect.pos[0], defect.message.replace(/\.$/, ''))
  visit(document, {
    Alias: (_key, node) => {
      if (node.resolve(document) === undefined)
        throw at(node.range?.[0] ?? 0, `alias *${node.source} names no anchor before it`)
    },
  })
  let data: unknown
  try {
    data = document.toJS({ maxAliasCount: 100 })
  } catch (error) {
    // The one thing left to fail is alias expansion: a cycle, or more copies than any configuration needs.
    throw at(document.contents?.range?.[0] ?? 0, `aliases: ${error instanceof Error ? error.message : String(error)}`)
  }
  const result = schema.safeParse(data)
  if (result.success) return result.data

  const resolve = (node: unknown) => (isAlias(node) ? node.resolve(document) : node)
  const problems = result.error.issues
    .map(flattenIssue)
    .map((issue) => {
      const unknownKey = issue.code === 'unrecognized_keys' ? issue.keys[0] : undefined
      const path = unknownKey === undefined ? issue.path : [...issue.path, unknownKey]
      const offset = offsetOf(document.contents, path, resolve, unknownKey !== undefined)
      const message = unknownKey === undefined ? lowerFirst(issue.message) : `there is no such field`
      return { offset, field: fieldName(path), message }
    })
    .sort((left, right) => left.offset - right.offset)
  const [first] = problems
  if (first === undefined) throw new VmrError('INTERNAL', `${name}: the schema refused the file without a reason`)
  const more = problems.length > 1 ? ` (and ${problems.length - 1} more)` : ''
  throw at(first.offset, `${first.message}${more}`, first.field)
}

/** Whole file as UTF-8 text, at most {@link maxYamlBytes}. Errors as in {@link loadYaml}. */
export async function readConfigText(path: string): Promise<string> {
  let bytes: Buffer
  try {
    const file = await open(path, 'r')
    try {
      // One byte more than the limit tells a file at the limit from a larger one, and bounds /dev/zero too.
      const buffer = Buffer.alloc(maxYamlBytes + 1)
      let length = 0
      while (length < buffer.length) {
        const { bytesRead } = await file.read(buffer, length, buffer.length - length, null)
        if (bytesRead === 0) break
        length += bytesRead
      }
      bytes = buffer.subarray(0, length)
    } finally {
      await file.close()
    }
  } catch (error) {
    throw unreadable(path, error)
  }
  if (bytes.length > maxYamlBytes) throw tooLarge(path)
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (error) {
    throw new VmrError('CONFIG_INVALID', `${path}: not UTF-8 text`, {
      hint: 'Save the file with UTF-8 encoding.',
      cause: error,
    })
  }
}

function unreadable(path: string, error: unknown): VmrError {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  if (code === 'ENOENT' || code === 'ENOTDIR')
    return new VmrError('CONFIG_NOT_FOUND', `${path}: no such file`, { hint: 'Check the path.', cause: error })
  const reason = code === 'EISDIR' ? 'is a directory' : error instanceof Error ? error.message : String(error)
  return new VmrError('CONFIG_INVALID', `${path}: cannot be read: ${reason}`, {
    hint: 'Name a file that you may read.',
    cause: error,
  })
}

function tooLarge(name: string): VmrError {
  return new VmrError('CONFIG_INVALID', `${name}: larger than the limit of ${maxYamlBytes / 1024 / 1024} MiB`, {
    hint: 'Name a configuration file.',
  })
}

type Issue = z.core.$ZodIssue

/** In a union the branch that got furthest says what is wrong; "Invalid input" does not. */
function flattenIssue(issue: Issue): Issue {
  if (issue.code !== 'invalid_union' || issue.errors.length === 0) return issue
  const branches = issue.errors.map((branch) => branch.map(flattenIssue))
  const depth = (branch: readonly Issue[]) => Math.max(...branch.map((inner) => inner.path.length), 0)
  const deepest = Math.max(...branches.map(depth))
  const [inner] = branches.find((branch) => deepest > 0 && depth(branch) === deepest) ?? []
  if (inner !== undefined) return { ...inner, path: [...issue.path, ...inner.path] }
  const messages = new Set(branches.flatMap((branch) => branch.map((each) => lowerFirst(each.message))))
  return { ...issue, message: [...messages].join(', or ') }
}

function lowerFirst(text: string): string {
  return /^[A-Z][a-z]/.test(text) ? text.charAt(0).toLowerCase() + text.slice(1) : text
}

/** "nics[1].queues". */
function fieldName(path: readonly PropertyKey[]): string {
  return path.reduce<string>((name, part) => {
    if (typeof part === 'number') return `${name}[${part}]`
    return name === '' ? String(part) : `${name}.${String(part)}`
  }, '')
}

/** Offset of the deepest node that exists on the path: where a field is missing, its parent is the place to look. */
function offsetOf(
  root: Node | null,
  path: readonly PropertyKey[],
  resolve: (node: unknown) => unknown,
  ofKey: boolean,
): number {
  let node: unknown = root
  let offset = root?.range?.[0] ?? 0
  for (const [index, part] of path.entries()) {
    const container = resolve(node)
    if (isMap(container)) {
      const pair = container.items.find((item) => isScalar(item.key) && String(item.key.value) === String(part))
      if (pair === undefined) return offset
      const start = startOf(pair, ofKey && index === path.length - 1)
      offset = start ?? offset
      node = pair.value
    } else if (isSeq(container)) {
      node = container.items[Number(part)]
      if (node === undefined) return offset
      offset = rangeStart(node) ?? offset
    } else {
      return offset
    }
  }
  return offset
}

function startOf(pair: Pair, ofKey: boolean): number | undefined {
  return ofKey ? rangeStart(pair.key) : (rangeStart(pair.value) ?? rangeStart(pair.key))
}

function rangeStart(node: unknown): number | undefined {
  if (isPair(node)) return rangeStart(node.key)
  return typeof node === 'object' && node !== null && 'range' in node && Array.isArray(node.range)
    ? Number(node.range[0])
    : undefined
}
