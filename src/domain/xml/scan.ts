import { codePointName, forbiddenCharacterIndex } from './characters.ts'

interface PrologueComment {
  readonly text: string
  /** Offset of its "<!--". */
  readonly index: number
}

interface LexicalDefect {
  readonly index: number
  readonly problem: string
}

export type ScanResult =
  | { readonly defect: LexicalDefect }
  | { readonly defect: undefined; readonly prologueComments: readonly PrologueComment[] }

// One token a match. Every alternative starts differently or fails at once, so a hostile text costs linear time.
const token =
  /<!--(?<comment>.*?)-->|<!\[CDATA\[.*?\]\]>|<\?.*?\?>|<!(?<declaration>DOCTYPE)?|(?<tag><(?:[^<>"']*(?:"[^"]*"|'[^']*'))*[^<>"']*>)|(?<text>[^<]+)/sy

const reference = /&(?:(?:lt|gt|amp|quot|apos)|#(?:x[0-9A-Fa-f]{1,6}|[0-9]{1,7}));/y

/**
 * Checks what fast-xml-parser's validator leaves unchecked and XML 1.0 forbids: control characters, a DOCTYPE (legal,
 * but no libvirt XML has one and entity tricks need it), "--" in comments, "]]>" in text, "<" in attribute values,
 * references other than the five named and the numeric ones, and text outside the root element.
 */
export function scanXml(xml: string): ScanResult {
  const forbidden = forbiddenCharacterIndex(xml)
  if (forbidden !== -1) return defectAt(forbidden, `character ${codePointName(xml, forbidden)} is not allowed`)
  const prologueComments: PrologueComment[] = []
  let depth = 0
  let hasRoot = false
  token.lastIndex = 0
  while (token.lastIndex < xml.length) {
    const index = token.lastIndex
    const match = token.exec(xml)
    if (match === null) return defectAt(index, 'the markup that starts here is not closed')
    const { comment, declaration, tag, text } = match.groups ?? {}
    if (comment !== undefined) {
      const dashes = `${comment}-`.indexOf('--')
      if (dashes !== -1) return defectAt(index + '<!--'.length + dashes, 'a comment cannot hold "--"')
      if (!hasRoot) prologueComments.push({ text: comment, index })
    } else if (declaration !== undefined) {
      return defectAt(index, 'a DOCTYPE is not accepted')
    } else if (match[0] === '<!') {
      return defectAt(index, '"<!" starts neither a comment nor CDATA')
    } else if (tag !== undefined) {
      const inValue = /=\s*(?:"[^"]*<|'[^']*<)/.exec(tag)
      if (inValue !== null) return defectAt(index + inValue.index, 'an attribute value holds a bare "<", write &lt;')
      const badReference = badReferenceIndex(tag)
      if (badReference !== -1)
        return defectAt(index + badReference, 'a "&" that starts no known reference, write &amp;')
      hasRoot = true
      if (tag.startsWith('</')) depth -= 1
      else if (!tag.endsWith('/>')) depth += 1
    } else if (text !== undefined) {
      const blanks = text.search(/\S/)
      if (depth <= 0 && blanks !== -1) return defectAt(index + blanks, 'there is text outside the root element')
      if (text.includes(']]>')) return defectAt(index + text.indexOf(']]>'), 'text holds "]]>", write ]]&gt;')
      const badReference = badReferenceIndex(text)
      if (badReference !== -1)
        return defectAt(index + badReference, 'a "&" that starts no known reference, write &amp;')
    }
  }
  return { defect: undefined, prologueComments }
}

function defectAt(index: number, problem: string): ScanResult {
  return { defect: { index, problem } }
}

function badReferenceIndex(text: string): number {
  for (let index = text.indexOf('&'); index !== -1; index = text.indexOf('&', index + 1)) {
    reference.lastIndex = index
    const match = reference.exec(text)
    if (match === null) return index
    if (match[0].startsWith('&#') && forbiddenCharacterIndex(decodeReference(match[0])) !== -1) return index
  }
  return -1
}

const namedReferences: Readonly<Record<string, string>> = {
  '&lt;': '<',
  '&gt;': '>',
  '&amp;': '&',
  '&quot;': '"',
  '&apos;': "'",
}

/** U+0000, which no document may hold, stands for a number beyond Unicode. */
function decodeReference(text: string): string {
  const named = namedReferences[text]
  if (named !== undefined) return named
  const codePoint = text.startsWith('&#x') ? Number.parseInt(text.slice(3), 16) : Number.parseInt(text.slice(2), 10)
  return codePoint <= 0x10ffff ? String.fromCodePoint(codePoint) : '\0'
}

/** Replaces the references that {@link scanXml} accepts. */
export function decodeReferences(text: string): string {
  return text.replace(/&[^;]*;/g, decodeReference)
}
