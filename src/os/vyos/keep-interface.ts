import { createHash } from 'node:crypto'
import { VmrError } from '../../errors/vmr-error.ts'
import { type RunResult, runChecked, type Shell } from '../../shell/shell.ts'
import {
  captureScript,
  type InterfaceState,
  notBack,
  parseInterfaceState,
  type RestoreOptions,
  restoreScript,
} from '../linux/interface-state.ts'

interface Options {
  readonly signal?: AbortSignal | undefined
}

/** An interface whose settings the guest itself puts back when its NIC returns. */
export interface KeptInterface {
  readonly state: InterfaceState
  /** Where the guest has the script; it is gone with the guest's next start. */
  readonly script: string
  /**
   * Has the guest look out for the NIC's return, from now on: it may be unplugged at once. Resolves when the guest has
   * put back what it could, with complaints about the rest; an abort ends the lookout.
   */
  restored(options?: Options): Promise<readonly string[]>
}

export interface InterfaceKeeper {
  /**
   * Reads how an interface is set up in the running system, and lays a script for its return into the guest.
   *
   * @throws VmrError GUEST_NOT_READY when the guest has no such interface; what the shell throws.
   */
  keep(name: string, options: Options & Pick<RestoreOptions, 'sameLink'>): Promise<KeptInterface>
  /** Takes the scripts away. */
  close(): Promise<void>
}

/** For how long the guest looks out for a NIC that is gone, in seconds. */
const lookoutSeconds = 30
const scriptPattern = /^\/tmp\/\.vmr-nic-[0-9a-f]{24}$/
/** Beside the lookout: a guest without KVM on a busy host sets ten addresses. */
const restoreLimitMs = 60_000

/**
 * Keeps interfaces of a VyOS over the loss of their NIC. VyOS does nothing when a NIC is plugged in: its configuration
 * stays as it was, and the new device knows nothing of it. A commit that sets it anew would take seconds, in which nothing
 * gets through.
 */
export function interfaceKeeper(shell: Shell): InterfaceKeeper {
  const scripts = new Set<string>()
  /** By what is in it, so that what is there already need not be typed again. */
  const lay = async (text: string, signal: AbortSignal | undefined): Promise<string> => {
    const script = `/tmp/.vmr-nic-${createHash('sha256').update(text).digest('hex').slice(0, 24)}`
    if (scripts.has(script)) return script
    await shell.writeFile(script, text, { mode: 0o600, ...(signal === undefined ? {} : { signal }) })
    scripts.add(script)
    return script
  }
  return {
    async keep(name, { signal, sameLink }) {
      const runOptions = signal === undefined ? {} : { signal }
      const output = await runChecked(shell, ['bash', await lay(captureScript, signal), name], runOptions)
      const state = parseInterfaceState(name, output, shell.description)
      const script = await lay(restoreScript(state, { sameLink, limitSeconds: lookoutSeconds }), signal)
      return {
        state,
        script,
        restored: async (options = {}) =>
          complaints(name, await runScript(shell, script, [String(state.index)], options)),
      }
    },
    async close() {
      if (scripts.size > 0) await shell.run(['rm', '-f', ...scripts])
      scripts.clear()
    },
  }
}

/**
 * Runs a script that an {@link InterfaceKeeper} has left in the guest, for a NIC that is there again.
 *
 * @returns complaints as of {@link KeptInterface}; undefined when the guest does not have the script (any more).
 */
export async function restoreInterface(
  shell: Shell,
  name: string,
  script: string,
  options: Options = {},
): Promise<readonly string[] | undefined> {
  if (!scriptPattern.test(script)) throw new VmrError('INTERNAL', `${script} is no script of vmr's`)
  if ((await shell.run(['test', '-f', script])).exitCode !== 0) return undefined
  return complaints(name, await runScript(shell, script, [], options))
}

function runScript(shell: Shell, script: string, words: readonly string[], { signal }: Options): Promise<RunResult> {
  return shell.run(['sudo', '-n', 'bash', script, ...words], {
    timeoutMs: lookoutSeconds * 1000 + restoreLimitMs,
    ...(signal === undefined ? {} : { signal }),
  })
}

function complaints(name: string, { exitCode, stderr }: RunResult): readonly string[] {
  if (exitCode === 0) return []
  if (exitCode === notBack) return [`the guest did not see ${name} again within ${lookoutSeconds} s`]
  const lines = stderr.split('\n').filter((line) => line.trim() !== '' && !/^Command failed -:\d+$/.test(line))
  return lines.length === 0
    ? [`the guest could not set ${name} up again (exit status ${exitCode})`]
    : lines.slice(0, 20).map((line) => line.slice(0, 300))
}
