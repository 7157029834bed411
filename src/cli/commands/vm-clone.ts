import { journalDirectory } from '../../config/paths.ts'
import { loadTestbed } from '../../testbed/testbed.ts'
import { openJournal } from '../../undo/journal.ts'
import { withUndo } from '../../undo/undo-all.ts'
import { cloneVm, planClone } from '../../vm/clone.ts'
import { vmPurpose } from '../../vm/create.ts'
import { undoExecutors } from '../../vm/domain-undo.ts'
import { findVm } from '../../vm/find-vm.ts'
import { withConnection } from '../../vm/host.ts'
import { withVmLock } from '../../vm/vm-lock.ts'
import type { CommandContext, CommandStatus } from '../context.ts'
import { withProgress } from '../progress.ts'

interface VmCloneOptions {
  readonly json?: true | undefined
  readonly dryRun?: true | undefined
  readonly connect: string
}

export async function vmClone(
  { terminal, signal }: CommandContext,
  from: string,
  to: string,
  { json, dryRun, connect }: VmCloneOptions,
): Promise<CommandStatus> {
  const plan = await withConnection(
    connect,
    (connection) =>
      // Who starts the VM waits until its disks are copied.
      withVmLock(from, { signal }, async () => {
        const vm = await findVm(connection, from, signal)
        const { testbed } = vm.metadata
        const links = testbed === undefined ? [] : (await loadTestbed(testbed)).links
        const addresses = links.flatMap(({ dut, pc }) => [...dut.addresses, ...pc.addresses])
        const planned = await planClone(connection, vm, to, { addresses, signal })
        if (dryRun) return planned
        await withProgress(terminal, `copying ${from} to ${to}`, async () => {
          const journal = await openJournal({ directory: journalDirectory(), purpose: vmPurpose(to) })
          await withUndo(journal, { executors: undoExecutors }, async (tracked) => {
            await cloneVm(connection, planned, { journal: tracked, signal })
            await tracked.keep()
          })
        })
        return planned
      }),
    signal,
  )
  const { name, uuid, xml, macs } = plan
  if (dryRun) {
    if (json) terminal.json<'vm clone'>({ name, xml })
    else terminal.result(xml)
    return undefined
  }
  if (json) terminal.json<'vm clone'>({ name, of: from, uuid, macs })
  else terminal.result(`${name} is a copy of ${from}, with MAC addresses of its own; start it: vmr vm start ${name}`)
  return undefined
}
