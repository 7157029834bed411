import type { Accelerator } from '../domain/domain-xml.ts'
import type { Credentials } from '../shell/serial/login.ts'

/** The factory login of VyOS and of the lab router, on a console that only this host's root can open. */
const factoryCredentials: Credentials = { user: 'vyos', password: 'vyos' }

/** How long a lab router may take from its start to its prompt, many times what it takes on a quiet host. */
const bootLimitMs: Readonly<Record<Accelerator, number>> = { kvm: 30_000, tcg: 60_000 }

export function guestAccess(accelerator: Accelerator): {
  readonly credentials: Credentials
  readonly timeoutMs: number
} {
  return { credentials: factoryCredentials, timeoutMs: bootLimitMs[accelerator] }
}
