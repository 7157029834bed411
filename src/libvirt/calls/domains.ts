import type { CallOptions } from '../call-options.ts'
import { procedures } from '../protocol/procedures.ts'
import type { Domain } from '../protocol/types.ts'
import type { Rpc } from '../rpc.ts'
import { flagBits } from './flags.ts'

/** virConnectListAllDomainsFlags: what a listed domain must be. Of two opposites, neither and both mean any. */
export interface ListDomainsOptions extends CallOptions {
  readonly active?: boolean
  readonly inactive?: boolean
  readonly persistent?: boolean
  readonly transient?: boolean
  readonly running?: boolean
  readonly paused?: boolean
  readonly shutoff?: boolean
  readonly autostart?: boolean
}
const listBits = {
  active: 1,
  inactive: 2,
  persistent: 4,
  transient: 8,
  running: 16,
  paused: 32,
  shutoff: 64,
  autostart: 1024,
}

/** virDomainCreateFlags */
export interface CreateDomainOptions extends CallOptions {
  /** Start with the CPUs stopped. */
  readonly paused?: boolean
  /** Destroy the domain when this connection ends. */
  readonly autoDestroy?: boolean
  readonly bypassCache?: boolean
  /** Boot afresh, forgetting a managed save. */
  readonly forceBoot?: boolean
  readonly resetNvram?: boolean
}
const createBits = { paused: 1, autoDestroy: 2, bypassCache: 4, forceBoot: 8, resetNvram: 32 }
const createXmlBits = { ...createBits, validate: 16 }

/** virDomainShutdownFlagValues, virDomainRebootFlagValues: how to ask the guest; with none, libvirt chooses. */
export interface ShutdownOptions extends CallOptions {
  readonly acpi?: boolean
  readonly guestAgent?: boolean
}
const shutdownBits = { acpi: 1, guestAgent: 2 }

/** virDomainUndefineFlagsValues. Without a choice libvirt refuses domains that have NVRAM, a managed save or snapshots. */
export interface UndefineOptions extends CallOptions {
  readonly managedSave?: boolean
  readonly snapshotsMetadata?: boolean
  readonly nvram?: boolean
  readonly keepNvram?: boolean
  readonly checkpointsMetadata?: boolean
  readonly tpm?: boolean
  readonly keepTpm?: boolean
}
const undefineBits = {
  managedSave: 1,
  snapshotsMetadata: 2,
  nvram: 4,
  keepNvram: 8,
  checkpointsMetadata: 16,
  tpm: 32,
  keepTpm: 64,
}

/** virDomainSaveRestoreFlags */
export interface ManagedSaveOptions extends CallOptions {
  readonly bypassCache?: boolean
  /** The state to restore to; that of now if neither is given. */
  readonly running?: boolean
  readonly paused?: boolean
}
const saveBits = { bypassCache: 1, running: 2, paused: 4 }

