import { loadDomainDefinition } from '../../../src/config/load-domain-definition.ts'
import { networkConfigSchema } from '../../../src/config/network-config.ts'
import { journalDirectory } from '../../../src/config/paths.ts'
import { vyosOs } from '../../../src/os/vyos/vyos-os.ts'
import { serialShell } from '../../../src/shell/serial/serial-shell.ts'
import { openJournal } from '../../../src/undo/journal.ts'
import { createVm, planVm, vmPurpose } from '../../../src/vm/create.ts'
import { deleteVm } from '../../../src/vm/delete.ts'
import { findVm } from '../../../src/vm/find-vm.ts'
import { prepareGuest } from '../../../src/vm/prepare-guest.ts'
import type { RunningVm } from '../vm/running-vm.ts'

const { signal } = new AbortController()

/** A second VM on the same uplinks, with addresses on its eth0. Nobody holds its console. Returns what removes it. */
export async function makeNeighbourVm(
  { connection, testbed, testbedFile, modes }: RunningVm,
  { name, mode, addresses }: { readonly name: string; readonly mode: string; readonly addresses: readonly string[] },
): Promise<() => Promise<void>> {
  const plan = await planVm({
    ...{ name, mode, modes, testbed, signal },
    ...{ testbedName: testbedFile, vmrVersion: '0.0.0' },
    definition: await loadDomainDefinition('lab-router'),
    ...(await prepareGuest({ requested: 'tcg', signal, onProgress: () => undefined })),
  })
  const remove = async () =>
    deleteVm(connection, await findVm(connection, name), { journalDirectory: journalDirectory() })
  const journal = await openJournal({ directory: journalDirectory(), purpose: vmPurpose(name) })
  const { session } = await createVm(connection, plan, { journal, signal, accelerator: 'tcg' })
  try {
    await journal.keep()
    await journal.close()
    const shell = serialShell(session)
    await vyosOs.configure(shell, networkConfigSchema.parse({ ethernets: { eth0: { addresses } } }))
    await shell.close()
    await session.close()
    return remove
  } catch (error) {
    await session.close()
    await remove()
    throw error
  }
}
