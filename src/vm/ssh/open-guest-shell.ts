import type { ErrorCode } from '../../errors/codes.ts'
import { isVmrError, VmrError } from '../../errors/vmr-error.ts'
import type { Connection } from '../../libvirt/index.ts'
import { localShell } from '../../shell/local.ts'
import { serialShell } from '../../shell/serial/serial-shell.ts'
import type { Shell } from '../../shell/shell.ts'
import { connectSsh, type SshConnection, type SshTarget } from '../../shell/ssh/connect.ts'
import { openRelay } from '../../shell/ssh/relay.ts'
import { sshConfigTarget } from '../../shell/ssh/ssh-config.ts'
import { sshShell } from '../../shell/ssh/ssh-shell.ts'
import { loadTestbed } from '../../testbed/testbed.ts'
import { openSession } from '../boot.ts'
import type { Vm } from '../find-vm.ts'
import { guestAccess } from '../guest-access.ts'
import { pinnedHostKeys } from './host-keys.ts'
import { noRouteError, type SshRoute, sshRoutes } from './route.ts'

/** What a guest's commands go over. `auto` is SSH where it answers with a pinned host key, else the console. */
export type GuestChannel = 'console' | 'ssh' | 'auto'

export interface OpenGuestOptions {
  readonly via: GuestChannel
  /** Where the guest is reached from this host, an address or a host of ssh_config(5); default: the testbed's addresses of it, from the PC on the same link. */
  readonly host?: string | undefined
  readonly signal?: AbortSignal | undefined
}

export interface OpenedGuest {
  readonly shell: Shell
  readonly via: 'console' | 'ssh'
  /** A shell that no configuration of the guest's network can cut; opened when it is first asked for. */
  console(): Promise<Shell>
  /** Never rejects. */
  close(): Promise<void>
}

/** An address at which nothing answers costs this much; a key exchange takes an emulated guest seconds. */
const connectLimitMs = 10_000
/** How long `auto` looks for SSH, at all addresses together, before it takes the console. */
const autoLimitMs = 15_000
const sshPort = 22

/**
 * A shell in a running guest, logged in with the factory's login.
 *
 * @throws VmrError GUEST_HOST_KEY_CHANGED, GUEST_NOT_READY without a pinned host key, GUEST_SSH_UNREACHABLE, GUEST_LOGIN_FAILED, and what openSession throws.
 */
export async function openGuestShell(
  connection: Connection,
  vm: Vm,
  { via, host, signal }: OpenGuestOptions,
): Promise<OpenedGuest> {
  if (via === 'console') return openConsole(connection, vm, signal)
  try {
    const given = signal === undefined ? [] : [signal]
    const limit = via === 'auto' ? [AbortSignal.timeout(autoLimitMs)] : []
    const overSsh = await openSsh(vm, host, AbortSignal.any([...given, ...limit]))
    return withConsole(overSsh, () => openConsole(connection, vm, signal))
  } catch (error) {
    if (via === 'ssh' || !isVmrError(error) || neverIgnored.has(error.code)) throw error
    return openConsole(connection, vm, signal)
  }
}

function withConsole(
  { shell, close }: Pick<OpenedGuest, 'shell' | 'close'>,
  openIt: () => Promise<OpenedGuest>,
): OpenedGuest {
  let opened: Promise<OpenedGuest> | undefined
  return {
    shell,
    via: 'ssh',
    console: async () => {
      opened ??= openIt()
      return (await opened).shell
    },
    close: async () => {
      await close()
      await opened?.then(
        (console) => console.close(),
        () => undefined,
      )
    },
  }
}

/** Who shows another host key than the pinned one may be somebody in between: that is not passed over in silence. */
const neverIgnored: ReadonlySet<ErrorCode> = new Set(['INTERRUPTED', 'GUEST_HOST_KEY_CHANGED'])

async function openConsole(
  connection: Connection,
  { domain, facts, metadata }: Vm,
  signal: AbortSignal | undefined,
): Promise<OpenedGuest> {
  const access = guestAccess(metadata.os, facts.accelerator ?? 'tcg')
  const session = await openSession(connection, domain, { ...access, signal })
  const shell = serialShell(session)
  return {
    shell,
    via: 'console',
    console: async () => shell,
    close: async () => {
      await shell.close()
      await session.close()
    },
  }
}

async function openSsh(
  vm: Vm,
  host: string | undefined,
  signal: AbortSignal | undefined,
): Promise<Pick<OpenedGuest, 'shell' | 'close'>> {
  const { name } = vm.domain
  const hostKeys = await pinnedHostKeys(name)
  if (hostKeys.length === 0)
    throw new VmrError('GUEST_NOT_READY', `no SSH host key of ${name} is pinned`, {
      hint: `Read them over its console: vmr vm trust ${name}`,
    })
  const { testbed } = vm.metadata
  const routes = sshRoutes(testbed === undefined ? undefined : await loadTestbed(testbed), host)
  const { credentials } = guestAccess(vm.metadata.os, vm.facts.accelerator ?? 'tcg')
  const targetOf = async ({ through, address }: SshRoute): Promise<SshTarget> => {
    if (through.length > 0)
      return {
        ...{ name, host: address, hostKeys, ...credentials, agent: process.env.SSH_AUTH_SOCK },
        openStream: async () => openRelay(through, address, sshPort),
      }
    const { user = credentials.user, ...configured } = await sshConfigTarget(address, {
      ...{ shell: localShell, hostKeys, signal },
    })
    return { ...configured, name, user, ...(user === credentials.user ? { password: credentials.password } : {}) }
  }
  const connected = await firstConnection(routes, async (route) =>
    connectSsh(await targetOf(route), { signal, timeoutMs: connectLimitMs }),
  )
  if (connected === undefined) throw noRouteError(name, routes)
  const shell = sshShell(connected)
  return {
    shell,
    close: async () => {
      await shell.close()
      await connected.close()
    },
  }
}

/** Tries one after the other; what answers and is refused counts: another address is another way to the same guest. */
async function firstConnection(
  routes: readonly SshRoute[],
  connect: (route: SshRoute) => Promise<SshConnection>,
): Promise<SshConnection | undefined> {
  for (const route of routes) {
    try {
      return await connect(route)
    } catch (error) {
      if (!isVmrError(error) || error.code !== 'GUEST_SSH_UNREACHABLE') throw error
    }
  }
  return undefined
}
