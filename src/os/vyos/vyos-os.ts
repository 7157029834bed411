import { networkChange } from '../../config/network-change.ts'
import type { NetworkConfig } from '../../config/network-config.ts'
import { VmrError } from '../../errors/vmr-error.ts'
import type { Shell } from '../../shell/shell.ts'
import { linuxOs } from '../linux/linux-os.ts'
import type { Os } from '../os.ts'
import { keyOf, startsWith, type VyosCommand, type VyosPath } from './path.ts'
import { planChange, planRemoval, planUndo, resolveUndo, resolveUndoInTurn, type VyosChange } from './plan.ts'
import { renderNetworkConfig, type WantedConfiguration } from './render.ts'
import { changeConfiguration, readConfiguration } from './transaction.ts'
import { readUndoRecord, removeUndoRecord } from './undo-record.ts'
import type { VyosVersion } from './version.ts'
import { shellAccess, type VyosAccess } from './vyos-access.ts'

/** Which VyOS this is. */
export function readVyosVersion(shell: Shell, signal?: AbortSignal): Promise<VyosVersion> {
  return shellAccess(shell).readVersion(signal)
}

/** The commands that {@link vyosOs.configure} would send now. */
export async function planVyos(
  vyos: VyosAccess,
  config: NetworkConfig,
  signal?: AbortSignal,
): Promise<readonly VyosCommand[]> {
  const { train } = await vyos.readVersion(signal)
  return planChange(await vyos.readConfiguration(signal), renderNetworkConfig(config, train))
}

export interface VyosChangeOptions {
  readonly signal?: AbortSignal | undefined
  /** Also writes the configuration to the guest's disk, what others have committed included. */
  readonly save?: boolean
}

/**
 * What {@link vyosOs.configure} does.
 *
 * @returns the commands that were sent
 */
export async function applyVyos(
  vyos: VyosAccess,
  config: NetworkConfig,
  { signal, save = false }: VyosChangeOptions = {},
): Promise<readonly VyosCommand[]> {
  const { train } = await vyos.readVersion(signal)
  const wanted = renderNetworkConfig(config, train)
  await requireDevices(vyos, wanted, signal)
  const running = await vyos.readConfiguration(signal)
  const changes = planChange(running, wanted)
  if (changes.length > 0) {
    // Before the change, so that a run that dies in it can still be taken back.
    await vyos.undoRecords.add(config, planUndo(running, changes), signal)
  }
  await vyos.changeConfiguration(running, changes, { signal, save })
  if (save) await vyos.undoRecords.keep()
  return changes
}

/**
 * Makes commands of the user's own active and saved, in one transaction; what is so already is not sent. They are no
 * part of what {@link resetVyos} takes back.
 *
 * @returns the commands that were sent
 */
export async function applyCommands(
  shell: Shell,
  commands: readonly VyosCommand[],
  signal?: AbortSignal,
): Promise<readonly VyosCommand[]> {
  const running = await readConfiguration(shell, signal)
  const changes = planChange(running, {
    present: commands.flatMap(({ kind, path }) => (kind === 'set' ? [{ path, single: false, objects: [] }] : [])),
    absent: commands.flatMap(({ kind, path }) => (kind === 'delete' ? [path] : [])),
    devices: [],
  })
  await changeConfiguration(shell, running, changes, { signal, save: true })
  return changes
}

/** The commands that {@link resetVyos} would send now. */
export async function planVyosReset(vyos: VyosAccess, signal?: AbortSignal): Promise<readonly VyosCommand[]> {
  return resetChanges(vyos, await vyos.readConfiguration(signal), signal)
}

async function resetChanges(
  { undoRecords }: VyosAccess,
  running: readonly VyosPath[],
  signal: AbortSignal | undefined,
): Promise<readonly VyosChange[]> {
  return resolveUndoInTurn(
    running,
    (await undoRecords.readAll(signal)).flatMap(({ steps }) => steps),
  )
}

/**
 * Takes back all that vmr has set in this guest and noted in its records, whichever process did; what vmr did not set
 * stays.
 *
 * @returns the commands that were sent
 */
