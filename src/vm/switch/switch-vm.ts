import { journalDirectory } from '../../config/paths.ts'
import { isAttachedAs } from '../../domain/nic-switch.ts'
import { buildXml } from '../../domain/xml/build.ts'
import { isVmrError, VmrError } from '../../errors/vmr-error.ts'
import type { Connection } from '../../libvirt/index.ts'
import { type KeptInterface, keepInterface } from '../../os/vyos/keep-interface.ts'
import { throwIfAborted } from '../../shell/abort.ts'
import type { Shell } from '../../shell/shell.ts'
import { prepareUplink } from '../../testbed/uplink.ts'
import { listJournals, openJournal, reopenJournal } from '../../undo/journal.ts'
import { undoAll } from '../../undo/undo-all.ts'
import type { Vm } from '../find-vm.ts'
import { withLibvirt } from '../libvirt-failure.ts'
import { withVmJournal } from '../uplink-uses.ts'
import { checkSwitch } from './check-switch.ts'
import { finishOn, finishSwitch, liveFacts, noteLive, type SwitchStep } from './finish-switch.ts'
import { findNic, type PlannedNic, planSwitch, type SwitchPlan, type SwitchRequest } from './plan-switch.ts'
import { attachNic, detachNic, ended } from './replug.ts'

export interface SwitchOptions {
  /** Ends the switch; it then goes back. */
  readonly signal: AbortSignal
  readonly onProgress?: (activity: string) => void
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
  { guest, signal, onProgress }: SwitchOptions & { readonly guest: Shell },
): Promise<readonly SwitchedNic[]> {
  const { domain } = vm
  const kept = new Map<string, KeptInterface>()
  for (const { name, plan: how, sameLink } of plan.nics) {
    if (how?.kind !== 'detachAttach' && how?.kind !== 'inPlace') continue
    onProgress?.(`reading ${name}`)
    kept.set(name, await keepInterface(guest, name, { sameLink, signal }))
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
    try {
      const switched: SwitchedNic[] = []
      for (const nic of plan.nics) {
        throwIfAborted(signal, `switching ${nic.name} of ${domain.name}`)
        onProgress?.(`switching ${nic.name}`)
        switched.push(await switchNic(connection, vm, nic, { kept: kept.get(nic.name), signal }))
      }
      await define(connection, vm, plan)
      await journal.undone(id).catch(() => undefined)
      for (const each of kept.values()) await each.forget()
      return switched
    } catch (error) {
      throw await goBack(error)
    }

    async function goBack(error: unknown): Promise<unknown> {
      onProgress?.('going back')
      try {
        const running = connection.isOpen()
          ? await finishOn(connection, step, (_vm, task) => task(guest))
          : await finishSwitch(step)
        await journal.undone(id).catch(() => undefined)
        return failure(error, domain.name, running === 'gone' ? 'is gone' : `is as it was before (${modesOf(plan)})`)
      } catch (second) {
        const why = second instanceof Error ? second.message : String(second)
        return failure(
          error,
          domain.name,
          `could not be brought back: ${why}`,
          'Mend the cause, then run `vmr cleanup`.',
        )
      }
    }
  } finally {
    await journal.close()
  }
}

function modesOf({ nics }: SwitchPlan): string {
  return nics.map(({ name, from }) => `${name} ${from}`).join(', ')
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
  readonly signal: AbortSignal
}

async function switchNic(
  connection: Connection,
  vm: Vm,
  nic: PlannedNic,
  { kept, signal }: NicOptions,
): Promise<SwitchedNic> {
  const { name, mac, from, to, plan } = nic
  const done = (how: SwitchedNic['how'], seconds: number, complaints: readonly string[] = []): SwitchedNic => ({
    ...{ name, mac, from, to, how, seconds, complaints },
  })
  if (plan === undefined || plan.kind === 'nothingToDo' || kept === undefined) {
    // The bridge under it may have to become another.
    await readyUplink(vm, nic, signal)
    return done('nothing to do', 0)
  }
  const start = performance.now()
  const seconds = () => (performance.now() - start) / 1000
  if (plan.kind === 'inPlace') {
    await readyUplink(vm, nic, signal)
    await withLibvirt(`changing ${name} of ${vm.domain.name}`, () =>
      connection.updateDevice(vm.domain, buildXml(plan.element), { live: true, signal }),
    )
    if (await isLive(connection, vm, nic, signal)) return done('in place', seconds())
  }
  const { restored } = await kept.watch()
  const what = `${name} of ${vm.domain.name}`
  const replugStart = performance.now()
  if (nic.alias === undefined) throw new VmrError('LIBVIRT_FAILED', `libvirt does not say what it calls ${what}`)
  await detachNic(connection, vm.domain, { alias: nic.alias, what, signal })
  await readyUplink(vm, nic, signal)
  await attachNic(connection, vm.domain, plan.element, { what, signal })
  if (!(await isLive(connection, vm, nic, signal)))
    throw new VmrError('LIBVIRT_FAILED', `libvirt attached ${what}, but not in mode ${to}`, {
      hint: `Look at it: virsh dumpxml ${vm.domain.name}`,
    })
  const complaints = await restored
  return done('detached and attached', (performance.now() - replugStart) / 1000, complaints)
}

async function readyUplink({ domain }: Vm, { uplink }: PlannedNic, signal: AbortSignal): Promise<void> {
  if (uplink === undefined) return
  await withVmJournal(domain.name, (journal) => prepareUplink(uplink.name, uplink.use, { journal, signal }))
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
