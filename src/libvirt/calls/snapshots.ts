import type { CallOptions } from '../call-options.ts'
import { procedures } from '../protocol/procedures.ts'
import type { Domain, DomainSnapshot } from '../protocol/types.ts'
import type { Rpc } from '../rpc.ts'
import { flagBits } from './flags.ts'

/** virDomainSnapshotCreateFlags */
export interface CreateSnapshotOptions extends CallOptions {
  readonly diskOnly?: boolean
  readonly reuseExternal?: boolean
  readonly quiesce?: boolean
  readonly atomic?: boolean
  readonly live?: boolean
  readonly halt?: boolean
  readonly noMetadata?: boolean
  readonly validate?: boolean
}
const createBits = {
  noMetadata: 4,
  halt: 8,
  diskOnly: 16,
  reuseExternal: 32,
  quiesce: 64,
  atomic: 128,
  live: 256,
  validate: 512,
}

/** virDomainSnapshotRevertFlags: the state to go on in; else the snapshot's own. `force` reverts though it is risky. */
export interface RevertOptions extends CallOptions {
  readonly running?: boolean
  readonly paused?: boolean
  readonly force?: boolean
}
const revertBits = { running: 1, paused: 2, force: 4 }

/** virDomainSnapshotDeleteFlags */
export interface DeleteSnapshotOptions extends CallOptions {
  readonly children?: boolean
  readonly metadataOnly?: boolean
  readonly childrenOnly?: boolean
}
const deleteBits = { children: 1, metadataOnly: 2, childrenOnly: 4 }

/** Snapshots. Those with memory take long: give them a time limit that suits. */
export function snapshotCalls({ call }: Rpc) {
  return {
    listSnapshots: async (domain: Domain, options?: CallOptions): Promise<readonly DomainSnapshot[]> => {
      const args = { domain, needResults: true, flags: 0 }
      return (await call(procedures.DOMAIN_LIST_ALL_SNAPSHOTS, args, options)).snapshots
    },
    /** @param xml a `<domainsnapshot>`, as `<domainsnapshot><name>before</name></domainsnapshot>`. */
    createSnapshot: async (domain: Domain, xml: string, options?: CreateSnapshotOptions): Promise<DomainSnapshot> => {
      const args = { domain, xml, flags: flagBits(options, createBits) }
      return (await call(procedures.DOMAIN_SNAPSHOT_CREATE_XML, args, options)).snapshot
    },
    /** @throws {LibvirtError} see isSnapshotNotFound */
    lookupSnapshot: async (domain: Domain, name: string, options?: CallOptions): Promise<DomainSnapshot> =>
      (await call(procedures.DOMAIN_SNAPSHOT_LOOKUP_BY_NAME, { domain, name, flags: 0 }, options)).snapshot,
    hasCurrentSnapshot: async (domain: Domain, options?: CallOptions): Promise<boolean> =>
      (await call(procedures.DOMAIN_HAS_CURRENT_SNAPSHOT, { domain, flags: 0 }, options)).value,
    /** @throws {LibvirtError} see isSnapshotNotFound */
    currentSnapshot: async (domain: Domain, options?: CallOptions): Promise<DomainSnapshot> =>
      (await call(procedures.DOMAIN_SNAPSHOT_CURRENT, { domain, flags: 0 }, options)).snapshot,
    /** @throws {LibvirtError} see isSnapshotNotFound, for the first one */
    snapshotParent: async (snapshot: DomainSnapshot, options?: CallOptions): Promise<DomainSnapshot> =>
      (await call(procedures.DOMAIN_SNAPSHOT_GET_PARENT, { snapshot, flags: 0 }, options)).snapshot,
    snapshotXml: async (snapshot: DomainSnapshot, options?: CallOptions): Promise<string> =>
      (await call(procedures.DOMAIN_SNAPSHOT_GET_XML_DESC, { snapshot, flags: 0 }, options)).xml,
    revertToSnapshot: async (snapshot: DomainSnapshot, options?: RevertOptions): Promise<void> =>
      call(procedures.DOMAIN_REVERT_TO_SNAPSHOT, { snapshot, flags: flagBits(options, revertBits) }, options),
    deleteSnapshot: async (snapshot: DomainSnapshot, options?: DeleteSnapshotOptions): Promise<void> =>
      call(procedures.DOMAIN_SNAPSHOT_DELETE, { snapshot, flags: flagBits(options, deleteBits) }, options),
  }
}