export async function resetVyos(
  vyos: VyosAccess,
  { signal, save = false }: VyosChangeOptions = {},
): Promise<readonly VyosCommand[]> {
  const running = await vyos.readConfiguration(signal)
  const changes = await resetChanges(vyos, running, signal)
  await vyos.changeConfiguration(running, changes, { signal, save })
  await vyos.undoRecords.removeAll({ saved: save })
  return changes
}

/**
 * VyOS 1.2 to 1.5, over any shell. Only the difference to the active configuration is sent, in one transaction; what
 * vmr did not set stays. Nothing is saved: a restart brings back the configuration of the image.
 */
export const vyosOs: Os = {
  kind: 'vyos',
  async configure(shell, config, options = {}) {
    await applyVyos(shellAccess(shell), config, options)
  },
  async unconfigure(shell, config, { signal } = {}) {
    const { train } = await readVyosVersion(shell, signal)
    const wanted = renderNetworkConfig(config, train)
    const running = await readConfiguration(shell, signal)
    const record = await readUndoRecord(shell, config, signal)
    const changes = record === undefined ? planRemoval(running, wanted) : resolveUndo(running, record)
    await changeConfiguration(shell, running, changes, { signal })
    await removeUndoRecord(shell, config)
  },
  async reconfigure(shell, from, to, { signal } = {}) {
    await reconfigureVyos(shellAccess(shell), from, to, signal)
  },
  observe: linuxOs.observe,
  readNeighbours: linuxOs.readNeighbours,
  flushNeighbours: (shell, interfaceNames, options) => linuxOs.flushNeighbours(asRoot(shell), interfaceNames, options),
}

/** What {@link vyosOs.reconfigure} does. */
export async function reconfigureVyos(
  vyos: VyosAccess,
  from: NetworkConfig,
  to: NetworkConfig,
  signal?: AbortSignal,
): Promise<void> {
  const { train } = await vyos.readVersion(signal)
  const { removed, added } = networkChange(from, to)
  const [going, coming] = [renderNetworkConfig(removed, train), renderNetworkConfig(added, train)]
  await requireDevices(
    vyos,
    { ...coming, devices: coming.devices.filter((name) => !going.devices.includes(name)) },
    signal,
  )
  const running = await vyos.readConfiguration(signal)
  const staying = new Set(renderNetworkConfig(to, train).present.map(({ path }) => keyOf(path)))
  const present = going.present.filter(({ path }) => !staying.has(keyOf(path)))
  // Setting the only value of a node replaces the one before; without any VyOS may refuse what the node is in.
  const replaced = new Set(coming.present.filter(({ single }) => single).map(({ path }) => keyOf(path.slice(0, -1))))
  const removals = planRemoval(running, { ...going, present }).filter(({ path }) => !replaced.has(keyOf(path)))
  const left = running.filter((path) => !removals.some((removal) => startsWith(path, removal.path)))
  const additions = planChange(left, coming)
  // Within one transaction what goes must not come again below the same node: success is told by what is there after.
  const clash = additions.some(({ path }) => removals.some((removal) => startsWith(path, removal.path)))
  const steps = clash ? [removals, additions] : [[...removals, ...additions]]
  let before = running
  for (const changes of steps) {
    await vyos.changeConfiguration(before, changes, { signal })
    before = left
  }
}

/** VyOS's user may look at the kernel, and needs sudo to change it. */
function asRoot(shell: Shell): Shell {
  return { ...shell, run: (argv, options) => shell.run(['sudo', ...argv], options) }
}

async function requireDevices(
  vyos: VyosAccess,
  wanted: WantedConfiguration,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (wanted.devices.length === 0) return
  const present = await vyos.interfaceNames(signal)
  const missing = wanted.devices.filter((name) => !present.includes(name))
  if (missing.length === 0) return
  throw new VmrError(
    'GUEST_CONFIG_REFUSED',
    `${vyos.description}: the guest has no interface ${missing.join(', ')}; it has ${present.join(', ')}`,
    {
      hint: 'Interfaces are named in the order of the NICs of the domain, eth0 first. Attach the NIC, or correct the name.',
    },
  )
}
