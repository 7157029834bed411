import { readdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import envPaths from 'env-paths'
import { z } from 'zod'
import { parseYaml, readConfigText } from '../config/load-yaml.ts'
import { packageRoot } from '../config/package-root.ts'
import { isVmrError, VmrError } from '../errors/vmr-error.ts'
import { closest } from './did-you-mean.ts'
import { isOpenVSwitch } from './nic-support.ts'
import { childElements, firstChild, type XmlElement } from './xml/element.ts'
import { parseXmlDocument, positionOf, type XmlSource, xmlError } from './xml/parse.ts'

/**
 * From cold neighbour caches: `outbound-only` works while the guest speaks first, and fails towards it; `lost` fails
 * for at least one of the machines that the role connects.
 */
const verdictSchema = z.enum(['works', 'outbound-only', 'lost', 'not-measured'])

const familiesSchema = z.strictObject({ ipv4: verdictSchema, ipv6: verdictSchema })
const unmeasured = { ipv4: 'not-measured', ipv6: 'not-measured' } as const

const wordsSchema = z.string().trim().min(1).max(4000)

/** What a mode's file says about itself, in YAML, in the comment before the element that begins with "vmr-nic-mode". */
const aboutSchema = z.strictObject({
  summary: wordsSchema.max(200).default('A mode of your own, not described in its file.'),
  managementOnly: z.boolean().default(false),
  /** By what the guest does with its NICs, as the cases measure it. */
  carries: z
    .strictObject({
      nic: familiesSchema.default(unmeasured),
      forward: familiesSchema.default(unmeasured),
      ipip6: familiesSchema.default(unmeasured),
      bridge: familiesSchema.default(unmeasured),
      'vlan-bridge': familiesSchema.default(unmeasured),
    })
    .prefault({}),
  cure: wordsSchema.optional(),
  warnings: z.array(wordsSchema).default([]),
  needs: z.array(wordsSchema).default([]),
  /** What the guest may do to the network, and the host, because it is attached like this. */
  security: wordsSchema.optional(),
  explain: wordsSchema.optional(),
})
type About = z.infer<typeof aboutSchema>

/** One way to attach a NIC: a libvirt `<interface>` element and what is known about it. */
export interface NicMode extends Readonly<About> {
  readonly name: string
  /** The file it was read from. */
  readonly file: string
  readonly element: XmlElement
}

/** What must stand on the host before a NIC can be attached this way. */
export type HostNeeds =
  /** A Linux bridge, named by the NIC's source, that has the uplink as a port. */
  | { readonly kind: 'bridge' }
  /** An Open vSwitch bridge, named by the NIC's source, that has the uplink as a port. */
  | { readonly kind: 'ovs-bridge' }
  /** The uplink itself, in no bridge; `exclusive` when no second macvtap may be on it. */
  | { readonly kind: 'uplink'; readonly exclusive: boolean }
  /** An active libvirt network; `network` is the one that the mode's file names. */
  | { readonly kind: 'libvirt-network'; readonly network: string | undefined }
  | { readonly kind: 'nothing' }
  /** A kind of interface (`type`) that vmr prepares nothing for. */
  | { readonly kind: 'unmanaged'; readonly type: string }

export function hostNeeds(mode: NicMode): HostNeeds {
  const type = mode.element.attributes.type ?? ''
  const source = firstChild(mode.element, 'source')
  switch (type) {
    case 'bridge':
      return { kind: isOpenVSwitch(mode.element) ? 'ovs-bridge' : 'bridge' }
    case 'direct':
      return { kind: 'uplink', exclusive: source?.attributes.mode === 'passthrough' }
    case 'network':
      return { kind: 'libvirt-network', network: source?.attributes.network }
    case 'user':
      return { kind: 'nothing' }
    default:
      return { kind: 'unmanaged', type }
  }
}

/** The attribute of `<source>` that names what a NIC of this type is attached to; undefined where nothing is named. */
export function sourceAttribute(type: string | undefined): 'bridge' | 'dev' | 'network' | undefined {
  switch (type) {
    case 'bridge':
      return 'bridge'
    case 'direct':
      return 'dev'
    case 'network':
      return 'network'
    default:
      return undefined
  }
}

export interface NicModes {
  readonly modes: ReadonlyMap<string, NicMode>
  /** Files that another directory's file of the same name replaced. */
  readonly conflicts: readonly { readonly name: string; readonly used: string; readonly ignored: string }[]
}

/** Where modes are looked for, later ones winning: vmr's own, the user's, those of the current directory. */
export function nicModeDirectories(): readonly string[] {
  return [
    join(packageRoot(), 'templates', 'nics'),
    join(envPaths('vmr', { suffix: '' }).config, 'nics'),
    join(process.cwd(), 'templates', 'nics'),
  ]
}

/**
 * Reads every `*.xml` of the directories; one that does not exist is none.
 *
 * @throws VmrError NIC_MODE_INVALID naming file, line and column for a file that is no usable mode.
 */
export async function loadNicModes(directories: readonly string[] = nicModeDirectories()): Promise<NicModes> {
  const modes = new Map<string, NicMode>()
  const conflicts: { name: string; used: string; ignored: string }[] = []
  for (const directory of new Set(directories)) {
    for (const file of await xmlFiles(directory)) {
      const mode = parseNicMode(await readModeText(file), file)
      const before = modes.get(mode.name)
      if (before !== undefined) conflicts.push({ name: mode.name, used: file, ignored: before.file })
      modes.set(mode.name, mode)
    }
  }
  return { modes, conflicts }
}

async function xmlFiles(directory: string): Promise<readonly string[]> {
  try {
    const names = await readdir(directory)
    return names
      .filter((name) => name.endsWith('.xml') && !name.startsWith('.'))
      .sort()
      .map((name) => join(directory, name))
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')) return []
    throw new VmrError('NIC_MODE_INVALID', `${directory}: cannot be read`, {
      hint: 'Make the directory readable, or remove it.',
      cause: error,
    })
  }
}

async function readModeText(file: string): Promise<string> {
  try {
    return await readConfigText(file)
  } catch (error) {
    throw asModeError(error)
  }
}

function asModeError(error: unknown): unknown {
  if (!isVmrError(error)) return error
  return new VmrError('NIC_MODE_INVALID', error.message, {
    ...(error.hint === undefined ? {} : { hint: error.hint }),
    cause: error,
  })
}

/** @throws VmrError NIC_MODE_UNKNOWN naming the known modes. */
export function findNicMode({ modes }: NicModes, name: string): NicMode {
  const mode = modes.get(name)
  if (mode !== undefined) return mode
  const near = closest(name, modes.keys())
  throw new VmrError('NIC_MODE_UNKNOWN', `there is no NIC mode ${JSON.stringify(name.slice(0, 60))}`, {
    hint: `${near === undefined ? '' : `Did you mean ${near}? `}Known modes: ${[...modes.keys()].sort().join(', ')}.`,
  })
}

const marker = /^\s*vmr-nic-mode[ \t]*(?:\r\n?|\n)/

/** @throws VmrError NIC_MODE_INVALID naming file, line and column. */
export function parseNicMode(text: string, file: string): NicMode {
  const source: XmlSource = { name: file, code: 'NIC_MODE_INVALID' }
  const name = basename(file, '.xml')
  if (!/^[a-z][a-z0-9-]{0,40}$/.test(name))
    throw new VmrError('NIC_MODE_INVALID', `${file}: the file's name is the mode's and cannot be one`, {
      hint: 'Name it with a lower-case letter, then lower-case letters, digits and hyphens, and .xml.',
    })
  const { root, leadingComments } = parseXmlDocument(text, source)
  checkInterface(root, source)
  const [comment, another] = leadingComments.filter((each) => marker.test(each.text))
  if (another !== undefined)
    throw new VmrError('NIC_MODE_INVALID', `${file}:${another.position.line}: a second vmr-nic-mode comment`, {
      hint: 'Keep one.',
    })
  return { ...readAbout(comment, file), name, file, element: root }
}

function readAbout(comment: { text: string; position: { line: number } } | undefined, file: string): About {
  const yaml = comment?.text.replace(marker, '') ?? ''
  if (comment === undefined || yaml.trim() === '') return aboutSchema.parse({})
  const skipped = comment.text.slice(0, comment.text.length - yaml.length)
  const firstLine = comment.position.line + (skipped.match(/\r\n?|\n/g)?.length ?? 0)
  try {
    return parseYaml(yaml, aboutSchema, file, { firstLine })
  } catch (error) {
    throw asModeError(error)
  }
}

/** Of libvirt's domaincommon.rng, define "interface": those of its types that a QEMU domain can have. */
const interfaceTypes = new Set([
  'bridge',
  'client',
  'direct',
  'ethernet',
  'hostdev',
  'mcast',
  'network',
  'null',
  'server',
  'udp',
  'user',
  'vdpa',
  'vds',
  'vhostuser',
])

/** Children of `<interface>` that a mode may bring: domaincommon.rng, define "interface-options", and later versions. */
export const modeChildren: ReadonlySet<string> = new Set([
  'source',
  'virtualport',
  'backend',
  'portForward',
  'target',
  'model',
  'driver',
  'mtu',
  'link',
  'bandwidth',
  'vlan',
  'port',
  'filterref',
  'script',
  'downscript',
  'coalesce',
  'tune',
  'rom',
  'teaming',
  'guest',
  'ip',
  'route',
])

/** Children that say which NIC it is: they belong to a VM, not to a way of attaching. */
const nicChildren = new Set(['mac', 'address', 'alias', 'boot', 'acpi'])

function checkInterface(root: XmlElement, source: XmlSource): void {
  if (root.name !== 'interface')
    throw xmlError(source, root, `a NIC mode is one <interface> element, not <${root.name}>`)
  const { type } = root.attributes
  if (type === undefined) throw xmlError(source, root, '<interface> has no type attribute')
  if (!interfaceTypes.has(type)) {
    const near = closest(type, interfaceTypes)
    const hint = near === undefined ? '' : `, did you mean ${near}`
    throw xmlError(source, root, `<interface> has the unknown type ${JSON.stringify(type)}${hint}`)
  }
  const unknown = Object.keys(root.attributes).find(
    (attribute) => !['type', 'trustGuestRxFilters', 'managed'].includes(attribute),
  )
  if (unknown !== undefined) throw xmlError(source, root, `<interface> has the unknown attribute ${unknown}`)
  const trust = root.attributes.trustGuestRxFilters
  if (trust !== undefined && trust !== 'yes' && trust !== 'no')
    throw xmlError(source, root, `trustGuestRxFilters is ${JSON.stringify(trust)}, but only yes and no are known`)
  const stray = root.children.find((node) => node.kind === 'text' || node.kind === 'cdata')
  if (stray !== undefined) throw xmlError(source, root, '<interface> holds text')
  const seen = new Map<string, XmlElement>()
  for (const child of childElements(root)) {
    if (nicChildren.has(child.name))
      throw xmlError(source, child, `<${child.name}> belongs to one VM's NIC, a mode cannot set it`)
    if (!modeChildren.has(child.name)) {
      const near = closest(child.name, modeChildren)
      throw xmlError(source, child, `<${child.name}> is unknown${near === undefined ? '' : `, did you mean <${near}>`}`)
    }
    const before = seen.get(child.name)
    if (before !== undefined && !['ip', 'route', 'portForward'].includes(child.name))
      throw xmlError(source, child, `a second <${child.name}>, the first is in line ${positionOf(before)?.line}`)
    seen.set(child.name, child)
  }
  const mode = seen.get('source')?.attributes.mode
  if (type === 'direct' && mode !== undefined && !['bridge', 'vepa', 'private', 'passthrough'].includes(mode))
    throw xmlError(source, seen.get('source'), `macvtap has no mode ${JSON.stringify(mode)}`)
}
