import { setTimeout as delay } from 'node:timers/promises'
import { type DomainFacts, readDomainFacts } from '../../domain/domain-facts.ts'
import { metadataFragment, type VmrMetadata, vmrNamespace, vmrPrefix } from '../../domain/metadata.ts'
import { isAttachedAs } from '../../domain/nic-switch.ts'
import { buildXml } from '../../domain/xml/build.ts'
import { isVmrError, VmrError } from '../../errors/vmr-error.ts'
import { type Connection, type Domain, isDomainNotFound } from '../../libvirt/index.ts'
import { restoreInterface } from '../../os/vyos/keep-interface.ts'
import { serialShell } from '../../shell/serial/serial-shell.ts'
import type { Shell } from '../../shell/shell.ts'
import { prepareUplink } from '../../testbed/uplink.ts'
import type { UndoStepOf } from '../../undo/steps.ts'
import type { UndoOutcome } from '../../undo/undo-all.ts'
import { openSession } from '../boot.ts'
import { findVm, type Vm } from '../find-vm.ts'
import { guestAccess } from '../guest-access.ts'
import { withConnection } from '../host.ts'
import { withLibvirt } from '../libvirt-failure.ts'
import { prepareUplinksOf, uplinkUsesOf, withVmJournal } from '../uplink-uses.ts'
import { findNic } from './plan-switch.ts'
import { attachNic, detachNic } from './replug.ts'

export type SwitchStep = UndoStepOf<'nic-switch'>

/** A daemon that was restarted listens again after a moment. */
const daemonBackMs = 20_000
const retryMs = 100

/**
 * Ends a switch that did not come to its end. The definition of the VM is what counts: it is changed in one piece once
 * every NIC is attached anew. So this attaches the NICs as the definition says, which is the old way before that moment
 * and the new one behind it, and has the guest set them up again.
 *
 * @throws VmrError for what stands in the way; it may be called again.
 */
export async function finishSwitch(step: SwitchStep): Promise<UndoOutcome> {
  const { kind } = await finishOnceBack(step)
  return kind === 'gone' ? 'gone' : 'undone'
}

/** How a VM is once its switch is ended. */
export type Finished =
  | { readonly kind: 'gone' }
  | { readonly kind: 'not running' }
  /** Attached and set up as the definition says, whose notes these are. */
  | { readonly kind: 'as defined'; readonly metadata: VmrMetadata }

/** As {@link finishSwitch}, over a connection of its own. */
export function finishOnceBack(step: SwitchStep): Promise<Finished> {
  return withConnectionOnceBack(step.uri, (connection) =>
    finishOn(connection, step, (vm, task) => withGuest(connection, vm, task)),
  )
}

/** The same over a connection, and a console, that are there already. */
export async function finishOn(
  connection: Connection,
  step: SwitchStep,
  onConsole: (vm: Vm, task: (guest: Shell) => Promise<void>) => Promise<void>,
): Promise<Finished> {
  try {
    await withLibvirt(`looking for ${step.name}`, () => connection.lookupDomainByUuid(step.uuid))
  } catch (error) {
    if (isDomainNotFound(error instanceof Error ? error.cause : undefined)) return { kind: 'gone' }
    throw error
  }
  const vm = await findVm(connection, step.name)
  if (!(await runs(connection, vm.domain))) {
    await prepareUplinksOf(vm)
    return { kind: 'not running' }
  }
  await attachAsDefined(connection, vm, new Set(step.nics.map(({ mac }) => mac)))
  await noteLive(connection, vm.domain, vm.metadata)
  await onConsole(vm, (guest) => setUpAgain(guest, step))
  return { kind: 'as defined', metadata: vm.metadata }
}

