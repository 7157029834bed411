import { type DomainFacts, type NicFacts, nicFacts } from '../domain/domain-facts.ts'
import { metadataFragment, type VmrMetadata, vmrNamespace, vmrPrefix } from '../domain/metadata.ts'
import type { NicMode, NicModes } from '../domain/nic-modes.ts'
import { buildXml } from '../domain/xml/build.ts'
import { VmrError } from '../errors/vmr-error.ts'
import type { Connection, Domain } from '../libvirt/index.ts'
import type { Testbed } from '../testbed/testbed.ts'
import type { GuestSystem } from './guest-access.ts'
import { withLibvirt } from './libvirt-failure.ts'

export interface Adoption {
  readonly facts: DomainFacts
  readonly modes: NicModes
  /** Where the VM runs, if vmr knows the place: how its PCs reach it. */
  readonly testbed: { readonly name: string; readonly testbed: Testbed } | undefined
  readonly os: GuestSystem
  readonly vmrVersion: string
}

/**
 * What vmr would note in a domain that somebody else made. Pure.
 *
 * @throws VmrError CONFIG_INVALID for a NIC without MAC address, or of a kind that is no interface mode.
 */
export function planAdoption({ facts, modes, testbed, os, vmrVersion }: Adoption): VmrMetadata {
  return {
    version: vmrVersion,
    definition: 'adopted',
    os,
    ...(testbed === undefined ? {} : { testbed: testbed.name }),
    nics: facts.nics.map((nic, position) => {
      if (nic.mac === undefined)
        throw new VmrError('CONFIG_INVALID', `NIC ${position} of ${facts.name} has no MAC address to know it by`, {
          hint: 'Give it one with `virsh edit`.',
        })
      const mode = modeOf(nic, modes)
      const uplink = uplinkOf(nic, testbed?.testbed)
      return {
        position,
        mac: nic.mac,
        mode: mode.name,
        role: mode.managementOnly ? 'management' : 'test',
        ...(uplink === undefined ? {} : { uplink }),
        setAside: [],
      }
    }),
  }
}

function modeOf(nic: NicFacts, { modes }: NicModes): NicMode {
  const found = [...modes.values()].find(({ element }) => {
    const own = nicFacts(element, 0)
    return (
      own.type === nic.type &&
      own.macvtapMode === nic.macvtapMode &&
      own.openVSwitch === nic.openVSwitch &&
      own.backend === nic.backend &&
      own.trustGuestRxFilters === nic.trustGuestRxFilters
    )
  })
  if (found !== undefined) return found
  throw new VmrError('CONFIG_INVALID', `no interface mode is for a NIC of type ${nic.type}, as ${nic.mac} is`, {
    hint: 'Put a file for it under templates/nics (see `vmr nic list`).',
  })
}

function uplinkOf({ type, source }: NicFacts, testbed: Testbed | undefined): string | undefined {
  if (type === 'direct') return source
  return testbed?.links.find(({ bridge }) => type === 'bridge' && bridge === source)?.uplink
}

/** Makes a domain vmr's own, whether it runs or not; its disks stay its owner's. */
export async function adoptDomain(
  connection: Connection,
  domain: Domain,
  metadata: VmrMetadata,
  { signal }: { readonly signal: AbortSignal },
): Promise<void> {
  await withLibvirt(`taking ${domain.name} over`, async () => {
    const live = await connection.isDomainActive(domain, { signal })
    await connection.setDomainMetadata(
      domain,
      { kind: 'element', uri: vmrNamespace },
      buildXml(metadataFragment(metadata)),
      { config: true, live, prefix: vmrPrefix, signal },
    )
  })
}
