import { XMLParser, XMLValidator } from 'fast-xml-parser'
import type { ErrorCode } from '../../errors/codes.ts'
import { isVmrError, VmrError } from '../../errors/vmr-error.ts'
import { isXmlName } from './characters.ts'
import type { XmlElement, XmlNode } from './element.ts'
import { decodeReferences, scanXml } from './scan.ts'

/** Where XML came from: what messages call it, and which error its defects are. */
export interface XmlSource {
  readonly name: string
  readonly code: ErrorCode
  /** What to do about a defect; the default asks for the place named in the message to be corrected. */
  readonly hint?: string
}

export interface XmlPosition {
  /** Counted from 1. */
  readonly line: number
  /** Counted from 1, in UTF-16 units. */
  readonly column: number
}

export interface XmlDocument {
  readonly root: XmlElement
  /** Comments that stand before the root element, in order, each with the line it starts on. */
  readonly leadingComments: readonly { readonly text: string; readonly position: XmlPosition }[]
}

/** Domain XML of a guest with hundreds of devices stays below 1 MiB; libvirt itself refuses strings above 16 MiB. */
export const maxXmlBytes = 2 * 1024 * 1024

const positions = new WeakMap<XmlElement, XmlPosition>()

/** Where a parsed element's tag starts; undefined for elements that were built. */
export function positionOf(element: XmlElement): XmlPosition | undefined {
  return positions.get(element)
}

/** An error that points at an element of `source`: "file:line:column: problem". */
export function xmlError(source: XmlSource, element: XmlElement | undefined, problem: string): VmrError {
  return errorAt(source, element === undefined ? undefined : positionOf(element), problem)
}

function errorAt(source: XmlSource, position: XmlPosition | undefined, problem: string, cause?: unknown): VmrError {
  const place = position === undefined ? source.name : `${source.name}:${position.line}:${position.column}`
  const hint =
    source.hint ??
    (position === undefined ? 'Correct the XML and try again.' : `Correct line ${position.line} and try again.`)
  return new VmrError(source.code, `${place}: ${problem}`, { hint, cause })
}

const textKey = '#text'
const cdataKey = '#cdata'
const commentKey = '#comment'
const attributesKey = ':@'
// Declared as Symbol, the wrapper type, where the primitive is meant.
const metaData = XMLParser.getMetaDataSymbol() as symbol

const parser = new XMLParser({
  preserveOrder: true,
  ignoreAttributes: false,
  attributeNamePrefix: '',
  parseTagValue: false,
  parseAttributeValue: false,
  trimValues: false,
  textNodeName: textKey,
  cdataPropName: cdataKey,
  commentPropName: commentKey,
  ignoreDeclaration: true,
  ignorePiTags: true,
  captureMetaData: true,
  entityDecoder: {
    decode: decodeReferences,
    setExternalEntities: () => undefined,
    addInputEntities: () => undefined,
    setXmlVersion: () => undefined,
    reset: () => undefined,
  },
})

/**
 * Parses one whole document strictly. Element order, attributes, comments, CDATA and unknown elements are kept; the
 * declaration, processing instructions and the blanks that only indent elements are not.
 *
 * @throws VmrError with the source's code, naming line and column: not well-formed, more than one root, a DOCTYPE (no
 * libvirt XML has one, and entity tricks need it), a character XML forbids, an unknown entity, or beyond
 * {@link maxXmlBytes}.
 */
export function parseXml(text: string, source: XmlSource): XmlElement {
  return parseXmlDocument(text, source).root
}

