import { journalDirectory } from '../../config/paths.ts'
import type { VmrMetadata } from '../../domain/metadata.ts'
import { isAttachedAs } from '../../domain/nic-switch.ts'
import { buildXml } from '../../domain/xml/build.ts'
import type { XmlElement } from '../../domain/xml/element.ts'
import { isVmrError, VmrError } from '../../errors/vmr-error.ts'
import type { Connection } from '../../libvirt/index.ts'
import type { InterfaceKeeper, KeptInterface } from '../../os/vyos/keep-interface.ts'
import { throwIfAborted } from '../../shell/abort.ts'
import { localShell } from '../../shell/local.ts'
import type { Shell } from '../../shell/shell.ts'
import { handOverUplink, prepareUplink } from '../../testbed/uplink.ts'
import { type Journal, listJournals, openJournal, reopenJournal } from '../../undo/journal.ts'
import { undoAll } from '../../undo/undo-all.ts'
import type { Vm } from '../find-vm.ts'
import { withLibvirt } from '../libvirt-failure.ts'
import { withVmJournal } from '../uplink-uses.ts'
import { checkSwitch } from './check-switch.ts'
import {
  type Finished,
  finishOn,
  finishOnceBack,
  finishSwitch,
  liveFacts,
  noteLive,
  type SwitchStep,
} from './finish-switch.ts'
import { findNic, type PlannedNic, planSwitch, type SwitchPlan, type SwitchRequest } from './plan-switch.ts'
import { attachNic, detachNic, ended } from './replug.ts'

export interface SwitchOptions {
  /** Ends the switch; it then goes back. */
  readonly signal: AbortSignal
  readonly onProgress?: (activity: string) => void
}

export interface RunningSwitchOptions extends SwitchOptions {
  readonly guest: Shell
  /** Of the same guest. What it leaves there its owner takes away, when nothing has to be brought back any more. */
  readonly keeper: InterfaceKeeper
  /** Where changes of the uplinks are noted for a VM that its maker takes away again; default: the VM's own journal. */
  readonly uplinkJournal?: Journal | undefined
}

/** What was done to one NIC. */
export interface SwitchedNic {
  readonly name: string
  readonly mac: string
  readonly from: string
  readonly to: string
  readonly how: 'nothing to do' | 'in place' | 'detached and attached' | 'definition only'
  /** From the request to the guest until it had its settings again; 0 where nothing was done. */
  readonly seconds: number
  /** What the guest could not set up again. */
  readonly complaints: readonly string[]
}

type Wanted = Omit<SwitchRequest, 'defined' | 'live' | 'metadata'>

function switchPurpose(name: string): string {
  return `switch of ${name}`
}

/** Ends what a vmr that was killed in the middle of a switch left of it. The caller holds the VM's lock. */
export async function finishPendingSwitch(name: string): Promise<void> {
  for (const { path, purpose } of await listJournals(journalDirectory())) {
    if (purpose !== switchPurpose(name)) continue
    const journal = await reopenJournal(path)
    try {
      await undoAll(journal, { executors: { 'nic-switch': finishSwitch } })
    } finally {
      await journal.close()
    }
  }
}

/**
 * Decides how the VM's NICs come into another mode, and changes nothing. The caller holds the VM's lock.
 *
 * @throws VmrError what planSwitch and checkSwitch throw; GUEST_NOT_READY for a VM that is paused.
 */
export async function prepareSwitch(
  connection: Connection,
  vm: Vm,
  wanted: Wanted,
  { signal }: SwitchOptions,
): Promise<SwitchPlan> {
  const { domain, facts, metadata } = vm
  const { state } = await withLibvirt(`reading the state of ${domain.name}`, () =>
    connection.domainState(domain, { signal }),
  )
  const running = state !== 'shutoff' && state !== 'crashed'
  const live = running ? await liveFacts(connection, domain, signal) : undefined
  const plan = planSwitch({ ...wanted, defined: facts, live, metadata })
  if (!running) return plan
  if (state !== 'running')
    throw new VmrError(
      'GUEST_NOT_READY',
      `${domain.name} is ${state}: a guest that does not run cannot let go of a NIC`,
      {
        hint: `Resume it first: virsh resume ${domain.name}`,
      },
    )
  await checkSwitch(connection, domain, plan, { signal })
  return plan
}

/**
 * Changes the definition of a VM that does not run.
 */
export async function switchStopped(
  connection: Connection,
  { domain }: Vm,
  plan: SwitchPlan,
  { signal }: SwitchOptions,
): Promise<readonly SwitchedNic[]> {
  if (plan.changesDefinition)
    await withLibvirt(`defining ${domain.name}`, () =>
      connection.defineDomain(buildXml(plan.definition), { validate: true, signal }),
    )
  return plan.nics.map(({ name, mac, from, to }) => ({
    ...{ name, mac, from, to, seconds: 0, complaints: [] },
    how: plan.changesDefinition ? ('definition only' as const) : ('nothing to do' as const),
  }))
}

