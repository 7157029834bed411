import { checkVmName } from '../config/vm-name.ts'
import { type DomainFacts, readDomainFacts } from '../domain/domain-facts.ts'
import type { VmrMetadata } from '../domain/metadata.ts'
import { VmrError } from '../errors/vmr-error.ts'
import { type Connection, type Domain, isDomainNotFound } from '../libvirt/index.ts'
import { withLibvirt } from './libvirt-failure.ts'

/** A domain that vmr made, as it is defined. */
export interface Vm {
  readonly domain: Domain
  readonly facts: DomainFacts
  readonly metadata: VmrMetadata
}

/** Undefined when libvirt knows no domain of that name, whoever made it. */
export async function findDomain(
  connection: Connection,
  name: string,
  signal?: AbortSignal,
): Promise<Domain | undefined> {
  checkVmName(name)
  return withLibvirt(`looking for ${name}`, async () => {
    try {
      return await connection.lookupDomainByName(name, { signal })
    } catch (error) {
      if (isDomainNotFound(error)) return undefined
      throw error
    }
  })
}

/** @throws VmrError NAME_INVALID, VM_NOT_FOUND; VM_NOT_OURS for a domain without vmr's metadata. */
export async function findVm(connection: Connection, name: string, signal?: AbortSignal): Promise<Vm> {
  const domain = await findDomain(connection, name, signal)
  if (domain === undefined) throw new VmrError('VM_NOT_FOUND', `there is no VM ${name}`, { hint: 'See `vmr vm list`.' })
  const facts = await definedFacts(connection, domain, signal)
  if (facts.vmr === undefined)
    throw new VmrError('VM_NOT_OURS', `the domain ${name} was not made by vmr, which leaves it alone`, {
      hint: `Have it taken over with \`vmr vm adopt ${name}\`, use virsh for it, or choose another name.`,
    })
  return { domain, facts, metadata: facts.vmr }
}

export async function listVms(connection: Connection, signal?: AbortSignal): Promise<readonly Vm[]> {
  const domains = await withLibvirt('listing domains', () => connection.listAllDomains({ signal }))
  const vms = await Promise.all(
    domains.map(async (domain) => {
      const facts = await definedFacts(connection, domain, signal)
      return facts.vmr === undefined ? [] : [{ domain, facts, metadata: facts.vmr }]
    }),
  )
  return vms.flat().sort((left, right) => left.domain.name.localeCompare(right.domain.name))
}

async function definedFacts(connection: Connection, domain: Domain, signal?: AbortSignal): Promise<DomainFacts> {
  const xml = await withLibvirt(`reading the XML of ${domain.name}`, () =>
    connection.domainXml(domain, { inactive: true, signal }),
  )
  return readDomainFacts(xml, `XML of ${domain.name}`)
}