/** {@link parseXml}, with the comments before the root. */
export function parseXmlDocument(text: string, source: XmlSource): XmlDocument {
  if (text.length > maxXmlBytes)
    throw errorAt(source, undefined, `the XML is larger than the limit of ${maxXmlBytes / 1024 / 1024} MiB`)
  // A byte order mark is an encoding signature, not content (XML 1.0 section 4.3.3).
  const xml = text.startsWith('\u{FEFF}') ? text.slice(1) : text
  const positionAt = positionFinder(xml)
  const scan = scanXml(xml)
  if (scan.defect !== undefined) throw errorAt(source, positionAt(scan.defect.index), scan.defect.problem)
  const verdict = XMLValidator.validate(xml)
  if (verdict !== true)
    throw errorAt(source, { line: verdict.err.line, column: verdict.err.col ?? 1 }, withoutFullStop(verdict.err.msg))
  let nodes: unknown
  try {
    nodes = parser.parse(xml)
  } catch (error) {
    if (isVmrError(error)) throw error
    throw errorAt(source, undefined, error instanceof Error ? error.message : String(error), error)
  }
  const top = toNodes(nodes, source, positionAt)
  const roots = top.filter((node): node is XmlElement => node.kind === 'element')
  const [root, second] = roots
  if (root === undefined) throw errorAt(source, { line: 1, column: 1 }, 'there is no element')
  if (second !== undefined)
    throw xmlError(source, second, `<${second.name}> is a second root element beside <${root.name}>`)
  return {
    root,
    leadingComments: scan.prologueComments.map(({ text: words, index }) => ({
      text: words,
      position: positionAt(index),
    })),
  }
}

function withoutFullStop(message: string): string {
  return message.replace(/\.$/, '')
}

function positionFinder(xml: string): (index: number) => XmlPosition {
  let lineStarts: number[] | undefined
  return (index) => {
    if (lineStarts === undefined) {
      lineStarts = [0]
      for (const newline of xml.matchAll(/\r\n?|\n/g)) lineStarts.push(newline.index + newline[0].length)
    }
    let low = 0
    let high = lineStarts.length - 1
    while (low < high) {
      const middle = Math.ceil((low + high) / 2)
      if ((lineStarts[middle] ?? 0) <= index) low = middle
      else high = middle - 1
    }
    return { line: low + 1, column: index - (lineStarts[low] ?? 0) + 1 }
  }
}

function toNodes(raw: unknown, source: XmlSource, positionAt: (index: number) => XmlPosition): readonly XmlNode[] {
  if (!Array.isArray(raw)) return []
  const nodes = raw.map((item) => toNode(item, source, positionAt))
  const isMixed = nodes.some((node) => node.kind === 'cdata' || (node.kind === 'text' && node.text.trim() !== ''))
  const hasMarkup = nodes.some((node) => node.kind === 'element' || node.kind === 'comment')
  return isMixed || !hasMarkup ? nodes : nodes.filter((node) => node.kind !== 'text')
}

function toNode(raw: unknown, source: XmlSource, positionAt: (index: number) => XmlPosition): XmlNode {
  if (typeof raw !== 'object' || raw === null)
    throw new VmrError('INTERNAL', `the XML parser gave ${typeof raw} for a node of ${source.name}`)
  const node = raw as Readonly<Record<string | symbol, unknown>>
  if (textKey in node) return { kind: 'text', text: String(node[textKey]) }
  if (cdataKey in node) return { kind: 'cdata', text: innerText(node[cdataKey]) }
  if (commentKey in node) return { kind: 'comment', text: innerText(node[commentKey]) }
  const name = Object.keys(node).find((key) => key !== attributesKey) ?? ''
  const start = (node[metaData] as { readonly startIndex?: number } | undefined)?.startIndex
  const position = start === undefined ? undefined : positionAt(start)
  const attributes = (node[attributesKey] ?? {}) as Readonly<Record<string, string>>
  for (const given of [name, ...Object.keys(attributes)]) {
    if (!isXmlName(given)) throw errorAt(source, position, `${JSON.stringify(given)} is no usable XML name`)
  }
  const result: XmlElement = {
    kind: 'element',
    name,
    attributes,
    children: toNodes(node[name], source, positionAt),
  }
  if (position !== undefined) positions.set(result, position)
  return result
}

function innerText(raw: unknown): string {
  const [first] = Array.isArray(raw) ? raw : []
  return typeof first === 'object' && first !== null ? String((first as Record<string, unknown>)[textKey] ?? '') : ''
}
