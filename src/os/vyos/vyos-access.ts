import { runChecked, type Shell } from '../../shell/shell.ts'
import type { VyosPath } from './path.ts'
import type { VyosChange } from './plan.ts'
import { type ChangeOptions, changeConfiguration, readConfiguration, runOperational } from './transaction.ts'
import { guestUndoRecords, type UndoRecords } from './undo-record.ts'
import { parseVyosVersion, type VyosVersion } from './version.ts'

/** A VyOS whose configuration can be read and changed, whichever way leads there. */
export interface VyosAccess {
  /** For messages: "serial console of r1". */
  readonly description: string
  readVersion(signal?: AbortSignal): Promise<VyosVersion>
  /** What is active now. */
  readConfiguration(signal?: AbortSignal): Promise<readonly VyosPath[]>
  /** As {@link changeConfiguration}: all of these changes, or none. */
  changeConfiguration(
    before: readonly VyosPath[],
    commands: readonly VyosChange[],
    options?: ChangeOptions,
  ): Promise<void>
  /** Those that the machine has, configured or not. */
  interfaceNames(signal?: AbortSignal): Promise<readonly string[]>
  readonly undoRecords: UndoRecords
}

const versions = new WeakMap<Shell, VyosVersion>()

/** By commands in the guest, over its console or SSH. */
export function shellAccess(shell: Shell): VyosAccess {
  return {
    description: shell.description,
    async readVersion(signal) {
      // Asked once a shell, since the answer takes a slow guest seconds.
      const known = versions.get(shell)
      if (known !== undefined) return known
      const version = parseVyosVersion(await runOperational(shell, ['show', 'version'], signal))
      versions.set(shell, version)
      return version
    },
    readConfiguration: (signal) => readConfiguration(shell, signal),
    changeConfiguration: (before, commands, options) => changeConfiguration(shell, before, commands, options),
    async interfaceNames(signal) {
      const listing = await runChecked(shell, ['ls', '/sys/class/net'], signal === undefined ? {} : { signal })
      return listing.split(/\s+/).filter((name) => name !== '')
    },
    undoRecords: guestUndoRecords(shell),
  }
}
