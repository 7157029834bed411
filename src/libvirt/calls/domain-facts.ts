import type { CallOptions } from '../call-options.ts'
import {
  addressSources,
  controlStates,
  diskErrors,
  domainStateReasons,
  domainStates,
  ipAddressTypes,
  jobTypes,
  metadataTypes,
  type NameOf,
  nameOf,
} from '../protocol/enums.ts'
import { procedures } from '../protocol/procedures.ts'
import type { Domain } from '../protocol/types.ts'
import type { Rpc } from '../rpc.ts'
import { type TypedRecord, typedRecord } from '../typed-parameters.ts'
import { type AffectOptions, affectBits, flagBits } from './flags.ts'

/** virDomainXMLFlags */
export interface DomainXmlOptions extends CallOptions {
  /** The persistent definition, though the domain runs. */
  readonly inactive?: boolean
  /** With passwords and the like. */
  readonly secure?: boolean
  readonly migratable?: boolean
  readonly updateCpu?: boolean
}
const xmlBits = { secure: 1, inactive: 2, updateCpu: 4, migratable: 8 }

export type DomainState = NameOf<typeof domainStates>

/** A domain's state and how it came into it. */
export interface DomainStateReason {
  readonly state: DomainState
  readonly reason: string
}

/** An address that a guest's interface has. */
export interface InterfaceAddresses {
  /** The interface: the guest's own name from the agent, else the host's device. */
  readonly name: string
  readonly mac: string | null
  readonly addresses: readonly {
    readonly type: NameOf<typeof ipAddressTypes>
    readonly address: string
    readonly prefix: number
  }[]
}

export interface DomainJob {
  readonly type: NameOf<typeof jobTypes>
  readonly details: TypedRecord
}

/** Where metadata is: the title, the description, or an element of one's own in the namespace `uri`. */
export type MetadataKind =
  | { readonly kind: 'title' | 'description' }
  | { readonly kind: 'element'; readonly uri: string }

/** Questions about one domain. */
export function domainFactCalls({ call }: Rpc) {
  return {
    domainXml: async (domain: Domain, options?: DomainXmlOptions): Promise<string> =>
      (await call(procedures.DOMAIN_GET_XML_DESC, { domain, flags: flagBits(options, xmlBits) }, options)).xml,
    domainState: async (domain: Domain, options?: CallOptions): Promise<DomainStateReason> => {
      const { state, reason } = await call(procedures.DOMAIN_GET_STATE, { domain, flags: 0 }, options)
      return {
        state: nameOf(domainStates, state),
        reason: nameOf<readonly string[]>(domainStateReasons[state] ?? [], reason),
      }
    },
    /** State, memory (KiB), virtual CPUs and CPU time used so far (ns). */
    domainInfo: async (domain: Domain, options?: CallOptions) => {
      const info = await call(procedures.DOMAIN_GET_INFO, { domain }, options)
      return { ...info, state: nameOf(domainStates, info.state) }
    },
    isDomainActive: async (domain: Domain, options?: CallOptions): Promise<boolean> =>
      (await call(procedures.DOMAIN_IS_ACTIVE, { domain }, options)).value,
    isDomainPersistent: async (domain: Domain, options?: CallOptions): Promise<boolean> =>
      (await call(procedures.DOMAIN_IS_PERSISTENT, { domain }, options)).value,
    /** Whether the persistent definition was changed since the domain started. */
    isDomainUpdated: async (domain: Domain, options?: CallOptions): Promise<boolean> =>
      (await call(procedures.DOMAIN_IS_UPDATED, { domain }, options)).value,
    /** What libvirt found to warn about, as a tainted domain. */
    domainMessages: async (domain: Domain, options?: CallOptions): Promise<readonly string[]> =>
      (await call(procedures.DOMAIN_GET_MESSAGES, { domain, flags: 0 }, options)).messages,
    /** Whether the way to QEMU is free; `stateTime` in ms. */
    domainControl: async (domain: Domain, options?: CallOptions) => {
      const control = await call(procedures.DOMAIN_GET_CONTROL_INFO, { domain, flags: 0 }, options)
      return { ...control, state: nameOf(controlStates, control.state) }
    },
    /** What occupies the domain now, or with `completed`, what did last. */
    domainJob: async (domain: Domain, options?: CallOptions & { readonly completed?: boolean }): Promise<DomainJob> => {
      const args = { domain, flags: flagBits(options, { completed: 1 }) }
      const { type, parameters } = await call(procedures.DOMAIN_GET_JOB_STATS, args, options)
      return { type: nameOf(jobTypes, type), details: typedRecord(parameters) }
    },
    /** Disks that stopped with an error. */
    diskErrors: async (domain: Domain, options?: CallOptions) => {
      const { errors } = await call(procedures.DOMAIN_GET_DISK_ERRORS, { domain, maxErrors: 256, flags: 0 }, options)
      return errors.map(({ disk, error }) => ({ disk, error: nameOf(diskErrors, error) }))
    },
    /**
     * The guest's addresses, as known from DHCP leases of libvirt's networks, from the guest agent, or from the host's
     * neighbour table.
     */
    interfaceAddresses: async (
      domain: Domain,
      source: (typeof addressSources)[number] = 'lease',
      options?: CallOptions,
    ): Promise<readonly InterfaceAddresses[]> => {
      const args = { domain, source: addressSources.indexOf(source), flags: 0 }
      const { interfaces } = await call(procedures.DOMAIN_INTERFACE_ADDRESSES, args, options)
      return interfaces.map(({ name, hwaddr, addresses }) => ({
        name,
        mac: hwaddr,
        addresses: addresses.map((entry) => ({ ...entry, type: nameOf(ipAddressTypes, entry.type) })),
      }))
    },
    /** The host name that the guest gives itself, from DHCP leases or the agent. */
    guestHostname: async (
      domain: Domain,
      options?: CallOptions & { readonly lease?: boolean; readonly agent?: boolean },
    ): Promise<string> => {
      const args = { domain, flags: flagBits(options, { lease: 1, agent: 2 }) }
      return (await call(procedures.DOMAIN_GET_HOSTNAME, args, options)).hostname
    },
    /** The title, description or own element of a domain, as text or XML. @throws {LibvirtError} see isMetadataNotFound */
    domainMetadata: async (
      domain: Domain,
      which: MetadataKind,
      options?: CallOptions & AffectOptions,
    ): Promise<string> => {
      const uri = which.kind === 'element' ? which.uri : null
      const args = { domain, type: metadataTypes.indexOf(which.kind), uri, flags: flagBits(options, affectBits) }
      return (await call(procedures.DOMAIN_GET_METADATA, args, options)).metadata
    },
    /**
     * Sets, or with null removes, the title, description or own element of a domain.
     *
     * @param options.prefix namespace prefix under which libvirt writes an own element; it needs one.
     */
    setDomainMetadata: async (
      domain: Domain,
      which: MetadataKind,
      metadata: string | null,
      options?: CallOptions & AffectOptions & { readonly prefix?: string },
    ): Promise<void> => {
      const args = {
        domain,
        type: metadataTypes.indexOf(which.kind),
        metadata,
        key: options?.prefix ?? null,
        uri: which.kind === 'element' ? which.uri : null,
        flags: flagBits(options, affectBits),
      }
      return call(procedures.DOMAIN_SET_METADATA, args, options)
    },
  }
}
