import type { DomainDefinition } from '../config/domain-definition.ts'
import type { ResolvedNic } from '../domain/domain-xml.ts'
import { assignMacs } from '../domain/mac.ts'
import { findNicMode, hostNeeds, type NicMode, type NicModes } from '../domain/nic-modes.ts'
import { VmrError } from '../errors/vmr-error.ts'
import type { Testbed, TestbedLink } from '../testbed/testbed.ts'
import type { UplinkUse } from '../testbed/uplink-plan.ts'

export interface NicRequest {
  readonly vmName: string
  readonly definition: DomainDefinition
  readonly modes: NicModes
  /** Mode of every NIC whose definition names none. */
  readonly defaultMode: string
  readonly testbed: Testbed
}

export interface ResolvedNics {
  readonly nics: readonly ResolvedNic[]
  /** What has to stand on the host before the NICs can be attached. */
  readonly uplinkUses: readonly { readonly uplink: string; readonly use: UplinkUse }[]
}

/**
 * Joins the definition's NICs, in guest order, with the testbed's links: which mode, which MAC, attached to what.
 *
 * @throws VmrError NIC_MODE_UNKNOWN; CONFIG_INVALID for more NICs than links, and for a mode that needs what the testbed
 * does not have.
 */
export function resolveNics({ vmName, definition, modes, defaultMode, testbed }: NicRequest): ResolvedNics {
  const addresses = testbed.links.flatMap(({ dut, pc }) => [...dut.addresses, ...pc.addresses])
  const { management } = definition
  const all = management === undefined ? definition.nics : [...definition.nics, management]
  const macs = assignMacs({ vmName, nics: all, addresses })
  const resolved = definition.nics.map((nic, position) => {
    const { mode: modeName = defaultMode, source, uplink, mac: _mac, ...options } = nic
    const mode = findNicMode(modes, modeName)
    if (mode.managementOnly)
      throw new VmrError('CONFIG_INVALID', `NIC mode ${mode.name} reaches no testbed: it is for management only`, {
        hint: 'Choose another mode for NICs that are measured; see templates/nics.',
      })
    const attachment = attach(mode, linkOf(testbed, position, vmName), source, uplink)
    return {
      nic: {
        mode,
        mac: macs[position] ?? '',
        role: 'test' as const,
        options,
        source: attachment.source,
        uplink: attachment.uplink,
      },
      use: attachment.use,
    }
  })
  return {
    nics: [
      ...resolved.map(({ nic }) => nic),
      ...(management === undefined ? [] : [managementNic(management, modes, macs.at(-1) ?? '')]),
    ],
    uplinkUses: resolved.flatMap(({ nic, use }) => (use === undefined ? [] : [{ uplink: nic.uplink, use }])),
  }
}

function managementNic(
  management: NonNullable<DomainDefinition['management']>,
  modes: NicModes,
  mac: string,
): ResolvedNic {
  const { mode, source, uplink: _uplink, mac: _mac, ...options } = management
  return { mode: findNicMode(modes, mode), mac, role: 'management', options, source }
}

function linkOf(testbed: Testbed, position: number, vmName: string): TestbedLink {
  const link = testbed.links[position]
  if (link !== undefined) return link
  throw new VmrError('CONFIG_INVALID', `${vmName} has more NICs than the testbed has links (${testbed.links.length})`, {
    hint: 'Remove NICs from the definition, or choose another testbed.',
  })
}

export interface Attachment {
  readonly source: string | undefined
  readonly uplink: string
  readonly use: UplinkUse | undefined
}

/** What a mode attaches a NIC to on this link, and what it needs there. */
export function attach(
  mode: NicMode,
  link: Pick<TestbedLink, 'uplink' | 'bridge'>,
  source: string | undefined,
  uplink = link.uplink,
): Attachment {
  const needs = hostNeeds(mode)
  switch (needs.kind) {
    case 'bridge': {
      // A bridge that the definition names is the user's own: vmr attaches to it, and neither makes nor changes it.
      if (source !== undefined) return { source, uplink, use: undefined }
      return { source: link.bridge, uplink, use: { kind: 'bridge', bridge: link.bridge } }
    }
    case 'uplink':
      return { source: source ?? uplink, uplink, use: { kind: 'bare', exclusive: needs.exclusive } }
    default:
      return { source, uplink, use: undefined }
  }
}
