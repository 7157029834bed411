import { randomUUID } from 'node:crypto'
import { chmod } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { type DomainDefinition, domainDefinitionSchema } from '../config/domain-definition.ts'
import { type Accelerator, buildDomainXml, loadDomainSkeleton } from '../domain/domain-xml.ts'
import { assignMacs } from '../domain/mac.ts'
import { findNicMode, loadNicModes } from '../domain/nic-modes.ts'
import { VmrError } from '../errors/vmr-error.ts'
import { runInstaller } from '../image/run-installer.ts'
import { sealGuest } from '../image/seal.ts'
import type { Connection, Domain } from '../libvirt/index.ts'
import { readVyosVersion } from '../os/vyos/vyos-os.ts'
import { abortError } from '../shell/abort.ts'
import { localShell } from '../shell/local.ts'
import { withRecord } from '../shell/serial/console.ts'
import type { ConsoleSession } from '../shell/serial/login.ts'
import { serialShell } from '../shell/serial/serial-shell.ts'
import type { Journal } from '../undo/journal.ts'
import { bootGuest, firstLine } from './boot.ts'
import { bootOutcome } from './boot-outcome.ts'
import { guestAccess } from './guest-access.ts'
import { withLibvirt } from './libvirt-failure.ts'
import { destroyIfRunning } from './remove-domain.ts'
import { makeStorage } from './storage.ts'

export interface InstallOptions {
  readonly journal: Journal
  readonly signal: AbortSignal
  readonly accelerator: Accelerator
  readonly vmrVersion: string
  /** Of the installed disk. VyOS wants 2 GB at least. */
  readonly diskBytes: number
  readonly onProgress: (activity: string, detail?: string) => void
}

export interface InstalledSystem {
  /** As it names itself. */
  readonly release: string
  /** Its own boot configuration had errors at its first boot. */
  readonly configurationFailed: boolean
}

/** Copying a system of half a gigabyte, compressed, and making file systems; emulated, some twenty times as slow. */
const dialogueLimitMs: Readonly<Record<Accelerator, number>> = { kvm: 900_000, tcg: 3_600_000 }
const questionMs: Readonly<Record<Accelerator, number>> = { kvm: 20_000, tcg: 90_000 }
const settleMs: Readonly<Record<Accelerator, number>> = { kvm: 100, tcg: 300 }
const powerOffLimitMs: Readonly<Record<Accelerator, number>> = { kvm: 300_000, tcg: 600_000 }
/** How often VyOS's own installation test repeats it: the first is lost at times (T5024). */
const powerOffEveryMs = 10_000
/** A live system unpacks itself while it runs, which takes longer than from a disk. */
const liveBootFactor = 2

/**
 * Installs VyOS from an ISO onto a new disk, without a hand on it: boots the ISO in a VM without network, answers what
 * `install image` asks, boots the result from its disk, takes out what is that machine's own, and switches it off.
 *
 * @throws VmrError IMAGE_INSTALL_FAILED, GUEST_BOOT_TIMEOUT, GUEST_LOGIN_FAILED, GUEST_CONSOLE_LOST, LIBVIRT_FAILED,
 * HOST_DISK_FULL.
 */
