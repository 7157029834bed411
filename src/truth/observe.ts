import { type DomainFacts, readDomainFacts } from '../domain/domain-facts.ts'
import { isVmrError } from '../errors/vmr-error.ts'
import { readMachineState } from '../ipv6/evidence/machine-state.ts'
import type { MachineState } from '../ipv6/evidence/schema.ts'
import type { Connection } from '../libvirt/index.ts'
import { localShell } from '../shell/local.ts'
import { serialShell } from '../shell/serial/serial-shell.ts'
import { openSession } from '../vm/boot.ts'
import { type BootOutcome, bootInLog, bootOutcome, unfinishedBoot } from '../vm/boot-outcome.ts'
import type { Vm } from '../vm/find-vm.ts'
import { guestAccess } from '../vm/guest-access.ts'
import { withLibvirt } from '../vm/libvirt-failure.ts'
import type { Sources } from './compare.ts'

/** A prompt of a guest that runs comes at once, or somebody types there. */
const promptLimitMs = 10_000

export interface Truth extends Sources {
  readonly state: string
  /** Where the guest stands on its way to its prompt; undefined where nobody can tell. */
  readonly boot: BootOutcome | undefined
  /** Why the guest was not asked, in words; undefined where it was. */
  readonly guestUnasked: string | undefined
}

/**
 * Asks libvirt, the kernel and the guest about a VM, and changes nothing: QEMU's query-rx-filter, which would tell more
 * of a macvtap, re-arms an event that the filter's upkeep depends on.
 */
export async function observeTruth(
  connection: Connection,
  vm: Vm,
  { askGuest, signal }: { readonly askGuest: boolean; readonly signal: AbortSignal },
): Promise<Truth> {
  const { domain, facts: defined } = vm
  const { state } = await withLibvirt(`reading the state of ${domain.name}`, () =>
    connection.domainState(domain, { signal }),
  )
  const stopped = { state, defined, live: undefined, host: undefined, guest: undefined, boot: undefined }
  if (state === 'shutoff' || state === 'crashed') return { ...stopped, guestUnasked: 'the VM does not run' }
  const live = readDomainFacts(
    await withLibvirt(`reading the XML of ${domain.name}`, () => connection.domainXml(domain, { signal })),
  )
  const guest =
    state === 'running' && askGuest
      ? await askedGuest(connection, vm, signal)
      : { unasked: askGuest ? `the VM is ${state}` : 'as --no-guest says', boot: await bootByLog(defined) }
  // After the guest: libvirt takes a moment to let in what the guest has just joined.
  const host = await readMachineState(localShell, { signal })
  const { boot } = guest
  return 'unasked' in guest
    ? { state, defined, live, host, boot, guest: undefined, guestUnasked: guest.unasked }
    : { state, defined, live, host, boot, guest: guest.said, guestUnasked: undefined }
}

async function askedGuest(
  connection: Connection,
  { domain, metadata, facts }: Vm,
  signal: AbortSignal,
): Promise<
  { readonly boot: BootOutcome | undefined } & ({ readonly said: MachineState } | { readonly unasked: string })
> {
  const earlier = await bootInLog(facts)
  let seen = earlier?.boot
  const { credentials } = guestAccess(metadata.os, facts.accelerator ?? 'tcg')
  try {
    const session = await openSession(connection, domain, {
      ...{ credentials, timeoutMs: promptLimitMs, earlier, signal },
      onState: ({ boot }) => {
        if (boot.state !== 'waiting') seen = boot
      },
    })
    const shell = serialShell(session)
    try {
      const boot = await bootOutcome(session.boot, shell, { signal })
      return { boot, said: await readMachineState(shell, { asRoot: ['sudo', '-n'], signal }) }
    } finally {
      await shell.close()
      await session.close()
    }
  } catch (error) {
    // Whoever asks what is true wants to know the rest too.
    if (!isVmrError(error) || error.code === 'INTERRUPTED') throw error
    return { unasked: error.message, boot: seen === undefined ? undefined : unfinishedBoot(seen) }
  }
}

async function bootByLog(facts: DomainFacts): Promise<BootOutcome | undefined> {
  const logged = await bootInLog(facts)
  return logged === undefined ? undefined : unfinishedBoot(logged.boot)
}
