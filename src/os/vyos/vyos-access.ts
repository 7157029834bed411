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

/** What `show version` said since the guest was started, behind the kernel's name for that start. */
const versionFile = '/tmp/.vmr-version'
const bootIdFile = '/proc/sys/kernel/random/boot_id'

/** Asked once a start of the guest, since the answer takes a slow one seconds and stays the same until it is restarted. */
async function readVersionOnce(shell: Shell, signal: AbortSignal | undefined): Promise<string> {
  const options = signal === undefined ? {} : { signal }
  const { stdout } = await shell.run(['sh', '-c', `cat ${bootIdFile} ${versionFile} 2>/dev/null`], options)
  const [bootId = '', writtenIn, ...said] = stdout.split('\n')
  if (bootId !== '' && bootId === writtenIn) return said.join('\n')
  const answer = await runOperational(shell, ['show', 'version'], signal)
  // A file that cannot be written only costs the next one a question.
  await shell.writeFile(versionFile, `${bootId}\n${answer}`, { mode: 0o600, ...options }).catch(() => undefined)
  return answer
}

const versions = new WeakMap<Shell, VyosVersion>()

/** By commands in the guest, over its console or SSH. */
export function shellAccess(shell: Shell): VyosAccess {
  return {
    description: shell.description,
    async readVersion(signal) {
      const known = versions.get(shell)
      if (known !== undefined) return known
      const version = parseVyosVersion(await readVersionOnce(shell, signal))
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
