import type { Shell } from '../../shell/shell.ts'
import type { VyosPath } from './path.ts'
import { shellAccess, type VyosAccess } from './vyos-access.ts'
import { mayCutWayIn, readWayIn, type WayIn } from './way-in.ts'

interface UncutWays {
  /** Where the way leads in, given what is active; undefined for one that nothing can cut. */
  wayIn(before: readonly VyosPath[], signal: AbortSignal | undefined): Promise<WayIn | undefined>
  /** The guest over its console, opened when it is first asked for. */
  console(): Promise<VyosAccess>
}

/**
 * A VyOS by a way that goes through its own network. The first change that could cut that way, and all that follows, goes
 * over the console instead.
 *
 * VyOS's own `commit-confirm` would do as much only where it can go back without a reboot (1.5, when it is set so),
 * and a VM has its console always.
 */
export function uncut(own: VyosAccess, ways: UncutWays): VyosAccess {
  let vyos = own
  return {
    description: vyos.description,
    readVersion: (signal) => vyos.readVersion(signal),
    readConfiguration: (signal) => vyos.readConfiguration(signal),
    interfaceNames: (signal) => vyos.interfaceNames(signal),
    async changeConfiguration(before, commands, options = {}) {
      const wayIn = vyos === own ? await ways.wayIn(before, options.signal) : undefined
      if (wayIn !== undefined && mayCutWayIn(commands, wayIn)) vyos = await ways.console()
      await vyos.changeConfiguration(before, commands, options)
    },
    undoRecords: {
      readAll: (signal) => vyos.undoRecords.readAll(signal),
      add: (config, steps, signal) => vyos.undoRecords.add(config, steps, signal),
      keep: () => vyos.undoRecords.keep(),
      removeAll: (options) => vyos.undoRecords.removeAll(options),
    },
  }
}

/** {@link uncut} for a session by SSH. */
export function uncutAccess(shell: Shell, openConsole: () => Promise<Shell>): VyosAccess {
  return uncut(shellAccess(shell), {
    wayIn: (_before, signal) => readWayIn(shell, signal),
    console: async () => shellAccess(await openConsole()),
  })
}
