import { rename } from 'node:fs/promises'
import { journalDirectory } from '../config/paths.ts'
import { checkVmName } from '../config/vm-name.ts'
import { readDomainFacts } from '../domain/domain-facts.ts'
import { movedDomain } from '../domain/moved-domain.ts'
import { buildXml } from '../domain/xml/build.ts'
import { sameElement } from '../domain/xml/element.ts'
import { VmrError } from '../errors/vmr-error.ts'
import { writeError } from '../errors/write-error.ts'
import { type Connection, type Domain, isDomainNotFound } from '../libvirt/index.ts'
import { exists } from '../shell/local/exists.ts'
import { listJournals, openJournal, reopenJournal } from '../undo/journal.ts'
import type { UndoStep, UndoStepOf } from '../undo/steps.ts'
import { type UndoOutcome, withUndo } from '../undo/undo-all.ts'
import { vmDirectory, vmPurpose } from './create.ts'
import { findDomain, type Vm } from './find-vm.ts'
import { withConnection } from './host.ts'
import { withLibvirt } from './libvirt-failure.ts'
import { isRunning } from './power.ts'
import { listSnapshots } from './snapshot.ts'
import { withVmLock } from './vm-lock.ts'

type RenameStep = UndoStepOf<'vm-rename'>

/**
 * Gives a VM that does not run another name: the domain, its own files, and what is noted for its removal. Its UUID and
 * MAC addresses stay. When something fails it has its old name again.
 *
 * @throws VmrError NAME_INVALID, VM_EXISTS, VM_RUNNING, HOST_BUSY, LIBVIRT_FAILED; CONFIG_INVALID for a VM with snapshots.
 */
export async function renameVm(
  connection: Connection,
  vm: Vm,
  to: string,
  { signal }: { readonly signal: AbortSignal },
): Promise<void> {
  const from = vm.domain.name
  checkVmName(to)
  await withVmLock(from, { signal }, () =>
    withVmLock(to, { signal }, async () => {
      await checkNewName(connection, to, signal)
      if (await isRunning(connection, vm, signal))
        throw new VmrError('VM_RUNNING', `${from} runs, and libvirt renames no running VM`, {
          hint: `Stop it first: vmr vm stop ${from}`,
        })
      const [snapshot] = await listSnapshots(connection, vm, { signal })
      if (snapshot !== undefined)
        throw new VmrError(
          'CONFIG_INVALID',
          `${from} has the snapshot ${snapshot.name}, which would bring the old name and paths back`,
          { hint: `Remove it first: vmr vm snapshot ${from} ${snapshot.name} --delete` },
        )
      const journal = await openJournal({ directory: journalDirectory(), purpose: `renaming ${from} to ${to}` })
      const undo = { executors: { 'vm-rename': undoRename } }
      await withUndo(journal, undo, async () => {
        const step: RenameStep = { kind: 'vm-rename', uri: connection.uri, uuid: vm.domain.uuid, from, to }
        const id = await journal.before(step)
        await moveVm(connection, step)
        await journal.undone(id)
      })
    }),
  )
}

/** @throws VmrError NAME_INVALID; VM_EXISTS for a name that a domain or files of one have. */
export async function checkNewName(connection: Connection, name: string, signal: AbortSignal): Promise<void> {
  checkVmName(name)
  if ((await findDomain(connection, name, signal)) !== undefined)
    throw new VmrError('VM_EXISTS', `there is already a domain ${name}`, { hint: 'Choose another name.' })
  if (await exists(vmDirectory(name)))
    throw new VmrError('VM_EXISTS', `${vmDirectory(name)} is there already, from an earlier VM ${name}`, {
      hint: 'Choose another name, or move it away.',
    })
}

export function undoRename({ uri, uuid, from, to, kind }: RenameStep): Promise<UndoOutcome> {
  return withConnection(uri, async (connection) => {
    try {
      await moveVm(connection, { kind, uri, uuid, from: to, to: from })
      return 'undone'
    } catch (error) {
      if (isDomainNotFound(error)) return 'gone'
      throw error
    }
  })
}

/** Does what is not yet done, so that it can be called again after it was killed in its middle. */
async function moveVm(connection: Connection, { uuid, from, to }: RenameStep): Promise<void> {
  const found = await connection.lookupDomainByUuid(uuid)
  if (found.name !== to) await withLibvirt(`renaming ${from} to ${to}`, () => connection.renameDomain(found, to))
  const domain: Domain = { ...found, name: to }
  const directory = { from: vmDirectory(from), to: vmDirectory(to) }
  if ((await exists(directory.from)) && !(await exists(directory.to)))
    try {
      await rename(directory.from, directory.to)
    } catch (error) {
      throw writeError(directory.from, error, { permission: 'Run vmr as root.' })
    }
  const { element } = readDomainFacts(await connection.domainXml(domain, { inactive: true }))
  const moved = movedDomain(element, { name: to, directory })
  if (!sameElement(element, moved))
    await withLibvirt(`defining ${to}`, () => connection.defineDomain(buildXml(moved), {}))
  await moveJournals({ from, to, directory })
}

/** What was made for the VM is noted anew, under its new name, before the old notes go. */
async function moveJournals({
  from,
  to,
  directory,
}: {
  readonly from: string
  readonly to: string
  readonly directory: { readonly from: string; readonly to: string }
}): Promise<void> {
  const journals = await listJournals(journalDirectory())
  for (const { path, steps } of journals.filter(({ purpose }) => purpose === vmPurpose(from))) {
    const renamed = await openJournal({ directory: journalDirectory(), purpose: vmPurpose(to) })
    await renamed.keep()
    for (const { step } of steps) await renamed.before(movedStep(step, to, directory))
    await renamed.close()
    const old = await reopenJournal(path)
    for (const { id } of steps) await old.undone(id)
    await old.close()
  }
}

function movedStep(step: UndoStep, name: string, directory: { readonly from: string; readonly to: string }): UndoStep {
  if (step.kind === 'domain') return { ...step, name }
  if (step.kind !== 'file' && step.kind !== 'directory') return step
  if (step.path !== directory.from && !step.path.startsWith(`${directory.from}/`)) return step
  return { ...step, path: `${directory.to}${step.path.slice(directory.from.length)}` }
}
