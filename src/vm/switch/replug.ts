import { buildXml } from '../../domain/xml/build.ts'
import type { XmlElement } from '../../domain/xml/element.ts'
import { VmrError } from '../../errors/vmr-error.ts'
import { type Connection, type Domain, isDeviceNotFound } from '../../libvirt/index.ts'
import { throwIfAborted } from '../../shell/abort.ts'
import { withLibvirt } from '../libvirt-failure.ts'

export interface DetachOptions {
  /** libvirt's name for the device, such as net0. */
  readonly alias: string
  /** For messages: "eth0 of r1". */
  readonly what: string
  readonly signal?: AbortSignal | undefined
}

/** A guest that is busy takes its time to let go of a device; one that hangs never does. */
const releaseLimitMs = 10_000

/**
 * Takes a NIC away and waits until the guest has let go of it: only then has QEMU closed the host's device, and the
 * address in the guest is free.
 *
 * @throws VmrError GUEST_NOT_READY when the guest keeps it, VM_NOT_RUNNING when the VM ends meanwhile, LIBVIRT_FAILED,
 * LIBVIRT_SILENT, INTERRUPTED.
 */
export async function detachNic(
  connection: Connection,
  domain: Domain,
  { alias, what, signal }: DetachOptions,
): Promise<void> {
  const limit = AbortSignal.timeout(releaseLimitMs)
  const either = signal === undefined ? limit : AbortSignal.any([signal, limit])
  const doing = `detaching ${what}`
  const keeps = (why: string) =>
    new VmrError('GUEST_NOT_READY', `the guest does not let go of ${what}${why}`, {
      hint: 'Look at it with `vmr vm console`. What is asleep, still boots or has no ACPI cannot give a device away.',
    })
  try {
    await withLibvirt(doing, async () => {
      const events = await connection.domainEvents({
        kinds: ['device-removed', 'device-removal-failed', 'lifecycle'],
        domain,
        signal: either,
      })
      try {
        await connection.detachDeviceAlias(domain, alias, { live: true, signal: either })
        for await (const event of events) {
          if (event.kind === 'lifecycle') {
            if (event.event === 'stopped' || event.event === 'crashed') throw ended(domain, doing)
          } else if (event.alias === alias) {
            if (event.kind === 'device-removed') return
            throw keeps(': it refuses')
          }
        }
      } finally {
        await events.return()
      }
    })
  } catch (error) {
    throwIfAborted(signal, doing)
    if (limit.aborted) throw keeps(` within ${releaseLimitMs / 1000} s`)
    // Its event came before anybody listened.
    if (isDeviceNotFound(error instanceof Error ? error.cause : undefined)) return
    throw error
  }
}

export function ended({ name }: Domain, doing: string): VmrError {
  return new VmrError('VM_NOT_RUNNING', `${name} ended while vmr was ${doing}`, {
    hint: `See its logs, then start it again: vmr vm start ${name}`,
  })
}

/** Attaches a NIC to the running VM; nothing else of it changes. Errors as of {@link detachNic}. */
export async function attachNic(
  connection: Connection,
  domain: Domain,
  nic: XmlElement,
  { what, signal }: Omit<DetachOptions, 'alias'>,
): Promise<void> {
  await withLibvirt(`attaching ${what}`, () => connection.attachDevice(domain, buildXml(nic), { live: true, signal }))
}
