import { isDeepStrictEqual } from 'node:util'
import { readLinks, readRoutes } from '../os/linux/ip-json.ts'
import { localShell } from '../shell/local.ts'
import { runChecked } from '../shell/shell.ts'
import { withHostLock } from '../undo/host-lock.ts'
import type { Journal } from '../undo/journal.ts'
import type { UndoStep } from '../undo/steps.ts'
import { planUplink, type UplinkChange, type UplinkSituation, type UplinkUse } from './uplink-plan.ts'

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
export function prepareUplink(uplink: string, use: UplinkUse, options: PrepareUplinkOptions): Promise<void> {
  return withUplinkLock(uplink, options, async () => {
    await makeChanges(planUplink(uplink, use, await observe(uplink, options)), options)
  })
}

export interface HandOverOptions extends PrepareUplinkOptions {
  /** The host's device of the VM that holds the uplink now. */
  readonly leaving: string | undefined
}

/**
 * Has one user of an uplink leave and another come, with as little as possible between: what can be looked up, noted in
 * the journal and made before is done before the task runs. The task calls `ready` once the leaving device is gone, and
 * may attach the next one when that has resolved. Errors as of {@link prepareUplink}.
 */
export function handOverUplink<T>(
  uplink: string,
  use: UplinkUse,
  options: HandOverOptions,
  task: (ready: () => Promise<void>) => Promise<T>,
): Promise<T> {
  return withUplinkLock(uplink, options, async () => {
    const situation = await observe(uplink, options)
    const leaving = situation.links.find(({ ifname }) => ifname === options.leaving)
    // In passthrough mode the NIC has the guest's MAC address, and is taken down, until the macvtap is gone.
    if (leaving?.linkinfo?.info_data?.mode === 'passthru')
      return task(async () => makeChanges(planUplink(uplink, use, await observe(uplink, options)), options))
    const links = situation.links.filter((link) => link !== leaving)
    const changes = planUplink(uplink, use, { ...situation, links })
    for (const { inverse } of changes) await note(inverse, options)
    await makeChanges(
      changes.filter(({ ahead }) => ahead),
      options,
    )
    return task(() =>
      makeChanges(
        changes.filter(({ ahead }) => !ahead),
        options,
      ),
    )
  })
}

function withUplinkLock<T>(uplink: string, { signal }: PrepareUplinkOptions, task: () => Promise<T>): Promise<T> {
  return withHostLock({ name: `uplink ${uplink}`, ...(signal === undefined ? {} : { signal }) }, task)
}

async function makeChanges(changes: readonly UplinkChange[], options: PrepareUplinkOptions): Promise<void> {
  for (const { inverse, commands } of changes) {
    await note(inverse, options)
    for (const argv of commands) await runChecked(localShell, argv, signalOf(options))
  }
}

async function note(inverse: readonly UndoStep[], { journal }: PrepareUplinkOptions): Promise<void> {
  for (const step of inverse) if (!isCovered(step, journal)) await journal.before(step)
}

function signalOf({ signal }: { readonly signal?: AbortSignal | undefined }): { readonly signal?: AbortSignal } {
  return signal === undefined ? {} : { signal }
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
  const situation = await observe(uplink, signalOf({ signal }))
  planUplink(uplink, use, { ...situation, links: situation.links.filter(({ ifname }) => ifname !== leaving) })
}

/** A run that switches modes hundreds of times needs each inverse once: the first one says how it was at the start. */
function isCovered(step: UndoStep, journal: Journal): boolean {
  return journal.pending().some(({ step: earlier }) => {
    if (earlier.kind === 'sysctl' && step.kind === 'sysctl') return earlier.key === step.key
    return isDeepStrictEqual(earlier, step)
  })
}

async function observe(uplink: string, { signal }: { readonly signal?: AbortSignal }): Promise<UplinkSituation> {
  const options = signalOf({ signal })
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