/**
 * Brings the NICs of a running VM into another mode, one after the other, so that the guest's names cannot swap. Each is
 * taken from the guest and given back with its MAC address in its PCI slot, and the guest sets it up as it was; then the
 * definition is changed, in one piece. What fails before takes everything back, and the error says so.
 *
 * @throws VmrError of what failed.
 */
export async function switchRunning(
  connection: Connection,
  vm: Vm,
  plan: SwitchPlan,
  { guest, keeper, signal, onProgress, uplinkJournal }: RunningSwitchOptions,
): Promise<readonly SwitchedNic[]> {
  const { domain } = vm
  const kept = new Map<string, KeptInterface>()
  for (const { name, plan: how, sameLink } of plan.nics) {
    if (how?.kind !== 'detachAttach' && how?.kind !== 'inPlace') continue
    onProgress?.(`reading ${name}`)
    kept.set(name, await keeper.keep(name, { sameLink, signal }))
  }
  const step: SwitchStep = {
    kind: 'nic-switch',
    uri: connection.uri,
    name: domain.name,
    uuid: domain.uuid,
    nics: plan.nics.flatMap(({ name, mac }) => {
      const script = kept.get(name)?.script
      return script === undefined ? [] : [{ name, mac, script }]
    }),
  }
  const journal = await openJournal({ directory: journalDirectory(), purpose: switchPurpose(domain.name) })
  try {
    const id = await journal.before(step)
    const switched: SwitchedNic[] = []
    try {
      for (const nic of plan.nics) {
        throwIfAborted(signal, `switching ${nic.name} of ${domain.name}`)
        onProgress?.(`switching ${nic.name}`)
        switched.push(await switchNic(connection, vm, nic, { kept: kept.get(nic.name), guest, signal, uplinkJournal }))
      }
      await define(connection, vm, plan)
    } catch (error) {
      onProgress?.('going back')
      const outcome = await goBack(connection, step, guest)
      if (outcome.kind === 'failed') throw failure(error, domain.name, outcome.words, outcome.hint)
      await journal.undone(id).catch(() => undefined)
      // A daemon that died over its answer may have taken the new definition all the same.
      if (outcome.kind !== 'as defined' || !plan.changesDefinition || !isNoted(outcome.metadata, plan))
        throw failure(error, domain.name, wordsFor(outcome, plan))
    }
    await journal.undone(id).catch(() => undefined)
    return switched
  } finally {
    await journal.close()
  }
}

type WayBack = Finished | { readonly kind: 'failed'; readonly words: string; readonly hint: string }

async function goBack(connection: Connection, step: SwitchStep, guest: Shell): Promise<WayBack> {
  try {
    if (!connection.isOpen()) return await finishOnceBack(step)
    return await finishOn(connection, step, (_vm, task) => task(guest))
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    const hint = 'Mend the cause, then run `vmr cleanup`.'
    return { kind: 'failed', words: `could not be brought back: ${why}`, hint }
  }
}

function isNoted({ nics }: VmrMetadata, plan: SwitchPlan): boolean {
  return plan.nics.every(({ mac, to }) => nics.find((nic) => nic.mac === mac)?.mode === to)
}

function wordsFor(outcome: Finished, { nics }: SwitchPlan): string {
  const modes = nics.map(({ name, from }) => `${name} ${from}`).join(', ')
  switch (outcome.kind) {
    case 'gone':
      return 'is gone'
    case 'not running':
      return `does not run, and is defined as before (${modes})`
    case 'as defined':
      return `is as it was before (${modes})`
  }
}

function failure(error: unknown, name: string, state: string, hint?: string): unknown {
  if (!isVmrError(error)) return error
  const shown = hint ?? error.hint
  return new VmrError(error.code, `${error.message}; ${name} ${state}`, {
    ...(shown === undefined ? {} : { hint: shown }),
    cause: error,
  })
}

interface NicOptions {
  readonly kept: KeptInterface | undefined
  readonly guest: Shell
  readonly signal: AbortSignal
  readonly uplinkJournal: Journal | undefined
}

