import { type Connection, type Domain, isDomainNotFound, isOperationInvalid } from '../libvirt/index.ts'
import { hostExecutors } from '../undo/host-executors.ts'
import type { UndoStepOf } from '../undo/steps.ts'
import type { UndoExecutors, UndoOutcome } from '../undo/undo-all.ts'
import { withConnection } from './host.ts'
import { withLibvirt } from './libvirt-failure.ts'

/** How every kind of change that vmr makes is taken back. */
export const undoExecutors: UndoExecutors = { ...hostExecutors, domain: removeJournaledDomain }

async function removeJournaledDomain({ uri, uuid, name }: UndoStepOf<'domain'>): Promise<UndoOutcome> {
  return withConnection(uri, async (connection) => {
    let domain: Domain
    try {
      domain = await connection.lookupDomainByUuid(uuid)
    } catch (error) {
      if (isDomainNotFound(error)) return 'gone'
      throw error
    }
    await withLibvirt(`removing ${name}`, () => removeDomain(connection, domain))
    return 'undone'
  })
}

/** Ends a domain if it runs, and forgets it with its NVRAM, managed save and snapshots' metadata. */
export async function removeDomain(connection: Connection, domain: Domain): Promise<void> {
  await destroyIfRunning(connection, domain)
  try {
    await connection.undefineDomain(domain, { managedSave: true, snapshotsMetadata: true, nvram: true })
  } catch (error) {
    // A transient domain is gone with its end.
    if (!isDomainNotFound(error)) throw error
  }
}

/** True when it ran. */
export async function destroyIfRunning(connection: Connection, domain: Domain): Promise<boolean> {
  try {
    await connection.destroyDomain(domain)
    return true
  } catch (error) {
    // VIR_ERR_OPERATION_INVALID is libvirt's word for a domain that does not run.
    if (isOperationInvalid(error) || isDomainNotFound(error)) return false
    throw error
  }
}
