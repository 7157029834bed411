import { readMetadata } from './metadata.ts'
import { element, firstChild, isElement, withChild, withChildren, type XmlElement, xmlText } from './xml/element.ts'

/** How a domain is to be called, and where its own files are from then on. */
export interface Move {
  readonly name: string
  /** Absolute; `to` takes the place of `from` in every path below it. */
  readonly directory: { readonly from: string; readonly to: string }
}

/** The domain under another name, its own files elsewhere. Everything else, paths of others' files too, stays. */
export function movedDomain(domain: XmlElement, { name, directory }: Move): XmlElement {
  const moved = (text: string) =>
    text.startsWith(`${directory.from}/`) ? `${directory.to}${text.slice(directory.from.length)}` : text
  const walk = (node: XmlElement): XmlElement => ({
    ...node,
    attributes: Object.fromEntries(Object.entries(node.attributes).map(([key, value]) => [key, moved(value)])),
    children: node.children.map((child) => {
      if (isElement(child)) return child.name === 'metadata' ? child : walk(child)
      return child.kind === 'comment' ? child : { ...child, text: moved(child.text.trim()) }
    }),
  })
  return withChild(walk(domain), element('name', {}, [name]))
}

/** What two domains on one host cannot share, replaced. */
export interface NewIdentity {
  readonly uuid: string
  /** The MAC address that takes the place of each. */
  readonly macs: ReadonlyMap<string, string>
}

/**
 * The domain with an identity of its own: UUID, MAC addresses (in vmr's notes too), and no names of devices on the host,
 * which two cannot have.
 */
export function withNewIdentity(domain: XmlElement, { uuid, macs }: NewIdentity): XmlElement {
  const own = (mac: string | undefined) => (mac === undefined ? undefined : (macs.get(mac.toLowerCase()) ?? mac))
  const isNote = (node: XmlElement) => node.attributes.position !== undefined && node.attributes.mac !== undefined
  const walk = (node: XmlElement, parent: string): XmlElement => {
    const attributes = { ...node.attributes }
    const mac = node.name === 'mac' && parent === 'interface' ? own(node.attributes.address) : undefined
    if (mac !== undefined) attributes.address = mac
    const noted = isNote(node) ? own(node.attributes.mac) : undefined
    if (noted !== undefined) attributes.mac = noted
    const kept = node.children.filter(
      (child) => !(node.name === 'interface' && isElement(child, 'target') && child.attributes.dev !== undefined),
    )
    return {
      ...withChildren(
        node,
        kept.map((child) => (isElement(child) ? walk(child, node.name) : child)),
      ),
      attributes,
    }
  }
  return withChild(walk(domain, ''), { ...element('uuid'), children: [xmlText(uuid)] })
}

/** True where vmr's notes can be read: what it wrote must survive what it does not do itself. */
export function hasNotes(domain: XmlElement): boolean {
  return firstChild(domain, 'metadata') !== undefined && readMetadata(domain).kind === 'valid'
}
