import { rm } from 'node:fs/promises'
import type { Connection } from '../libvirt/index.ts'
import { listJournals, reopenJournal } from '../undo/journal.ts'
import { type UndoneStep, undoAll } from '../undo/undo-all.ts'
import { vmDirectory, vmPurpose } from './create.ts'
import { undoExecutors } from './domain-undo.ts'
import type { Vm } from './find-vm.ts'
import { withLibvirt } from './libvirt-failure.ts'
import { removeDomain } from './remove-domain.ts'
import { withVmLock } from './vm-lock.ts'

export interface DeleteOptions {
  readonly journalDirectory: string
  readonly onStep?: (step: UndoneStep) => void
  /** Ends only the wait for another vmr that changes the VM: a removal that has begun goes to its end. */
  readonly signal?: AbortSignal
}

/**
 * Ends and forgets a VM, and takes back what was made for it: overlays, seed, UEFI variables, serial log, and bridges
 * that no other VM uses. Images that were there before stay.
 *
 * @throws VmrError HOST_BUSY, LIBVIRT_FAILED; CLEANUP_INCOMPLETE when something could not be taken back.
 */
export function deleteVm(connection: Connection, vm: Vm, options: DeleteOptions): Promise<void> {
  return withVmLock(vm.domain.name, options, () => removeVm(connection, vm, options))
}

async function removeVm(connection: Connection, { domain, facts }: Vm, options: DeleteOptions): Promise<void> {
  // That of a domain that vmr took over is its owner's, as its disks are.
  const keepNvram = facts.nvram !== undefined && !facts.nvram.startsWith(`${vmDirectory(domain.name)}/`)
  await withLibvirt(`removing ${domain.name}`, () => removeDomain(connection, domain, { keepNvram }))
  const journals = await listJournals(options.journalDirectory)
  for (const { path, purpose } of journals) {
    if (purpose !== vmPurpose(domain.name)) continue
    const journal = await reopenJournal(path)
    try {
      await undoAll(journal, {
        executors: undoExecutors,
        ...(options.onStep === undefined ? {} : { onStep: options.onStep }),
      })
    } finally {
      await journal.close()
    }
  }
  await rm(vmDirectory(domain.name), { recursive: true, force: true })
}
