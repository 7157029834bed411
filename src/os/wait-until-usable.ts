import { setTimeout as delay } from 'node:timers/promises'
import { VmrError } from '../errors/vmr-error.ts'
import { throwIfAborted } from '../shell/abort.ts'
import type { Shell } from '../shell/shell.ts'
import { normalizeAddress } from './address-text.ts'
import type { ObservedInterface, Os } from './os.ts'

const pollMs = 100

export interface WaitUntilUsableOptions {
  /** Default 10 000. Duplicate address detection takes 1 to 2 s (RFC 4862 section 5.4.2). */
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
}

/**
 * Waits until the interface is up with a carrier, and has the addresses (with or without prefix length), none of
 * them tentative any more.
 *
 * @throws VmrError ADDRESS_DUPLICATE when another machine on the link has one of them, TIMED_OUT naming what is
 * missing, INTERRUPTED.
 */
export function waitUntilUsable(
  os: Os,
  shell: Shell,
  interfaceName: string,
  addresses: readonly string[],
  options: WaitUntilUsableOptions = {},
): Promise<void> {
  return waitUntilAllUsable(os, shell, [[interfaceName, addresses]], options)
}

/** As {@link waitUntilUsable} for several interfaces of a machine: all are looked at together. */
export async function waitUntilAllUsable(
  os: Os,
  shell: Shell,
  interfaces: readonly (readonly [name: string, addresses: readonly string[]])[],
  { timeoutMs = 10_000, signal }: WaitUntilUsableOptions = {},
): Promise<void> {
  if (interfaces.length === 0) return
  const names = interfaces.map(([name]) => name).join(', ')
  const deadline = performance.now() + timeoutMs
  for (;;) {
    throwIfAborted(signal, `waiting for ${names} of ${shell.description}`)
    const observed = await os.observe(shell, signal === undefined ? {} : { signal })
    const [missing] = interfaces.flatMap(
      ([name, addresses]) =>
        whatIsMissing(
          observed.interfaces.find((each) => each.name === name),
          addresses.map((address) => normalizeAddress(address.split('/')[0] ?? '')),
          `${name} of ${shell.description}`,
        ) ?? [],
    )
    if (missing === undefined) return
    if (performance.now() >= deadline)
      throw new VmrError('TIMED_OUT', `${missing} after ${timeoutMs / 1000} s`, {
        hint: 'Check the link and what is at its other end.',
      })
    await delay(pollMs)
  }
}

function whatIsMissing(
  observed: ObservedInterface | undefined,
  wanted: readonly string[],
  where: string,
): string | undefined {
  if (observed === undefined) return `there is no ${where}`
  const found = new Map(observed.addresses.map((each) => [normalizeAddress(each.address), each]))
  const duplicate = wanted.find((address) => found.get(address)?.duplicate)
  if (duplicate !== undefined)
    throw new VmrError('ADDRESS_DUPLICATE', `${where} may not use ${duplicate}: another machine on the link has it`, {
      hint: 'Give each machine an address of its own, and look for two machines with the same MAC address.',
    })
  if (!observed.adminUp) return `${where} is still down`
  if (!observed.carrier) return `${where} still has no carrier`
  const absent = wanted.find((address) => !found.has(address))
  if (absent !== undefined) return `${where} still lacks ${absent}`
  const tentative = wanted.find((address) => found.get(address)?.tentative)
  return tentative === undefined ? undefined : `${tentative} on ${where} is still tentative`
}
