import { isDeepStrictEqual } from 'node:util'
import { z } from 'zod'
import { vmNameSchema } from '../config/vm-name.ts'
import { type DiskFacts, type DomainFacts, readDomainFacts } from '../domain/domain-facts.ts'
import { buildXml } from '../domain/xml/build.ts'
import { element, firstChild, textOf, type XmlElement } from '../domain/xml/element.ts'
import { parseXml } from '../domain/xml/parse.ts'
import { VmrError } from '../errors/vmr-error.ts'
import { type Connection, type DomainSnapshot, isSnapshotNotFound } from '../libvirt/index.ts'
import { adoptDomain } from './adopt.ts'
import type { Vm } from './find-vm.ts'
import { withLibvirt } from './libvirt-failure.ts'
import { isRunning } from './power.ts'
import { destroyIfRunning } from './remove-domain.ts'
import { prepareUplinksOf, uplinkUsesOf } from './uplink-uses.ts'

/** Memory goes into the snapshot too, and is read back: a large VM on a slow disk takes minutes. */
const snapshotTimeoutMs = 10 * 60_000

export interface Snapshot {
  readonly name: string
  readonly takenAt: string
  /** Of the VM then: it goes on in this one when it is brought back. */
  readonly state: string
  readonly current: boolean
}

interface SnapshotOptions {
  readonly signal: AbortSignal
}

/**
 * Keeps a VM's disks, and its memory if it runs, inside its qcow2 files.
 *
 * @throws VmrError NAME_INVALID, SNAPSHOT_EXISTS; CONFIG_INVALID for a VM that libvirt can keep nothing of.
 */
export async function takeSnapshot(
  connection: Connection,
  vm: Vm,
  name: string,
  { signal }: SnapshotOptions,
): Promise<void> {
  const parsed = vmNameSchema.safeParse(name)
  if (!parsed.success)
    throw new VmrError(
      'NAME_INVALID',
      `${JSON.stringify(name.slice(0, 80))} cannot name a snapshot: it ${parsed.error.issues[0]?.message}`,
      {
        hint: 'Choose a name such as before-upgrade.',
      },
    )
  refuseWithoutDisk(vm)
  if ((await listSnapshots(connection, vm, { signal })).some((each) => each.name === name))
    throw new VmrError('SNAPSHOT_EXISTS', `${vm.domain.name} has a snapshot ${name} already`, {
      hint: 'Choose another name, or remove it with --delete.',
    })
  const xml = buildXml(element('domainsnapshot', {}, [element('name', {}, [name])]))
  await withLibvirt(`taking the snapshot ${name} of ${vm.domain.name}`, () =>
    connection.createSnapshot(vm.domain, xml, { signal, timeoutMs: snapshotTimeoutMs }),
  )
}

/** libvirt keeps a state inside qcow2 images only, and wants each disk that is written to be one. */
function refuseWithoutDisk({ domain, facts }: Vm): void {
  const written = facts.disks.filter(({ device, readOnly }: DiskFacts) => device === 'disk' && !readOnly)
  const [other] = written.filter(({ format }) => format !== 'qcow2')
  if (other !== undefined)
    throw new VmrError(
      'CONFIG_INVALID',
      `${domain.name}: a snapshot needs qcow2 disks, and ${other.target} is ${other.format ?? 'raw'}`,
      {
        hint: 'Convert it with `qemu-img convert -O qcow2`, or give the definition a base: overlays are qcow2.',
      },
    )
  if (written.length === 0)
    throw new VmrError('CONFIG_INVALID', `${domain.name} has no disk, and libvirt keeps snapshots inside qcow2 disks`, {
      hint: `The lab router lives in memory; \`vmr vm clone ${domain.name} NAME\` makes another of it.`,
    })
}

/** Oldest first. */
export async function listSnapshots(
  connection: Connection,
  { domain }: Vm,
  { signal }: SnapshotOptions,
): Promise<readonly Snapshot[]> {
  return withLibvirt(`listing the snapshots of ${domain.name}`, async () => {
    const [found, hasCurrent] = await Promise.all([
      connection.listSnapshots(domain, { signal }),
      connection.hasCurrentSnapshot(domain, { signal }),
    ])
    const current = hasCurrent ? (await connection.currentSnapshot(domain, { signal })).name : undefined
    const all = await Promise.all(
      found.map(async (snapshot) => describe(await connection.snapshotXml(snapshot, { signal }), current)),
    )
    return all.toSorted((left, right) => (left.takenAt < right.takenAt ? -1 : 1))
  })
}

