import Table from 'cli-table3'
import { VmrError } from '../../errors/vmr-error.ts'
import { findVm } from '../../vm/find-vm.ts'
import { withConnection } from '../../vm/host.ts'
import { deleteSnapshot, listSnapshots, revertToSnapshot, takeSnapshot } from '../../vm/snapshot.ts'
import { withVmLock } from '../../vm/vm-lock.ts'
import { confirm } from '../confirm.ts'
import type { CommandContext, CommandStatus } from '../context.ts'
import { withProgress } from '../progress.ts'

interface VmSnapshotOptions {
  readonly json?: true | undefined
  readonly list?: true | undefined
  readonly delete?: true | undefined
  readonly connect: string
}

export async function vmSnapshot(
  { terminal, signal }: CommandContext,
  name: string,
  given: string | undefined,
  { json, list, delete: remove, connect }: VmSnapshotOptions,
): Promise<CommandStatus> {
  if (list && (remove || given !== undefined))
    throw new VmrError('USAGE', '--list lists the snapshots of a VM, and takes nothing else', {
      hint: `vmr vm snapshot ${name} --list`,
    })
  if (remove && given === undefined)
    throw new VmrError('USAGE', '--delete: which snapshot?', { hint: `vmr vm snapshot ${name} NAME --delete` })
  const snapshot = given ?? new Date().toISOString().slice(0, 19).replaceAll(':', '')
  const snapshots = await withConnection(
    connect,
    (connection) =>
      withVmLock(name, { signal }, async () => {
        const vm = await findVm(connection, name, signal)
        if (remove) await deleteSnapshot(connection, vm, snapshot, { signal })
        else if (!list)
          await withProgress(terminal, `snapshot ${snapshot} of ${name}`, () =>
            takeSnapshot(connection, vm, snapshot, { signal }),
          )
        return listSnapshots(connection, vm, { signal })
      }),
    signal,
  )
  if (json) {
    const done = list ? {} : remove ? { deleted: snapshot } : { taken: snapshot }
    terminal.json<'vm snapshot'>({ name, ...done, snapshots })
  } else if (remove) terminal.result(`the snapshot ${snapshot} of ${name} is removed`)
  else if (!list) terminal.result(`${snapshot} is taken; go back to it: vmr vm revert ${name} ${snapshot}`)
  else if (snapshots.length === 0) terminal.result(`${name} has no snapshot`)
  else {
    const table = new Table({ head: ['snapshot', 'taken at', 'VM', ''], style: { head: [], border: [] } })
    for (const each of snapshots) table.push([each.name, each.takenAt, each.state, each.current ? 'current' : ''])
    terminal.result(table.toString())
  }
  return undefined
}

interface VmRevertOptions {
  readonly json?: true | undefined
  readonly yes?: true | undefined
  readonly connect: string
}

export async function vmRevert(
  { terminal, signal }: CommandContext,
  name: string,
  snapshot: string,
  { json, yes, connect }: VmRevertOptions,
): Promise<CommandStatus> {
  if (!yes && !(await confirm(`Bring ${name} back to ${snapshot}? What it has done since is lost.`, signal)))
    throw new VmrError('USAGE', `${name} was not brought back: nobody said yes`, { hint: 'Give --yes.' })
  await withConnection(
    connect,
    (connection) =>
      withVmLock(name, { signal }, async () => {
        const vm = await findVm(connection, name, signal)
        await withProgress(terminal, `${name} to ${snapshot}`, () =>
          revertToSnapshot(connection, vm, snapshot, { signal }),
        )
      }),
    signal,
  )
  if (json) terminal.json<'vm revert'>({ name, snapshot })
  else terminal.result(`${name} is as it was at ${snapshot}`)
  return undefined
}
