import { VmrError } from '../errors/vmr-error.ts'
import type { Connection } from '../libvirt/index.ts'
import { throwIfAborted } from '../shell/abort.ts'
import { findVm, type Vm } from './find-vm.ts'
import { withLibvirt } from './libvirt-failure.ts'
import { destroyIfRunning } from './remove-domain.ts'
import { withVmLock } from './vm-lock.ts'

export async function isRunning(connection: Connection, { domain }: Vm, signal?: AbortSignal): Promise<boolean> {
  const { state } = await withLibvirt(`reading the state of ${domain.name}`, () =>
    connection.domainState(domain, { signal }),
  )
  return state !== 'shutoff' && state !== 'crashed'
}

export type StopOutcome =
  | { readonly how: 'was not running' }
  /** The guest powered off by itself. */
  | { readonly how: 'shut down'; readonly seconds: number }
  /** The guest did not power off in time, and QEMU was ended. */
  | { readonly how: 'ended'; readonly seconds: number }

export interface StopOptions {
  /** How long the guest may take to power off by itself. */
  readonly timeoutMs: number
  readonly signal: AbortSignal
}

/** Asks the guest to power off by ACPI, and ends QEMU when the time is over. Says which it was. */
export function stopVm(connection: Connection, vm: Vm, options: StopOptions): Promise<StopOutcome> {
  return withVmLock(vm.domain.name, { signal: options.signal }, () => shutDown(connection, vm, options))
}

/** As {@link stopVm}, for a caller who holds the VM's lock. */
export async function shutDown(
  connection: Connection,
  vm: Vm,
  { timeoutMs, signal }: StopOptions,
): Promise<StopOutcome> {
  if (!(await isRunning(connection, vm, signal))) return { how: 'was not running' }
  const start = performance.now()
  const seconds = () => (performance.now() - start) / 1000
  const { domain } = vm
  await withLibvirt(`shutting ${domain.name} down`, () => connection.shutdownDomain(domain, { signal }))
  if (await waitUntilStopped(connection, vm, { timeoutMs, signal })) return { how: 'shut down', seconds: seconds() }
  await withLibvirt(`ending ${domain.name}`, () => destroyIfRunning(connection, domain))
  return { how: 'ended', seconds: seconds() }
}

/** Waits for the event that the VM has stopped; false when the time is over. */
export async function waitUntilStopped(
  connection: Connection,
  vm: Vm,
  { timeoutMs, signal }: { readonly timeoutMs: number; readonly signal: AbortSignal },
): Promise<boolean> {
  const over = AbortSignal.timeout(timeoutMs)
  const { domain } = vm
  try {
    const events = await withLibvirt(`listening for events of ${domain.name}`, () =>
      connection.domainEvents({ kinds: ['lifecycle'], domain, signal: AbortSignal.any([signal, over]) }),
    )
    try {
      // Asked after the registration, so that no event between the two is missed.
      if (!(await isRunning(connection, vm, signal))) return true
      for await (const { event } of events) if (event === 'stopped' || event === 'crashed') return true
    } finally {
      await events.return()
    }
  } catch (error) {
    throwIfAborted(signal, `waiting for ${domain.name} to stop`)
    if (!over.aborted) throw error
  }
  return false
}

interface PowerOptions {
  readonly signal: AbortSignal
}

/**
 * Asks the guest to reboot, by ACPI. Whether it does is the guest's: `resetVm` asks nobody.
 *
 * @throws VmrError VM_NOT_RUNNING.
 */
export async function rebootVm(connection: Connection, vm: Vm, { signal }: PowerOptions): Promise<true> {
  await mustRun(connection, vm, signal)
  await withLibvirt(`rebooting ${vm.domain.name}`, () => connection.rebootDomain(vm.domain, { signal }))
  return true
}

/** As the reset button: the guest learns nothing of it. @throws VmrError VM_NOT_RUNNING. */
export async function resetVm(connection: Connection, vm: Vm, { signal }: PowerOptions): Promise<true> {
  await mustRun(connection, vm, signal)
  await withLibvirt(`resetting ${vm.domain.name}`, () => connection.resetDomain(vm.domain, { signal }))
  return true
}

/** Stops the guest's processors; false if they were stopped. @throws VmrError VM_NOT_RUNNING. */
export async function pauseVm(connection: Connection, vm: Vm, { signal }: PowerOptions): Promise<boolean> {
  if ((await mustRun(connection, vm, signal)) === 'paused') return false
  await withLibvirt(`pausing ${vm.domain.name}`, () => connection.suspendDomain(vm.domain, { signal }))
  return true
}

/** Lets the guest's processors run on; false if they ran. @throws VmrError VM_NOT_RUNNING. */
export async function resumeVm(connection: Connection, vm: Vm, { signal }: PowerOptions): Promise<boolean> {
  if ((await mustRun(connection, vm, signal)) !== 'paused') return false
  await withLibvirt(`resuming ${vm.domain.name}`, () => connection.resumeDomain(vm.domain, { signal }))
  return true
}

/** Whether the VM starts with the host; false if it was so. */
export async function setAutostart(
  connection: Connection,
  { domain }: Vm,
  autostart: boolean,
  { signal }: PowerOptions,
): Promise<boolean> {
  return withLibvirt(`setting the autostart of ${domain.name}`, async () => {
    if ((await connection.domainAutostart(domain, { signal })) === autostart) return false
    await connection.setDomainAutostart(domain, autostart, { signal })
    return true
  })
}

/** The state of a VM that has processors to act on. */
async function mustRun(connection: Connection, { domain }: Vm, signal: AbortSignal): Promise<string> {
  const { state } = await withLibvirt(`reading the state of ${domain.name}`, () =>
    connection.domainState(domain, { signal }),
  )
  if (state === 'shutoff' || state === 'crashed')
    throw new VmrError('VM_NOT_RUNNING', `${domain.name} does not run`, {
      hint: `Start it: vmr vm start ${domain.name}`,
    })
  return state
}

/** @throws VmrError VM_NOT_RUNNING, and what findVm throws. */
export async function findRunningVm(connection: Connection, name: string, signal: AbortSignal): Promise<Vm> {
  const vm = await findVm(connection, name, signal)
  if (await isRunning(connection, vm, signal)) return vm
  throw new VmrError('VM_NOT_RUNNING', `${name} does not run`, { hint: `Start it: vmr vm start ${name}` })
}