export async function installImage(
  connection: Connection,
  iso: string,
  disk: string,
  options: InstallOptions,
): Promise<InstalledSystem> {
  const { journal, signal, accelerator, onProgress, diskBytes } = options
  const name = `image-import-${journal.runId.slice(0, 8)}`
  const uuid = randomUUID()
  const tools = { journal, shell: localShell, signal }
  await makeStorage([{ kind: 'empty disk', file: disk, format: 'qcow2', bytes: diskBytes }], tools)
  await journal.before({ kind: 'domain', uri: connection.uri, name, uuid })
  const define = async (withIso: boolean) => {
    const xml = await installerXml({ name, uuid, disk, iso: withIso ? iso : undefined, ...options })
    return withLibvirt(`defining ${name}`, () => connection.defineDomain(xml, { validate: true, signal }))
  }
  const access = guestAccess('vyos', accelerator)
  const boot = async (domain: Domain, what: string, factor: number) => {
    onProgress(`booting ${what}`)
    const { session } = await bootGuest(connection, domain, {
      ...access,
      timeoutMs: access.timeoutMs * factor,
      signal,
      onState: ({ state }) => onProgress(`booting ${what}: ${state}`),
      onRetry: (reason) => onProgress(`booting ${what} once more: ${firstLine(reason)}`),
    })
    return session
  }

  const live = await define(true)
  await inSession(await boot(live, 'the installer', liveBootFactor), async (session) => {
    onProgress('installing')
    await runInstaller(session.console, {
      password: access.credentials.password,
      timeoutMs: dialogueLimitMs[accelerator],
      questionMs: questionMs[accelerator],
      settleMs: settleMs[accelerator],
      signal,
      onProgress: (line) => onProgress('installing', line),
    })
    onProgress('switching the installer off')
    // The installer has let go of the disk by then: a live system that does not go by itself loses nothing.
    if (!(await powersOff(connection, live, session, { limitMs: powerOffLimitMs[accelerator], signal })))
      await withLibvirt(`ending ${name}`, () => destroyIfRunning(connection, live))
  })
  const installed = await define(false)
  const result = await inSession(await boot(installed, 'what was installed', 1), async (session) => {
    const guest = serialShell(session)
    onProgress('looking at what was installed')
    const { name: release } = await readVyosVersion(guest, signal)
    const { configuration } = await bootOutcome(session.boot, guest, { signal })
    onProgress('taking out what is that machine’s own')
    await sealGuest(guest, { signal })
    await guest.close()
    onProgress('switching it off')
    const limitMs = powerOffLimitMs[accelerator]
    if (!(await powersOff(connection, installed, session, { limitMs, signal })))
      throw new VmrError('IMAGE_INSTALL_FAILED', `the guest was not off ${limitMs / 1000} s after \`poweroff now\``, {
        hint: 'Try again on a machine that does less beside it.',
      })
    return { release, configurationFailed: configuration === 'failed' }
  })
  // QEMU of another user reads it through overlays from now on.
  await chmod(disk, 0o644)
  return result
}

async function inSession<T>(session: ConsoleSession, task: (session: ConsoleSession) => Promise<T>): Promise<T> {
  try {
    return await task(session)
  } catch (error) {
    throw withRecord(error, session.console.record)
  } finally {
    await session.close()
  }
}

/** Asks again and again until libvirt says that it is off. False when the time is over. */
async function powersOff(
  connection: Connection,
  domain: Domain,
  { console }: ConsoleSession,
  { limitMs, signal }: { readonly limitMs: number; readonly signal: AbortSignal },
): Promise<boolean> {
  const deadline = performance.now() + limitMs
  const ended = new Promise<void>((resolve) => console.onLost(() => resolve()))
  while (await withLibvirt(`asking for ${domain.name}`, () => connection.isDomainActive(domain, { signal }))) {
    if (performance.now() > deadline) return false
    const lost = console.lost() !== undefined
    // A console that is gone can be asked nothing more; the domain is going too.
    if (!lost) await console.send('poweroff now\r').catch(() => undefined)
    const wait = new AbortController()
    try {
      const timer = delay(lost ? 100 : powerOffEveryMs, undefined, { signal: AbortSignal.any([signal, wait.signal]) })
      await (lost ? timer : Promise.race([timer, ended]))
    } catch {
      throw abortError(signal, `switching ${domain.name} off`)
    } finally {
      wait.abort()
    }
  }
  return true
}

interface InstallerDomain extends Pick<InstallOptions, 'accelerator' | 'vmrVersion'> {
  readonly name: string
  readonly uuid: string
  readonly disk: string
  readonly iso: string | undefined
}

async function installerXml({ name, uuid, disk, iso, accelerator, vmrVersion }: InstallerDomain): Promise<string> {
  const [mac = ''] = assignMacs({ vmName: name, nics: [{}], addresses: [] })
  return buildDomainXml({
    skeleton: await loadDomainSkeleton(),
    name,
    uuid,
    accelerator,
    definition: installerDefinition(disk),
    definitionName: 'image-import',
    vmrVersion,
    // Lost with the host's power, as the whole import is.
    disks: [{ file: disk, format: 'qcow2', bus: 'virtio', cache: 'unsafe', backing: [] }],
    cdroms: iso === undefined ? [] : [{ file: iso, bootable: true, keepOwner: true }],
    // One that VyOS knows and that reaches nobody.
    nics: [{ mode: findNicMode(await loadNicModes(), 'user'), mac, role: 'management', options: { link: 'down' } }],
  })
}

function installerDefinition(disk: string): DomainDefinition {
  return domainDefinitionSchema.parse({
    os: 'vyos',
    memory: '2 GiB',
    vcpus: 2,
    disks: [{ file: disk }],
    nics: [{}],
    serialLog: false,
  })
}
