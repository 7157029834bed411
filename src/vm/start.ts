import type { Connection } from '../libvirt/index.ts'
import { serialShell } from '../shell/serial/serial-shell.ts'
import { bootGuest, firstLine } from './boot.ts'
import { type BootOutcome, bootOutcome } from './boot-outcome.ts'
import type { Vm } from './find-vm.ts'
import { guestAccess } from './guest-access.ts'
import { prepareUplinksOf } from './uplink-uses.ts'

export interface Started {
  readonly readyAfterSeconds: number
  readonly retried: boolean
  readonly boot: BootOutcome
}

/** Starts a VM that is defined, and waits for its console. The caller holds its lock. Errors as of bootGuest. */
export async function startVm(
  connection: Connection,
  vm: Vm,
  { signal, onProgress }: { readonly signal: AbortSignal; readonly onProgress?: (activity: string) => void },
): Promise<Started> {
  await prepareUplinksOf(vm, { signal })
  const { session, readyAfterMs, retried } = await bootGuest(connection, vm.domain, {
    ...guestAccess(vm.metadata.os, vm.facts.accelerator ?? 'tcg'),
    signal,
    onState: ({ state }) => onProgress?.(`booting: ${state}`),
    onRetry: (reason) => onProgress?.(`trying once more: ${firstLine(reason)}`),
  })
  const guest = serialShell(session)
  try {
    const boot = await bootOutcome(session.boot, guest, { signal })
    return { readyAfterSeconds: Number((readyAfterMs / 1000).toFixed(2)), retried, boot }
  } finally {
    await guest.close()
    await session.close()
  }
}
