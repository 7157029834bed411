import { isDeepStrictEqual } from 'node:util'
import { readLinks, readRoutes } from '../os/linux/ip-json.ts'
import { localShell } from '../shell/local.ts'
import { runChecked } from '../shell/shell.ts'
import { withHostLock } from '../undo/host-lock.ts'
import type { Journal } from '../undo/journal.ts'
import type { UndoStep } from '../undo/steps.ts'
import { planUplink, type UplinkSituation, type UplinkUse } from './uplink-plan.ts'

export interface PrepareUplinkOptions {
  /** Records every change before it is made. */
  readonly journal: Journal
  readonly signal?: AbortSignal
}

/**
 * Makes a host NIC ready for what an interface mode needs: held by a bridge, or bare. A NIC cannot be held by a bridge
 * and carry a macvtap, so a bridge of vmr's that nobody else uses is made or dissolved. Idempotent.
 *
 * @throws VmrError UPLINK_NOT_FOUND; UPLINK_BUSY naming who holds it, also when it carries an address or the default
 * route of the host; HOST_PERMISSION, HOST_COMMAND_FAILED, INTERRUPTED.
 */
export async function prepareUplink(uplink: string, use: UplinkUse, options: PrepareUplinkOptions): Promise<void> {
  const { journal, signal } = options
  const runOptions = signal === undefined ? {} : { signal }
  await withHostLock({ name: `uplink ${uplink}`, ...runOptions }, async () => {
    const changes = planUplink(uplink, use, await observe(uplink, runOptions))
    for (const { inverse, commands } of changes) {
      for (const step of inverse) if (!isCovered(step, journal)) await journal.before(step)
      for (const argv of commands) await runChecked(localShell, argv, runOptions)
    }
  })
}

/**
 * Says without changing anything whether {@link prepareUplink} would do: once the device that holds the uplink now, if
 * any, has left it. Errors as of prepareUplink.
 */
export async function checkUplink(
  uplink: string,
  use: UplinkUse,
  { leaving, signal }: { readonly leaving?: string | undefined; readonly signal?: AbortSignal | undefined },
): Promise<void> {
  const situation = await observe(uplink, signal === undefined ? {} : { signal })
  planUplink(uplink, use, { ...situation, links: situation.links.filter(({ ifname }) => ifname !== leaving) })
}

/** A run that switches modes hundreds of times needs each inverse once: the first one says how it was at the start. */
function isCovered(step: UndoStep, journal: Journal): boolean {
  return journal.pending().some(({ step: earlier }) => {
    if (earlier.kind === 'sysctl' && step.kind === 'sysctl') return earlier.key === step.key
    return isDeepStrictEqual(earlier, step)
  })
}

async function observe(uplink: string, options: { readonly signal?: AbortSignal }): Promise<UplinkSituation> {
  const [links, ipv4Routes, ipv6Routes, ipv6] = await Promise.all([
    readLinks(localShell, options),
    readRoutes(localShell, 'ipv4', options),
    readRoutes(localShell, 'ipv6', options),
    localShell.run(['sysctl', '-n', `net/ipv6/conf/${uplink}/disable_ipv6`], options),
  ])
  return {
    links,
    defaultRouteInterfaces: [...ipv4Routes, ...ipv6Routes].flatMap(({ dst, dev }) =>
      dst === 'default' && dev !== undefined ? [dev] : [],
    ),
    ipv6Disabled: ipv6.exitCode === 0 ? ipv6.stdout.trim() === '1' : undefined,
  }
}
