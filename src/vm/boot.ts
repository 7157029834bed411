import { isVmrError, type VmrError } from '../errors/vmr-error.ts'
import type { Connection, Domain } from '../libvirt/index.ts'
import type { Boot } from '../shell/serial/boot-state.ts'
import {
  type ConsoleSession,
  type ConsoleStateReport,
  type Credentials,
  openConsoleSession,
} from '../shell/serial/login.ts'
import { startConsoleRecord } from './console-record.ts'
import { withLibvirt } from './libvirt-failure.ts'
import { destroyIfRunning } from './remove-domain.ts'

export interface BootOptions {
  readonly credentials: Credentials
  /** From start to the prompt. */
  readonly timeoutMs: number
  /** What a guest that runs has said on its console before. */
  readonly earlier?: { readonly boot: Boot; readonly lines: readonly string[] } | undefined
  readonly signal?: AbortSignal | undefined
  readonly onState?: (report: ConsoleStateReport) => void
  /** Called when a boot hung and is tried once more. */
  readonly onRetry?: (reason: VmrError) => void
}

export interface BootedGuest {
  readonly session: ConsoleSession
  readonly domain: Domain
  /** Milliseconds from the start to the prompt, of the boot that succeeded. */
  readonly readyAfterMs: number
  readonly retried: boolean
}

/**
 * Starts a defined domain and logs in on its serial console. A boot that hangs is ended and tried once more, which the
 * result says: under software emulation on a busy host the guest's timer calibration can hang.
 *
 * @throws VmrError GUEST_BOOT_TIMEOUT after the second hang, GUEST_LOGIN_FAILED, GUEST_CONSOLE_BUSY, LIBVIRT_FAILED.
 */
export async function bootGuest(connection: Connection, domain: Domain, options: BootOptions): Promise<BootedGuest> {
  try {
    return { ...(await bootOnce(connection, domain, options)), retried: false }
  } catch (error) {
    if (!isVmrError(error) || error.code !== 'GUEST_BOOT_TIMEOUT') throw error
    options.onRetry?.(error)
    await withLibvirt(`ending ${domain.name} after a boot that hung`, () => destroyIfRunning(connection, domain))
    return { ...(await bootOnce(connection, domain, options)), retried: true }
  }
}

/** Without the last lines of the console. */
export function firstLine({ message }: VmrError): string {
  return message.split('; last lines:')[0] ?? message
}

async function bootOnce(
  connection: Connection,
  domain: Domain,
  { credentials, timeoutMs, signal, onState }: BootOptions,
): Promise<Omit<BootedGuest, 'retried'>> {
  const start = performance.now()
  const started = await withLibvirt(`starting ${domain.name}`, () => connection.createDomain(domain, { signal }))
  const session = await openSession(connection, started, {
    credentials,
    timeoutMs,
    signal,
    ...(onState && { onState }),
  })
  return { session, domain: started, readyAfterMs: performance.now() - start }
}

/**
 * Opens the serial console of a running domain and logs in. What is typed and shown is recorded in a file, which an
 * error of the guest's names. Errors as in {@link bootGuest}.
 */
export async function openSession(
  connection: Connection,
  domain: Domain,
  { credentials, timeoutMs, earlier, signal, onState }: Omit<BootOptions, 'onRetry'>,
): Promise<ConsoleSession> {
  const stream = await withLibvirt(`opening the console of ${domain.name}`, () =>
    connection.openConsole(domain, { signal }),
  )
  const record = startConsoleRecord(domain.name, credentials)
  try {
    const session = await openConsoleSession(stream, {
      description: `serial console of ${domain.name}`,
      credentials,
      timeoutMs,
      ...(earlier === undefined ? {} : { earlier }),
      ...(record === undefined ? {} : { transcript: record.transcript, record: record.path }),
      ...(signal === undefined ? {} : { signal }),
      ...(onState === undefined ? {} : { onState }),
    })
    return {
      ...session,
      close: async () => {
        await session.close()
        record?.close()
        stream.destroy()
      },
    }
  } catch (error) {
    record?.close()
    stream.destroy()
    throw error
  }
}
