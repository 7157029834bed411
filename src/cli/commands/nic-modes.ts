import { homedir } from 'node:os'
import { relative } from 'node:path'
import { packageRoot } from '../../config/package-root.ts'
import { loadNicModes, type NicMode } from '../../domain/nic-modes.ts'
import { isVmrError } from '../../errors/vmr-error.ts'
import { withConnection } from '../../vm/host.ts'
import { withLibvirt } from '../../vm/libvirt-failure.ts'
import { askAcceptance, type ModeAcceptance } from '../../vm/nic-mode-acceptance.ts'
import type { CommandContext } from '../context.ts'

/** A connection that nobody waits for: the list is of use without libvirt too. */
const askingLimitMs = 5_000

export interface ModesHere {
  readonly modes: readonly NicMode[]
  /** Version of the libvirt that was asked; undefined when none answered. */
  readonly libvirtVersion: string | undefined
  readonly acceptance: (mode: NicMode) => ModeAcceptance
}

/**
 * All modes, by name, with what the libvirt of this host says about those wanted. A mode's file that replaces another is
 * warned about.
 */
export async function modesHere(
  { terminal, signal }: CommandContext,
  uri: string,
  wanted: (modes: ReadonlyMap<string, NicMode>) => readonly NicMode[],
): Promise<ModesHere> {
  const { modes: byName, conflicts } = await loadNicModes()
  for (const { name, used, ignored } of conflicts)
    terminal.warn(`NIC mode ${name} is that of ${shownFile(used)}, which replaces ${shownFile(ignored)}`)
  const modes = wanted(byName)
  const said = new Map<NicMode, ModeAcceptance>()
  let libvirtVersion: string | undefined
  const limited = AbortSignal.any([signal, AbortSignal.timeout(askingLimitMs)])
  try {
    await withConnection(
      uri,
      async (connection) => {
        libvirtVersion = await withLibvirt('asking libvirt for its version', () =>
          connection.libvirtVersion({ signal: limited }),
        )
        for (const mode of modes) said.set(mode, await askAcceptance(connection, mode, limited))
      },
      limited,
    )
  } catch (error) {
    signal.throwIfAborted()
    // Without libvirt what the files say is all there is; a URI that nobody can mean is the caller's mistake.
    const offline = limited.aborted || (isVmrError(error) && error.code !== 'LIBVIRT_URI_UNSUPPORTED')
    if (!offline) throw error
  }
  return { modes, libvirtVersion, acceptance: (mode) => said.get(mode) ?? { kind: 'unknown' } }
}

/** "vmr" for the files that come with it; others as short as they can be told. */
export function shownFile(file: string): string {
  const own = relative(packageRoot(), file)
  if (!own.startsWith('..') && process.cwd() !== packageRoot()) return 'vmr'
  const here = relative(process.cwd(), file)
  if (!here.startsWith('..')) return here
  const fromHome = relative(homedir(), file)
  return fromHome.startsWith('..') ? file : `~/${fromHome}`
}
