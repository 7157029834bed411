import { type DomainFacts, type NicFacts, nicFacts } from '../../domain/domain-facts.ts'
import { interfaceElements } from '../../domain/domain-xml.ts'
import { metadataElement, type VmrMetadata, vmrNamespace } from '../../domain/metadata.ts'
import type { NicMode, NicModes } from '../../domain/nic-modes.ts'
import { type NicSwitchPlan, planNicSwitch } from '../../domain/nic-switch.ts'
import { childElements, firstChild, withChild, withChildren, type XmlElement } from '../../domain/xml/element.ts'
import { VmrError } from '../../errors/vmr-error.ts'
import type { TestbedLink } from '../../testbed/testbed.ts'
import type { UplinkUse } from '../../testbed/uplink-plan.ts'
import { attach } from '../resolve-nics.ts'

export interface SwitchRequest {
  /** As the VM is defined. */
  readonly defined: DomainFacts
  /** As it runs; undefined when it does not: then only its definition changes. */
  readonly live: DomainFacts | undefined
  readonly metadata: VmrMetadata
  readonly modes: NicModes
  readonly to: NicMode
  /** Guest names, as eth1. Default: every NIC that is there for the testbed's links. */
  readonly only?: readonly string[] | undefined
  /** The bridge, uplink or libvirt network to attach to; default: what the testbed says. */
  readonly source?: string | undefined
  readonly links: readonly TestbedLink[]
  /** How a bridge that vmr makes shall be; see UplinkUse. */
  readonly bridge?: Pick<Extract<UplinkUse, { kind: 'bridge' }>, 'stp' | 'multicastSnooping'>
}

/** One NIC of the VM on its way into another mode. */
export interface PlannedNic {
  /** The guest's name for it. */
  readonly name: string
  readonly mac: string
  readonly from: string
  readonly to: string
  /** How to get the running NIC there; undefined for a VM that does not run. */
  readonly plan: NicSwitchPlan | undefined
  /** The host's device of the running NIC. */
  readonly device: string | undefined
  readonly alias: string | undefined
  readonly uplink: { readonly name: string; readonly use: UplinkUse } | undefined
  /** As it is defined afterwards. */
  readonly defined: NicFacts
  /** It comes back to the same link: behind the same uplink, whatever stands between. */
  readonly sameLink: boolean
}

export interface SwitchPlan {
  readonly running: boolean
  readonly nics: readonly PlannedNic[]
  /** The whole definition afterwards, with vmr's metadata. */
  readonly definition: XmlElement
  readonly metadata: VmrMetadata
  /** The definition has to be changed: it is not what it shall be. */
  readonly changesDefinition: boolean
}

/**
 * Decides how to bring NICs of a VM into another mode. Pure.
 *
 * @throws VmrError USAGE for a NIC that the VM does not have; CONFIG_INVALID for a mode that cannot be attached there, and
 * for a NIC that the definition and the running VM do not agree on.
 */
export function planSwitch(request: SwitchRequest): SwitchPlan {
  const { defined, live, metadata, modes, to } = request
  const chosen = chooseNics(request)
  const planned = chosen.map((nic) => {
    const { mac, position } = nic
    const name = `eth${position}`
    const from = modes.modes.get(nic.mode)
    const attachment = attachmentOf(request, nic)
    const before = findNic(defined, mac)
    if (before === undefined)
      throw new VmrError('CONFIG_INVALID', `${defined.name} is defined without ${name} (MAC address ${mac})`, {
        hint: 'Somebody has changed the domain by other means; see `vmr vm xml --inactive`.',
      })
    const { source } = attachment
    const common = { from, to, source, setAside: nic.setAside }
    const definition = planNicSwitch({ live: before.element, ...common })
    const running = live === undefined ? undefined : findNic(live, mac)
    if (live !== undefined && running === undefined)
      throw new VmrError('CONFIG_INVALID', `the running ${defined.name} has no ${name} (MAC address ${mac})`, {
        hint: 'An interrupted switch left it so: run `vmr cleanup`. Else stop and start the VM.',
      })
    const element = definition.kind === 'nothingToDo' ? before.element : definition.element
    return {
      planned: {
        name,
        mac,
        from: nic.mode,
        to: to.name,
        plan: running === undefined ? undefined : planNicSwitch({ live: running.element, ...common }),
        device: running?.target,
        alias: running?.alias,
        uplink: attachment.use === undefined ? undefined : { name: attachment.uplink, use: attachment.use },
        defined: nicFacts(element, before.index),
        sameLink: reachesUplink(before, request) && attachment.use !== undefined,
      },
      element,
      note: {
        ...withBridge(nic, attachment.use),
        mode: to.name,
        ...(definition.kind === 'nothingToDo' ? {} : { setAside: definition.setAside }),
      },
    }
  })
  const notes = new Map(planned.map(({ note }) => [note.mac, note]))
  const noted: VmrMetadata = {
    ...metadata,
    nics: metadata.nics.map((nic) => {
      const changed = notes.get(nic.mac)
      return changed === undefined ? nic : { ...changed, setAside: [...changed.setAside] }
    }),
  }
  const elements = new Map(planned.map(({ planned: { mac }, element }) => [mac, element]))
  return {
    running: live !== undefined,
    nics: planned.map((each) => each.planned),
    definition: withMetadata(withInterfaces(defined.element, elements), metadataElement(noted)),
    metadata: noted,
    changesDefinition: planned.some(({ planned: { from, to: next, mac }, element, note }) => {
      const before = metadata.nics.find((nic) => nic.mac === mac)
      const sameBridge = note.stp === before?.stp && note.multicastSnooping === before?.multicastSnooping
      return from !== next || element !== findNic(defined, mac)?.element || !sameBridge
    }),
  }
}

