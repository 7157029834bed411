import { randomUUID } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { type DomainFacts, readDomainFacts } from '../domain/domain-facts.ts'
import { assignMacs } from '../domain/mac.ts'
import { movedDomain, withNewIdentity } from '../domain/moved-domain.ts'
import { buildXml } from '../domain/xml/build.ts'
import type { XmlElement } from '../domain/xml/element.ts'
import { VmrError } from '../errors/vmr-error.ts'
import { writeError } from '../errors/write-error.ts'
import type { Connection } from '../libvirt/index.ts'
import { exists } from '../shell/local/exists.ts'
import { localShell } from '../shell/local.ts'
import { runChecked } from '../shell/shell.ts'
import type { Journal } from '../undo/journal.ts'
import { vmDirectory } from './create.ts'
import type { Vm } from './find-vm.ts'
import { withLibvirt } from './libvirt-failure.ts'
import { isRunning } from './power.ts'
import { checkNewName } from './rename.ts'
import { withVmLock } from './vm-lock.ts'

export interface ClonePlan {
  readonly name: string
  readonly uuid: string
  readonly xml: string
  /** The new VM's MAC addresses, in the order of its interfaces. */
  readonly macs: readonly string[]
  /** The VM's own files: from, to. */
  readonly copies: readonly { readonly from: string; readonly to: string }[]
}

/**
 * Decides what a VM's twin is: new UUID and MAC addresses, files of its own, all else the same. Changes nothing.
 *
 * @param addresses of the testbed, whose low 24 bits no MAC address may have.
 * @throws VmrError NAME_INVALID, VM_EXISTS; VM_RUNNING for a VM that writes to a disk; CONFIG_INVALID for a disk that is
 * not the VM's own and writable: two VMs on one disk destroy it.
 */
export async function planClone(
  connection: Connection,
  vm: Vm,
  name: string,
  { addresses, signal }: { readonly addresses: readonly string[]; readonly signal: AbortSignal },
): Promise<ClonePlan> {
  await checkNewName(connection, name, signal)
  const xml = await withLibvirt(`reading the XML of ${vm.domain.name}`, () =>
    connection.domainXml(vm.domain, { inactive: true, secure: true, signal }),
  )
  const facts = readDomainFacts(xml)
  const own = vmDirectory(vm.domain.name)
  const shared = facts.disks.find(({ file, empty, readOnly, device }) => {
    const written = !readOnly && (device === 'disk' || device === 'lun')
    return written && !empty && file === undefined
  })
  if (shared !== undefined)
    throw new VmrError('CONFIG_INVALID', `${vm.domain.name} writes to ${shared.target}, which is no file of its own`, {
      hint: 'Two VMs on one disk destroy it. Give the definition a base: each VM has an overlay of its own then.',
    })
  const files = filesOf(facts)
  const foreign = files.find(({ file, written }) => written && !file.startsWith(`${own}/`))
  if (foreign !== undefined)
    throw new VmrError('CONFIG_INVALID', `${vm.domain.name} writes to ${foreign.file}, which a twin cannot share`, {
      hint: 'Give its definition a base instead of a file, so that each VM has an overlay of its own.',
    })
  const copied: typeof files = await existing(files.filter(({ file }) => file.startsWith(`${own}/`)))
  if (copied.some(({ written }) => written) && (await isRunning(connection, vm, signal)))
    throw new VmrError('VM_RUNNING', `${vm.domain.name} runs, and a copy of its disk would be torn`, {
      hint: `Stop it first: vmr vm stop ${vm.domain.name}`,
    })
  const uuid = randomUUID()
  const macs = assignMacs({ vmName: name, nics: facts.nics.map(() => ({})), addresses })
  const identity = { uuid, macs: new Map(facts.nics.flatMap(({ mac }, index) => pair(mac, macs[index]))) }
  const moved: XmlElement = movedDomain(withNewIdentity(facts.element, identity), {
    name,
    directory: { from: own, to: vmDirectory(name) },
  })
  const copies = copied.map(({ file }) => ({ from: file, to: join(vmDirectory(name), basename(file)) }))
  return { name, uuid, xml: buildXml(moved), macs, copies }
}

function pair(mac: string | undefined, own: string | undefined): readonly (readonly [string, string])[] {
  return mac === undefined || own === undefined ? [] : [[mac, own]]
}

function filesOf({ disks, nvram }: DomainFacts): readonly { readonly file: string; readonly written: boolean }[] {
  return [
    ...disks.flatMap(({ file, readOnly, device }) =>
      file === undefined ? [] : [{ file, written: !readOnly && device === 'disk' }],
    ),
    ...(nvram === undefined ? [] : [{ file: nvram, written: true }]),
  ]
}

/** A VM that never ran has no UEFI variables yet. */
async function existing<File extends { readonly file: string }>(files: readonly File[]): Promise<readonly File[]> {
  const there = await Promise.all(files.map(({ file }) => exists(file)))
  return files.filter((_file, index) => there[index])
}

/** Copies the VM's own files and defines its twin. The caller holds the lock of the VM. Errors as of planClone, and HOST_DISK_FULL, LIBVIRT_FAILED. */
export function cloneVm(
  connection: Connection,
  plan: ClonePlan,
  { journal, signal }: { readonly journal: Journal; readonly signal: AbortSignal },
): Promise<void> {
  return withVmLock(plan.name, { signal }, async () => {
    // Another vmr may have made it since it was planned; taking this back would take that one's files.
    await checkNewName(connection, plan.name, signal)
    const directory = vmDirectory(plan.name)
    await journal.before({ kind: 'directory', path: directory })
    try {
      await mkdir(directory, { recursive: true })
    } catch (error) {
      throw writeError(directory, error, { permission: 'Run vmr as root.' })
    }
    for (const { from, to } of plan.copies)
      await runChecked(localShell, ['cp', '--reflink=auto', '--sparse=always', '--', from, to], {
        signal,
        timeoutMs: 600_000,
      })
    await journal.before({ kind: 'domain', uri: connection.uri, name: plan.name, uuid: plan.uuid })
    await withLibvirt(`defining ${plan.name}`, () => connection.defineDomain(plan.xml, { validate: true, signal }))
  })
}