/** The life of domains. */
export function domainCalls({ call }: Rpc) {
  return {
    /** All domains that match, running or not. */
    listAllDomains: async (options: ListDomainsOptions = {}): Promise<readonly Domain[]> => {
      const args = { needResults: true, flags: flagBits(options, listBits) }
      return (await call(procedures.CONNECT_LIST_ALL_DOMAINS, args, options)).domains
    },
    /** @throws {LibvirtError} see isDomainNotFound */
    lookupDomainByName: async (name: string, options?: CallOptions): Promise<Domain> =>
      (await call(procedures.DOMAIN_LOOKUP_BY_NAME, { name }, options)).domain,
    /** @throws {LibvirtError} see isDomainNotFound */
    lookupDomainByUuid: async (uuid: string, options?: CallOptions): Promise<Domain> =>
      (await call(procedures.DOMAIN_LOOKUP_BY_UUID, { uuid }, options)).domain,
    /** @throws {LibvirtError} see isDomainNotFound */
    lookupDomainById: async (id: number, options?: CallOptions): Promise<Domain> =>
      (await call(procedures.DOMAIN_LOOKUP_BY_ID, { id }, options)).domain,
    /**
     * Defines a persistent domain, or changes one of the same name and UUID.
     *
     * @param options.validate checks the XML against libvirt's schema first (VIR_DOMAIN_DEFINE_VALIDATE).
     * @throws {LibvirtError} see isXmlInvalid
     */
    defineDomain: async (xml: string, options?: CallOptions & { readonly validate?: boolean }): Promise<Domain> => {
      const args = { xml, flags: flagBits(options, { validate: 1 }) }
      return (await call(procedures.DOMAIN_DEFINE_XML_FLAGS, args, options)).domain
    },
    /** Starts a defined domain; returns it with its id. */
    createDomain: async (domain: Domain, options?: CreateDomainOptions): Promise<Domain> => {
      const args = { domain, flags: flagBits(options, createBits) }
      return (await call(procedures.DOMAIN_CREATE_WITH_FLAGS, args, options)).domain
    },
    /** Starts a transient domain: it is gone when it stops. */
    createTransientDomain: async (
      xml: string,
      options?: CreateDomainOptions & { readonly validate?: boolean },
    ): Promise<Domain> =>
      (await call(procedures.DOMAIN_CREATE_XML, { xml, flags: flagBits(options, createXmlBits) }, options)).domain,
    /** Asks the guest to power off; returns before it has. */
    shutdownDomain: async (domain: Domain, options?: ShutdownOptions): Promise<void> =>
      call(procedures.DOMAIN_SHUTDOWN_FLAGS, { domain, flags: flagBits(options, shutdownBits) }, options),
    /** Asks the guest to reboot; returns before it has. */
    rebootDomain: async (domain: Domain, options?: ShutdownOptions): Promise<void> =>
      call(procedures.DOMAIN_REBOOT, { domain, flags: flagBits(options, shutdownBits) }, options),
    /** Pushes the reset button. */
    resetDomain: async (domain: Domain, options?: CallOptions): Promise<void> =>
      call(procedures.DOMAIN_RESET, { domain, flags: 0 }, options),
    /**
     * Pulls the plug.
     *
     * @param options.graceful only SIGTERM for QEMU, never SIGKILL: fails instead of losing data in its caches.
     */
    destroyDomain: async (
      domain: Domain,
      options?: CallOptions & { readonly graceful?: boolean; readonly removeLogs?: boolean },
    ): Promise<void> => {
      const args = { domain, flags: flagBits(options, { graceful: 1, removeLogs: 2 }) }
      return call(procedures.DOMAIN_DESTROY_FLAGS, args, options)
    },
    /** Stops the CPUs; the domain keeps its memory. */
    suspendDomain: async (domain: Domain, options?: CallOptions): Promise<void> =>
      call(procedures.DOMAIN_SUSPEND, { domain }, options),
    resumeDomain: async (domain: Domain, options?: CallOptions): Promise<void> =>
      call(procedures.DOMAIN_RESUME, { domain }, options),
    undefineDomain: async (domain: Domain, options?: UndefineOptions): Promise<void> =>
      call(procedures.DOMAIN_UNDEFINE_FLAGS, { domain, flags: flagBits(options, undefineBits) }, options),
    /** Renames a domain that does not run; the object in hand keeps the old name. */
    renameDomain: async (domain: Domain, newName: string, options?: CallOptions): Promise<void> => {
      await call(procedures.DOMAIN_RENAME, { domain, newName, flags: 0 }, options)
    },
    domainAutostart: async (domain: Domain, options?: CallOptions): Promise<boolean> =>
      (await call(procedures.DOMAIN_GET_AUTOSTART, { domain }, options)).value,
    /** Whether the daemon starts the domain when it starts itself. */
    setDomainAutostart: async (domain: Domain, autostart: boolean, options?: CallOptions): Promise<void> =>
      call(procedures.DOMAIN_SET_AUTOSTART, { domain, autostart }, options),
    /** Stops the domain and keeps its memory on disk until it is started again. Give it a time limit that suits its memory. */
    managedSave: async (domain: Domain, options?: ManagedSaveOptions): Promise<void> =>
      call(procedures.DOMAIN_MANAGED_SAVE, { domain, flags: flagBits(options, saveBits) }, options),
    hasManagedSave: async (domain: Domain, options?: CallOptions): Promise<boolean> =>
      (await call(procedures.DOMAIN_HAS_MANAGED_SAVE_IMAGE, { domain, flags: 0 }, options)).value,
    removeManagedSave: async (domain: Domain, options?: CallOptions): Promise<void> =>
      call(procedures.DOMAIN_MANAGED_SAVE_REMOVE, { domain, flags: 0 }, options),
    /** Cancels what occupies the domain, as a save. */
    abortJob: async (domain: Domain, options?: CallOptions): Promise<void> =>
      call(procedures.DOMAIN_ABORT_JOB, { domain }, options),
  }
}
