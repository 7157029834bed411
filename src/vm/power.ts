import { setTimeout as delay } from 'node:timers/promises'
import type { Connection } from '../libvirt/index.ts'
import { throwIfAborted } from '../shell/abort.ts'
import type { Vm } from './find-vm.ts'
import { withLibvirt } from './libvirt-failure.ts'
import { destroyIfRunning } from './remove-domain.ts'
import { withVmLock } from './vm-lock.ts'

const pollMs = 100

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

async function shutDown(connection: Connection, vm: Vm, { timeoutMs, signal }: StopOptions): Promise<StopOutcome> {
  if (!(await isRunning(connection, vm, signal))) return { how: 'was not running' }
  const start = performance.now()
  const seconds = () => (performance.now() - start) / 1000
  const { domain } = vm
  await withLibvirt(`shutting ${domain.name} down`, () => connection.shutdownDomain(domain, { signal }))
  while (performance.now() - start < timeoutMs) {
    throwIfAborted(signal, `waiting for ${domain.name} to shut down`)
    if (!(await isRunning(connection, vm, signal))) return { how: 'shut down', seconds: seconds() }
    await delay(pollMs)
  }
  await withLibvirt(`ending ${domain.name}`, () => destroyIfRunning(connection, domain))
  return { how: 'ended', seconds: seconds() }
}
