import { type Domain, isDomainNotFound } from '../libvirt/index.ts'
import { hostExecutors } from '../undo/host-executors.ts'
import type { UndoStepOf } from '../undo/steps.ts'
import type { UndoExecutors, UndoOutcome } from '../undo/undo-all.ts'
import { withConnection } from './host.ts'
import { withLibvirt } from './libvirt-failure.ts'
import { removeDomain } from './remove-domain.ts'
import { undoRename } from './rename.ts'
import { finishSwitch } from './switch/finish-switch.ts'

/** How every kind of change that vmr makes is taken back. */
export const undoExecutors: UndoExecutors = {
  ...hostExecutors,
  domain: removeJournaledDomain,
  'vm-paused': resumePaused,
  'vm-rename': undoRename,
  'nic-switch': finishSwitch,
}

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

async function resumePaused({ uri, uuid, name }: UndoStepOf<'vm-paused'>): Promise<UndoOutcome> {
  return withConnection(uri, async (connection) => {
    try {
      const domain = await connection.lookupDomainByUuid(uuid)
      if ((await connection.domainState(domain)).state !== 'paused') return 'gone'
      await withLibvirt(`resuming ${name}`, () => connection.resumeDomain(domain))
      return 'undone'
    } catch (error) {
      if (isDomainNotFound(error)) return 'gone'
      throw error
    }
  })
}
