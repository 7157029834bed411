import { VmrError } from '../../errors/vmr-error.ts'
import { localShell } from '../../shell/local.ts'
import { netnsShell } from '../../shell/netns.ts'
import type { Shell } from '../../shell/shell.ts'
import { type HostKey, parseHostKeys } from '../../shell/ssh/host-key.ts'
import type { Testbed } from '../../testbed/testbed.ts'

/** From where a guest's SSH service is reached, and at which address. */
export interface SshRoute {
  readonly shell: Shell
  /** Words before a program, so that it runs there. */
  readonly through: readonly string[]
  readonly address: string
}

/**
 * The ways to a guest, best first: the address that was given, from this host; else the testbed's addresses of it, from the
 * PC on the same link, as this host has no address there. IPv4 first: it does not depend on the interface mode.
 */
export function sshRoutes(testbed: Testbed | undefined, given: string | undefined): readonly SshRoute[] {
  if (given !== undefined) return [{ shell: localShell, through: [], address: given }]
  const routes = (testbed?.links ?? []).flatMap(({ pc, dut }) => {
    const { name } = pc.shell
    return dut.addresses.map((address) => ({
      shell: netnsShell(name),
      through: ['ip', 'netns', 'exec', name],
      address: address.split('/')[0] ?? '',
    }))
  })
  return routes.toSorted((left, right) => Number(left.address.includes(':')) - Number(right.address.includes(':')))
}

export interface ReachedRoute {
  readonly route: SshRoute
  /** What answered there. */
  readonly shown: readonly HostKey[]
}

/** Seconds that an SSH service may take to show its key; software emulation needs one for the key exchange. */
const answerLimitSeconds = 5

/** The first way on which an SSH service answers; undefined where none does. */
export async function findSshRoute(
  routes: readonly SshRoute[],
  signal: AbortSignal,
): Promise<ReachedRoute | undefined> {
  for (const route of routes) {
    const argv = ['ssh-keyscan', '-T', String(answerLimitSeconds), '-t', 'ed25519,ecdsa,rsa', '--', route.address]
    const { stdout } = await route.shell.run(argv, { timeoutMs: 30_000, signal })
    const shown = parseHostKeys(stdout, 1)
    if (shown.length > 0) return { route, shown }
  }
  return undefined
}

/** @throws VmrError GUEST_SSH_UNREACHABLE that names every address that was tried. */
export function requireRoute(
  name: string,
  routes: readonly SshRoute[],
  reached: ReachedRoute | undefined,
): ReachedRoute {
  if (reached === undefined) throw noRouteError(name, routes)
  return reached
}

/** Nothing answered on any of these routes. */
export function noRouteError(name: string, routes: readonly SshRoute[]): VmrError {
  if (routes.length === 0)
    return new VmrError('GUEST_SSH_UNREACHABLE', `vmr knows no address of ${name}`, {
      hint: 'Name the one of its management NIC: --host 192.0.2.1',
    })
  return new VmrError(
    'GUEST_SSH_UNREACHABLE',
    `no SSH service answers for ${name} at ${routes.map(({ address }) => address).join(', ')}`,
    {
      hint: `Configure \`set service ssh\` and an address over its console (vmr vm console ${name}), or see why it is not reached: vmr diagnose ${name}`,
    },
  )
}
