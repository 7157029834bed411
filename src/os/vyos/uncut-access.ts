import type { Shell } from '../../shell/shell.ts'
import { shellAccess, type VyosAccess } from './vyos-access.ts'
import { mayCutWayIn, readWayIn } from './way-in.ts'

/**
 * A VyOS over a shell that goes through its own network. The first change that could cut that way, and all that
 * follows, goes over the console instead.
 *
 * VyOS's own `commit-confirm` would do as much only where it can go back without a reboot (1.5, when it is set so),
 * and a VM has its console always.
 */
export function uncutAccess(shell: Shell, openConsole: () => Promise<Shell>): VyosAccess {
  let vyos = shellAccess(shell)
  return {
    description: vyos.description,
    readVersion: (signal) => vyos.readVersion(signal),
    readConfiguration: (signal) => vyos.readConfiguration(signal),
    interfaceNames: (signal) => vyos.interfaceNames(signal),
    async changeConfiguration(before, commands, options = {}) {
      const wayIn = await readWayIn(shell, options.signal)
      if (wayIn !== undefined && mayCutWayIn(commands, wayIn)) vyos = shellAccess(await openConsole())
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
