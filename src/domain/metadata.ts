import { z } from 'zod'
import { macSchema } from '../config/domain-definition.ts'
import { childElements, element, firstChild, type XmlElement } from './xml/element.ts'

/** vmr's XML namespace in a domain's `<metadata>`; libvirt keeps one element a namespace and asks for a URI. */
export const vmrNamespace = 'urn:vmr:domain:1'

const wordSchema = z.string().min(1).max(4096)

const nicSchema = z.strictObject({
  /** Place in guest order: 0 is eth0. */
  position: z.coerce.number().int().min(0).max(63),
  mac: macSchema,
  mode: wordSchema,
  role: z.enum(['test', 'management']),
  /** The host NIC that it shall reach, whatever stands between (the bridge holding it, say). */
  uplink: wordSchema.optional(),
  /** How the bridge that vmr makes for it shall be, where a person wanted it otherwise than vmr makes bridges. */
  stp: z.literal('on').optional(),
  multicastSnooping: z.literal('on').optional(),
  /** Settings of its `<interface>` that its present mode cannot have, kept for a mode that can. */
  setAside: z.array(z.custom<XmlElement>()).default([]),
})

const metadataSchema = z.strictObject({
  /** Version of the vmr that wrote it. */
  version: wordSchema,
  definition: wordSchema,
  os: z.enum(['vyos', 'lab-router']),
  testbed: wordSchema.optional(),
  /** What booted: the image's name or content address, or undefined when the definition names its own files. */
  image: wordSchema.optional(),
  nics: z.array(nicSchema).max(64),
})

/** What vmr notes in a domain of its own. A domain without it is not vmr's to change. */
export type VmrMetadata = Readonly<z.infer<typeof metadataSchema>>

export const vmrPrefix = 'vmr'

/** The element for `<metadata>`. */
export function metadataElement(metadata: VmrMetadata): XmlElement {
  const { nics, ...attributes } = metadata
  return element(
    `${vmrPrefix}:vm`,
    { [`xmlns:${vmrPrefix}`]: vmrNamespace, ...attributes },
    nics.map(({ setAside, ...nic }) => element(`${vmrPrefix}:nic`, nic, setAside)),
  )
}

/**
 * The same for virDomainSetMetadata, which takes {@link vmrNamespace} and {@link vmrPrefix} beside it and puts both on every
 * element (virXMLInjectNamespace in libvirt's src/util/virxml.c), those that were set aside included.
 */
export function metadataFragment(metadata: VmrMetadata): XmlElement {
  const { nics, ...attributes } = metadata
  return element(
    'vm',
    attributes,
    nics.map(({ setAside, ...nic }) => element('nic', nic, setAside)),
  )
}

export type MetadataReading =
  | { readonly kind: 'absent' }
  | { readonly kind: 'valid'; readonly metadata: VmrMetadata }
  /** There is an element of vmr's namespace, but not one that vmr writes. */
  | { readonly kind: 'invalid'; readonly problem: string }

/** Finds vmr's element by its namespace, whatever its prefix, in a domain. */
export function readMetadata(domain: XmlElement): MetadataReading {
  const holder = firstChild(domain, 'metadata')
  if (holder === undefined) return { kind: 'absent' }
  const scope = [domain, holder]
  const own = childElements(holder).find((child) => namespaceOf(child.name, [...scope, child]) === vmrNamespace)
  if (own === undefined) return { kind: 'absent' }
  const nics = childElements(own).filter(
    (child) => localName(child.name) === 'nic' && namespaceOf(child.name, [...scope, own, child]) === vmrNamespace,
  )
  const result = metadataSchema.safeParse({
    ...ownAttributes(own),
    nics: nics.map((nic) => ({ ...ownAttributes(nic), setAside: childElements(nic).map(withoutOwnPrefix) })),
  })
  if (result.success) return { kind: 'valid', metadata: result.data }
  const [issue] = result.error.issues
  return { kind: 'invalid', problem: `${issue?.path.join('.') || 'vm'}: ${issue?.message}` }
}

function ownAttributes(from: XmlElement): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(from.attributes).filter(([name]) => !/^xmlns(?::|$)/.test(name)))
}

/** As it was before libvirt put vmr's prefix on it, see {@link metadataFragment}. */
function withoutOwnPrefix(setAside: XmlElement): XmlElement {
  return {
    ...setAside,
    name: setAside.name.replace(new RegExp(`^${vmrPrefix}:`), ''),
    children: setAside.children.map((child) => (child.kind === 'element' ? withoutOwnPrefix(child) : child)),
  }
}

function localName(name: string): string {
  return name.slice(name.indexOf(':') + 1)
}

/** Namespaces in XML 1.0 section 6: the innermost declaration of the prefix decides. */
function namespaceOf(name: string, scope: readonly XmlElement[]): string | undefined {
  const declaration = name.includes(':') ? `xmlns:${name.slice(0, name.indexOf(':'))}` : 'xmlns'
  return scope.findLast((each) => Object.hasOwn(each.attributes, declaration))?.attributes[declaration]
}
