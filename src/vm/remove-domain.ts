import { type Connection, type Domain, isDomainNotFound, isOperationInvalid } from '../libvirt/index.ts'

/** Ends a domain if it runs, and forgets it with its managed save, snapshots' metadata and, unless it stays, NVRAM. */
export async function removeDomain(
  connection: Connection,
  domain: Domain,
  { keepNvram = false }: { readonly keepNvram?: boolean } = {},
): Promise<void> {
  await destroyIfRunning(connection, domain)
  try {
    await connection.undefineDomain(domain, {
      managedSave: true,
      snapshotsMetadata: true,
      ...(keepNvram ? { keepNvram } : { nvram: true }),
    })
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