/** How the NIC's bridge shall be, noted: the next start makes the bridge anew. */
function withBridge(nic: VmrMetadata['nics'][number], use: UplinkUse | undefined): VmrMetadata['nics'][number] {
  const { stp: _stp, multicastSnooping: _snooping, ...rest } = nic
  if (use?.kind !== 'bridge') return rest
  return {
    ...rest,
    ...(use.stp ? { stp: 'on' as const } : {}),
    ...(use.multicastSnooping ? { multicastSnooping: 'on' as const } : {}),
  }
}

function chooseNics({ metadata, only, defined }: SwitchRequest): VmrMetadata['nics'] {
  const names = metadata.nics.map(({ position }) => `eth${position}`)
  for (const name of only ?? []) {
    if (names.includes(name)) continue
    throw new VmrError('USAGE', `${defined.name} has no NIC ${JSON.stringify(name.slice(0, 40))}`, {
      hint: `It has ${names.join(', ')}.`,
    })
  }
  return metadata.nics.filter(({ position, role }) =>
    only === undefined ? role === 'test' : only.includes(`eth${position}`),
  )
}

function attachmentOf({ to, source, links, bridge, defined }: SwitchRequest, nic: VmrMetadata['nics'][number]) {
  const link = links.find(({ uplink }) => uplink === nic.uplink)
  if (nic.uplink === undefined || link === undefined) {
    const attachment = attach(to, { uplink: nic.uplink ?? '', bridge: '' }, source)
    if (attachment.use === undefined || source !== undefined) return { ...attachment, use: undefined }
    throw new VmrError('CONFIG_INVALID', `vmr does not know what to attach eth${nic.position} of ${defined.name} to`, {
      hint: 'Name the bridge or uplink with --source.',
    })
  }
  const attachment = attach(to, link, source)
  return attachment.use?.kind === 'bridge' ? { ...attachment, use: { ...attachment.use, ...bridge } } : attachment
}

/** Whether the NIC, as it is, is behind the uplink that vmr knows for it. */
function reachesUplink(nic: NicFacts, { links }: SwitchRequest): boolean {
  return links.some(({ uplink, bridge }) =>
    nic.type === 'direct' ? nic.source === uplink : nic.type === 'bridge' && nic.source === bridge,
  )
}

export function findNic({ nics }: DomainFacts, mac: string): NicFacts | undefined {
  return nics.find((nic) => nic.mac === mac.toLowerCase())
}

/** The domain with the interfaces of these MACs replaced where they stand. */
function withInterfaces(domain: XmlElement, elements: ReadonlyMap<string, XmlElement>): XmlElement {
  const devices = firstChild(domain, 'devices')
  if (devices === undefined) return domain
  const known = new Set(interfaceElements(domain))
  const children = devices.children.map((child) => {
    if (child.kind !== 'element' || !known.has(child)) return child
    return elements.get(firstChild(child, 'mac')?.attributes.address?.toLowerCase() ?? '') ?? child
  })
  return withChild(domain, withChildren(devices, children))
}

function withMetadata(domain: XmlElement, note: XmlElement): XmlElement {
  const metadata = firstChild(domain, 'metadata')
  if (metadata === undefined) return domain
  const own = childElements(metadata).find((child) => Object.values(child.attributes).includes(vmrNamespace))
  const children = metadata.children.map((child) => (child === own ? note : child))
  return withChild(domain, withChildren(metadata, children))
}
