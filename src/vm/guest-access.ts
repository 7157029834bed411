import type { DomainDefinition } from '../config/domain-definition.ts'
import type { Accelerator } from '../domain/domain-xml.ts'
import type { Credentials } from '../shell/serial/login.ts'

/** What the guest is: it decides how long it boots, and how it is configured. */
export type GuestSystem = DomainDefinition['os']

/** The factory login of VyOS and of the lab router, on a console that only this host's root can open. */
export const factoryCredentials: Credentials = { user: 'vyos', password: 'vyos' }

/**
 * How long a guest may take from its start to its prompt, many times what it takes on a quiet host. VyOS boots a whole
 * Debian from disk and then loads its configuration.
 */
const bootLimitMs: Readonly<Record<GuestSystem, Readonly<Record<Accelerator, number>>>> = {
  'lab-router': { kvm: 30_000, tcg: 60_000 },
  vyos: { kvm: 300_000, tcg: 1_200_000 },
}

export function guestAccess(
  system: GuestSystem,
  accelerator: Accelerator,
): {
  readonly credentials: Credentials
  readonly timeoutMs: number
} {
  return { credentials: factoryCredentials, timeoutMs: bootLimitMs[system][accelerator] }
}
