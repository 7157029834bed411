import { XMLBuilder } from 'fast-xml-parser'
import { VmrError } from '../../errors/vmr-error.ts'
import { codePointName, forbiddenCharacterIndex, isXmlName } from './characters.ts'
import type { XmlElement, XmlNode } from './element.ts'

const textKey = '#text'
const cdataKey = '#cdata'
const commentKey = '#comment'
const attributesKey = ':@'

/** A literal line end or tab would reach the reader as a blank (XML 1.0 section 3.3.3), so they become references. */
function escapeText(text: string): string {
  return text.replace(/[&<>\r]/g, (character) => `&#${character.charCodeAt(0)};`)
}

function escapeAttributeValue(value: string): string {
  return value.replace(/[&<>"\r\n\t]/g, (character) => `&#${character.charCodeAt(0)};`)
}

const readable: Readonly<Record<string, string>> = {
  '&#38;': '&amp;',
  '&#60;': '&lt;',
  '&#62;': '&gt;',
  '&#34;': '&quot;',
}
const withReadableEntities = (text: string) =>
  text.replace(/&#(?:38|60|62|34);/g, (entity) => readable[entity] ?? entity)

const builder = new XMLBuilder({
  preserveOrder: true,
  ignoreAttributes: false,
  attributeNamePrefix: '',
  textNodeName: textKey,
  cdataPropName: cdataKey,
  commentPropName: commentKey,
  suppressBooleanAttributes: false,
  suppressEmptyNode: true,
  processEntities: false,
  format: false,
  tagValueProcessor: (_name, value) => withReadableEntities(escapeText(String(value))),
  attributeValueProcessor: (_name, value) => withReadableEntities(escapeAttributeValue(String(value))),
})

/**
 * Writes the element as a document, indented by two blanks where only elements and comments are inside; mixed content
 * is written as it is. `parseXml(buildXml(x))` equals x.
 *
 * @throws VmrError CONFIG_INVALID for a value that no XML document can hold (control characters, lone surrogates);
 * INTERNAL for a name that is no XML name, since names are constants of the program or were parsed.
 */
export function buildXml(root: XmlElement): string {
  return `${builder.build([toRaw(root, '')])}\n`
}

type RawNode = Record<string, unknown>

function toRaw(node: XmlNode, indent: string): RawNode {
  switch (node.kind) {
    case 'text':
      return { [textKey]: checked(node.text, 'text') }
    case 'cdata':
      if (node.text.includes(']]>')) throw new VmrError('CONFIG_INVALID', 'a CDATA section cannot hold "]]>"')
      return { [cdataKey]: [{ [textKey]: checked(node.text, 'a CDATA section') }] }
    case 'comment':
      if (node.text.includes('--') || node.text.endsWith('-'))
        throw new VmrError('CONFIG_INVALID', 'an XML comment cannot hold "--" nor end with "-"')
      return { [commentKey]: [{ [textKey]: checked(node.text, 'a comment') }] }
    case 'element': {
      const names = [node.name, ...Object.keys(node.attributes)]
      const badName = names.find((name) => !isXmlName(name))
      if (badName !== undefined) throw new VmrError('INTERNAL', `${JSON.stringify(badName)} is no XML name`)
      for (const [name, value] of Object.entries(node.attributes)) checked(value, `${node.name}/@${name}`)
      return { [node.name]: rawChildren(node, indent), [attributesKey]: node.attributes }
    }
  }
}

function rawChildren(node: XmlElement, indent: string): readonly RawNode[] {
  const holdsMarkupOnly =
    node.children.length > 0 && node.children.every((child) => child.kind === 'element' || child.kind === 'comment')
  if (!holdsMarkupOnly) return node.children.map((child) => toRaw(child, indent))
  const inner = `${indent}  `
  return [
    ...node.children.flatMap((child) => [{ [textKey]: `\n${inner}` }, toRaw(child, inner)]),
    { [textKey]: `\n${indent}` },
  ]
}

function checked(value: string, where: string): string {
  const index = forbiddenCharacterIndex(value)
  if (index === -1) return value
  throw new VmrError(
    'CONFIG_INVALID',
    `character ${codePointName(value, index)} in ${where} cannot be written as XML`,
    {
      hint: 'Remove the control character from the value.',
    },
  )
}