const epochSeconds = z.coerce.number().int().nonnegative().max(8.64e12)

function describe(xml: string, current: string | undefined): Snapshot {
  const root = parseSnapshot(xml)
  const text = (field: string) => {
    const child = firstChild(root, field)
    return child === undefined ? '' : textOf(child)
  }
  const name = text('name')
  const takenAt = new Date(epochSeconds.parse(text('creationTime')) * 1000).toISOString()
  return { name, takenAt, state: text('state'), current: name === current }
}

function parseSnapshot(xml: string): XmlElement {
  return parseXml(xml, { name: 'snapshot XML from libvirt', code: 'LIBVIRT_FAILED' })
}

/**
 * Brings a VM back to a snapshot, its NICs in the modes of then, with what those need of the host; what it has done since
 * is lost.
 *
 * @throws VmrError SNAPSHOT_NOT_FOUND, LIBVIRT_FAILED; errors as of prepareUplink, which leave the VM stopped where its
 * NICs were to change.
 */
export async function revertToSnapshot(
  connection: Connection,
  vm: Vm,
  name: string,
  { signal }: SnapshotOptions,
): Promise<void> {
  const snapshot = await findSnapshot(connection, vm, name, { signal })
  const xml = await withLibvirt(`reading the snapshot ${name} of ${vm.domain.name}`, () =>
    connection.snapshotXml(snapshot, { signal }),
  )
  const then = domainOf(xml)
  // A snapshot from before the VM was taken over knows nothing of vmr.
  const metadata = then.facts.vmr ?? vm.metadata
  if (then.runs) await prepareNics(connection, vm, { ...vm, facts: then.facts, metadata }, signal)
  await withLibvirt(`bringing ${vm.domain.name} back to ${name}`, () =>
    connection.revertToSnapshot(snapshot, { signal, timeoutMs: snapshotTimeoutMs }),
  )
  if (then.facts.vmr === undefined) await adoptDomain(connection, vm.domain, metadata, { signal })
}

/** The domain as the snapshot has it, and whether it goes on when it is brought back. */
function domainOf(xml: string): { readonly facts: DomainFacts; readonly runs: boolean } {
  const root = parseSnapshot(xml)
  const [state, domain] = [firstChild(root, 'state'), firstChild(root, 'domain')]
  if (domain === undefined)
    throw new VmrError('LIBVIRT_FAILED', 'the snapshot does not say how its domain was', {
      hint: 'Look at it with `virsh snapshot-dumpxml`.',
    })
  return { facts: readDomainFacts(buildXml(domain)), runs: state !== undefined && textOf(state) !== 'shutoff' }
}

/** A NIC cannot be enslaved and carry a macvtap: where the modes differ, the VM of now ends before the host is changed. */
async function prepareNics(connection: Connection, vm: Vm, then: Vm, signal: AbortSignal): Promise<void> {
  if (await isRunning(connection, vm, signal)) {
    const xml = await withLibvirt(`reading the XML of ${vm.domain.name}`, () =>
      connection.domainXml(vm.domain, { signal }),
    )
    if (isDeepStrictEqual(uplinkUsesOf(readDomainFacts(xml), vm.metadata), uplinkUsesOf(then.facts, then.metadata)))
      return
    await withLibvirt(`ending ${vm.domain.name}`, () => destroyIfRunning(connection, vm.domain))
  }
  await prepareUplinksOf(then, { signal })
}

/** @throws VmrError SNAPSHOT_NOT_FOUND. */
export async function deleteSnapshot(
  connection: Connection,
  vm: Vm,
  name: string,
  { signal }: SnapshotOptions,
): Promise<void> {
  const snapshot = await findSnapshot(connection, vm, name, { signal })
  await withLibvirt(`removing the snapshot ${name} of ${vm.domain.name}`, () =>
    connection.deleteSnapshot(snapshot, { signal, timeoutMs: snapshotTimeoutMs }),
  )
}

async function findSnapshot(
  connection: Connection,
  { domain }: Vm,
  name: string,
  { signal }: SnapshotOptions,
): Promise<DomainSnapshot> {
  return withLibvirt(`looking for the snapshot ${name} of ${domain.name}`, async () => {
    try {
      return await connection.lookupSnapshot(domain, name, { signal })
    } catch (error) {
      if (!isSnapshotNotFound(error)) throw error
      throw new VmrError('SNAPSHOT_NOT_FOUND', `${domain.name} has no snapshot ${name}`, {
        hint: `See them: vmr vm snapshot ${domain.name} --list`,
      })
    }
  })
}