async function switchNic(
  connection: Connection,
  vm: Vm,
  nic: PlannedNic,
  { kept, guest, signal, uplinkJournal }: NicOptions,
): Promise<SwitchedNic> {
  const { name, mac, from, to, plan } = nic
  const done = (how: SwitchedNic['how'], seconds: number, complaints: readonly string[] = []): SwitchedNic => ({
    ...{ name, mac, from, to, how, seconds, complaints },
  })
  if (plan === undefined || plan.kind === 'nothingToDo' || kept === undefined) {
    // The bridge under it may have to become another.
    await readyUplink(vm, nic, { signal, uplinkJournal })
    return done('nothing to do', 0)
  }
  const start = performance.now()
  const seconds = () => (performance.now() - start) / 1000
  if (plan.kind === 'inPlace') {
    await readyUplink(vm, nic, { signal, uplinkJournal })
    await withLibvirt(`changing ${name} of ${vm.domain.name}`, () =>
      connection.updateDevice(vm.domain, buildXml(plan.element), { live: true, signal }),
    )
    await announce(nic, guest, signal)
    if (await isLive(connection, vm, nic, signal)) return done('in place', seconds())
  }
  const replugStart = performance.now()
  const complaints = await replug(connection, vm, nic, plan.element, { kept, signal, uplinkJournal })
  return done('detached and attached', (performance.now() - replugStart) / 1000, complaints)
}

async function replug(
  connection: Connection,
  vm: Vm,
  nic: PlannedNic,
  element: XmlElement,
  { kept, signal, uplinkJournal }: UplinkOptions & { readonly kept: KeptInterface },
): Promise<readonly string[]> {
  const what = `${nic.name} of ${vm.domain.name}`
  const { alias } = nic
  if (alias === undefined) throw new VmrError('LIBVIRT_FAILED', `libvirt does not say what it calls ${what}`)
  const lookout = new AbortController()
  const restored = kept.restored({ signal: lookout.signal })
  restored.catch(() => undefined)
  try {
    await handOver(vm, nic, { signal, uplinkJournal }, async (ready) => {
      await detachNic(connection, vm.domain, { alias, what, signal })
      await ready()
      await attachNic(connection, vm.domain, element, { what, signal })
    })
    if (!(await isLive(connection, vm, nic, signal)))
      throw new VmrError('LIBVIRT_FAILED', `libvirt attached ${what}, but not in mode ${nic.to}`, {
        hint: `Look at it: virsh dumpxml ${vm.domain.name}`,
      })
    return await restored
  } catch (error) {
    lookout.abort()
    await restored.catch(() => undefined)
    throw error
  }
}

type UplinkOptions = Pick<NicOptions, 'signal' | 'uplinkJournal'>

function withUplinkJournal<T>(name: string, { uplinkJournal }: UplinkOptions, task: (journal: Journal) => Promise<T>) {
  return uplinkJournal === undefined ? withVmJournal(name, task) : task(uplinkJournal)
}

async function readyUplink({ domain }: Vm, { uplink }: PlannedNic, options: UplinkOptions): Promise<void> {
  const { signal } = options
  if (uplink === undefined) return
  await withUplinkJournal(domain.name, options, (journal) =>
    prepareUplink(uplink.name, uplink.use, { journal, signal }),
  )
}

async function handOver(
  { domain }: Vm,
  { uplink, device }: PlannedNic,
  options: UplinkOptions,
  task: (ready: () => Promise<void>) => Promise<void>,
): Promise<void> {
  const { signal } = options
  if (uplink === undefined) return task(async () => undefined)
  return withUplinkJournal(domain.name, options, (journal) =>
    handOverUplink(uplink.name, uplink.use, { journal, signal, leaving: device }, task),
  )
}

/**
 * A bridge that knew the guest's MAC address behind another port goes on sending there until the guest speaks, which a
 * router that is only asked never does. The new bridge is told at once, what is behind it by a frame of the guest's to all
 * nodes (RFC 4291 section 2.7.1).
 */
async function announce({ name, mac, device }: PlannedNic, guest: Shell, signal: AbortSignal): Promise<void> {
  if (device !== undefined)
    await localShell.run(['bridge', 'fdb', 'replace', mac, 'dev', device, 'master', 'dynamic'], { signal })
  await guest.run(['ping', '-6', '-c', '1', '-W', '1', `ff02::1%${name}`], { signal })
}

/** libvirt may answer "updated successfully" and have changed nothing. */
async function isLive(connection: Connection, { domain }: Vm, nic: PlannedNic, signal: AbortSignal): Promise<boolean> {
  if (nic.plan === undefined || nic.plan.kind === 'nothingToDo') return true
  const running = findNic(await liveFacts(connection, domain, signal), nic.mac)
  return running !== undefined && isAttachedAs(running.element, nic.plan.element)
}

/** The definition comes last and in one piece: before it a VM whose switch is broken off goes back, behind it it stays. */
async function define(connection: Connection, { domain }: Vm, plan: SwitchPlan): Promise<void> {
  if (!(await withLibvirt(`reading the state of ${domain.name}`, () => connection.isDomainActive(domain))))
    throw ended(domain, 'switching its NICs')
  if (!plan.changesDefinition) return
  await noteLive(connection, domain, plan.metadata)
  await withLibvirt(`defining ${domain.name}`, () =>
    connection.defineDomain(buildXml(plan.definition), { validate: true }),
  )
}