async function setUpAgain(guest: Shell, { name: vmName, nics }: SwitchStep): Promise<void> {
  for (const { name, script } of nics) {
    const told = await restoreInterface(guest, name, script)
    if (told === undefined || told.length === 0) continue
    throw new VmrError(
      'GUEST_NOT_READY',
      `${name} of ${vmName} is attached, but not set up as it was: ${told.join('; ')}`,
      { hint: 'Set it up in the guest (`vmr vm console`), or restart the guest.' },
    )
  }
}

async function runs(connection: Connection, domain: Domain): Promise<boolean> {
  return withLibvirt(`reading the state of ${domain.name}`, () => connection.isDomainActive(domain))
}

async function attachAsDefined(
  connection: Connection,
  { domain, facts, metadata }: Vm,
  macs: ReadonlySet<string>,
): Promise<void> {
  const live = await liveFacts(connection, domain)
  const wrong = facts.nics.flatMap(({ mac, element }) => {
    if (mac === undefined || !macs.has(mac)) return []
    const running = findNic(live, mac)
    return running !== undefined && isAttachedAs(running.element, element) ? [] : [{ mac, element, running }]
  })
  for (const { mac, element, running } of wrong) {
    const what = `${nameOf(metadata, mac)} of ${domain.name}`
    if (running?.alias !== undefined) await detachNic(connection, domain, { alias: running.alias, what })
    await withVmJournal(domain.name, async (journal) => {
      for (const { uplink, use } of uplinkUsesOf(facts, metadata, new Set([mac])))
        await prepareUplink(uplink, use, { journal })
    })
    await attachNic(connection, domain, element, { what })
  }
  const after = await liveFacts(connection, domain)
  for (const { mac, element } of wrong) {
    const now = findNic(after, mac)
    if (now === undefined || !isAttachedAs(now.element, element))
      throw new VmrError(
        'LIBVIRT_FAILED',
        `${nameOf(metadata, mac)} of ${domain.name} is not attached as it is defined`,
        {
          hint: `Compare: vmr vm xml ${domain.name} --diff`,
        },
      )
  }
}

/** Has the running VM say of itself what its definition does. */
export async function noteLive(connection: Connection, domain: Domain, metadata: VmrMetadata): Promise<void> {
  await withLibvirt(`noting the modes of ${domain.name}`, () =>
    connection.setDomainMetadata(domain, { kind: 'element', uri: vmrNamespace }, buildXml(metadataFragment(metadata)), {
      prefix: vmrPrefix,
      live: true,
    }),
  )
}

function nameOf({ nics }: Vm['metadata'], mac: string): string {
  const nic = nics.find((each) => each.mac === mac)
  return nic === undefined ? mac : `eth${nic.position}`
}

/** The running VM's XML, read. */
export async function liveFacts(connection: Connection, domain: Domain, signal?: AbortSignal): Promise<DomainFacts> {
  const xml = await withLibvirt(`reading the XML of ${domain.name}`, () => connection.domainXml(domain, { signal }))
  return readDomainFacts(xml, `live XML of ${domain.name}`)
}

/** Logs in on the VM's console for the task. Errors as of openSession. */
export async function withGuest<T>(
  connection: Connection,
  { domain, facts, metadata }: Vm,
  task: (guest: Shell) => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  const session = await openSession(connection, domain, {
    ...guestAccess(metadata.os, facts.accelerator ?? 'tcg'),
    signal,
  })
  const shell = serialShell(session)
  try {
    return await task(shell)
  } finally {
    await shell.close()
    await session.close()
  }
}

async function withConnectionOnceBack<T>(uri: string, task: (connection: Connection) => Promise<T>): Promise<T> {
  for (const deadline = performance.now() + daemonBackMs; ; ) {
    let connected = false
    try {
      return await withConnection(uri, (connection) => {
        connected = true
        return task(connection)
      })
    } catch (error) {
      const away = isVmrError(error) && (error.code === 'LIBVIRT_SOCKET_MISSING' || error.code === 'LIBVIRT_SILENT')
      if (connected || !away || performance.now() >= deadline) throw error
    }
    await delay(retryMs)
  }
}
