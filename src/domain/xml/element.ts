/** An element with its attributes and children in document order. Immutable: every helper returns a new one. */
export interface XmlElement {
  readonly kind: 'element'
  /** Qualified name as written, prefix included. */
  readonly name: string
  readonly attributes: Readonly<Record<string, string>>
  readonly children: readonly XmlNode[]
}

export interface XmlCharacters {
  readonly kind: 'text' | 'cdata' | 'comment'
  readonly text: string
}

export type XmlNode = XmlElement | XmlCharacters

/** A child as callers write it: a string is text, undefined is left out so that optional parts need no branching. */
export type XmlChild = XmlNode | string | undefined

/** Attribute values as callers write them; undefined leaves the attribute out. */
export type XmlAttributes = Readonly<Record<string, string | number | undefined>>

export function element(name: string, attributes: XmlAttributes = {}, children: readonly XmlChild[] = []): XmlElement {
  return {
    kind: 'element',
    name,
    attributes: definedAttributes(attributes),
    children: children.flatMap((child) =>
      child === undefined ? [] : typeof child === 'string' ? (child === '' ? [] : [xmlText(child)]) : [child],
    ),
  }
}

export function xmlText(text: string): XmlCharacters {
  return { kind: 'text', text }
}

function definedAttributes(attributes: XmlAttributes): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(attributes).flatMap(([name, value]) => (value === undefined ? [] : [[name, String(value)]])),
  )
}

/** Sets the given attributes, in place where they exist; undefined removes one. */
export function withAttributes(target: XmlElement, attributes: XmlAttributes): XmlElement {
  return { ...target, attributes: definedAttributes({ ...target.attributes, ...attributes }) }
}

export function withChildren(target: XmlElement, children: readonly XmlNode[]): XmlElement {
  return { ...target, children }
}

/** Appends children, undefined ones left out. */
export function append(target: XmlElement, ...children: readonly XmlChild[]): XmlElement {
  return withChildren(target, [...target.children, ...element('x', {}, children).children])
}

export function isElement(node: XmlNode, name?: string): node is XmlElement {
  return node.kind === 'element' && (name === undefined || node.name === name)
}

/** All child elements, or those of one name. */
export function childElements(parent: XmlElement, name?: string): readonly XmlElement[] {
  return parent.children.filter((node): node is XmlElement => isElement(node, name))
}

export function firstChild(parent: XmlElement, name: string): XmlElement | undefined {
  return parent.children.find((node): node is XmlElement => isElement(node, name))
}

/** Follows first children down a path: `descend(domain, 'os', 'kernel')`. */
export function descend(from: XmlElement, ...path: readonly string[]): XmlElement | undefined {
  return path.reduce<XmlElement | undefined>((at, name) => (at === undefined ? undefined : firstChild(at, name)), from)
}

/** Character data directly inside the element, blanks at both ends removed as libvirt does. */
export function textOf(target: XmlElement): string {
  return target.children
    .map((node) => (node.kind === 'text' || node.kind === 'cdata' ? node.text : ''))
    .join('')
    .trim()
}

/** Replaces the first child of the same name where it stands, or appends. */
export function withChild(parent: XmlElement, child: XmlElement): XmlElement {
  const index = parent.children.findIndex((node) => isElement(node, child.name))
  return index === -1 ? append(parent, child) : withChildren(parent, parent.children.with(index, child))
}

export function withoutChildren(parent: XmlElement, ...names: readonly string[]): XmlElement {
  return withChildren(
    parent,
    parent.children.filter((node) => node.kind !== 'element' || !names.includes(node.name)),
  )
}

/** Same name, attributes (in any order) and children, comments left aside. */
export function sameElement(left: XmlElement, right: XmlElement): boolean {
  const leftChildren = left.children.filter((node) => node.kind !== 'comment')
  const rightChildren = right.children.filter((node) => node.kind !== 'comment')
  const names = Object.keys(left.attributes)
  return (
    left.name === right.name &&
    names.length === Object.keys(right.attributes).length &&
    names.every((name) => left.attributes[name] === right.attributes[name]) &&
    leftChildren.length === rightChildren.length &&
    leftChildren.every((node, index) => {
      const other = rightChildren[index]
      if (other === undefined || node.kind !== other.kind) return false
      if (node.kind === 'element') return other.kind === 'element' && sameElement(node, other)
      return other.kind !== 'element' && node.text.trim() === other.text.trim()
    })
  )
}
