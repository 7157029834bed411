import { createHash } from 'node:crypto'
import { VmrError } from '../../errors/vmr-error.ts'
import { runChecked, type Shell } from '../../shell/shell.ts'
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
  /** Where the guest has the script; it is root's and gone with the guest's next start. */
  readonly script: string
  /**
   * Has the guest wait for the NIC. From when this resolves the NIC may be unplugged. What the waiting comes to is in
   * `restored`: the complaints of what could not be put back, none when all is as it was.
   *
   * @throws VmrError what the shell throws.
   */
  watch(): Promise<{ readonly restored: Promise<readonly string[]> }>
  /** Takes the script away. */
  forget(): Promise<void>
}

/** For how long the guest looks out for a NIC that is gone. */
const watchSeconds = 120
const scriptPattern = /^\/tmp\/\.vmr-nic-[0-9a-f]{24}$/

const uploaded = new WeakMap<Shell, Set<string>>()

/**
 * Reads how an interface is set up in the running system, and lays a script for its return into the guest. VyOS does
 * nothing when a NIC is plugged in: its configuration stays as it was and the new device knows nothing of it. A commit
 * that set it anew would take seconds, in which nothing gets through.
 *
 * @throws VmrError GUEST_NOT_READY when the guest has no such interface; what the shell throws.
 */
export async function keepInterface(
  shell: Shell,
  name: string,
  { signal, sameLink }: Options & Pick<RestoreOptions, 'sameLink'>,
): Promise<KeptInterface> {
  const runOptions = signal === undefined ? {} : { signal }
  const output = await runChecked(shell, ['bash', '-c', captureScript(name)], runOptions)
  const state = parseInterfaceState(name, output, shell.description)
  const text = restoreScript(state, { sameLink, limitSeconds: watchSeconds })
  const script = `/tmp/.vmr-nic-${createHash('sha256').update(text).digest('hex').slice(0, 24)}`
  const known = uploaded.get(shell) ?? new Set<string>()
  uploaded.set(shell, known)
  if (!known.has(script)) {
    await shell.writeFile(script, text, { mode: 0o600, ...runOptions })
    known.add(script)
  }
  return {
    state,
    script,
    async watch() {
      const command = await shell.start(['sudo', '-n', 'bash', script])
      return { restored: command.ended.then(({ exitCode, stderr }) => complaints(name, exitCode, stderr)) }
    },
    async forget() {
      known.delete(script)
      await shell.run(['rm', '-f', script])
    },
  }
}

/**
 * Runs a script that {@link keepInterface} has left in the guest, for a NIC that is there again.
 *
 * @returns complaints as of KeptInterface; undefined when the guest does not have the script (any more).
 */
export async function restoreInterface(
  shell: Shell,
  name: string,
  script: string,
  { signal }: Options = {},
): Promise<readonly string[] | undefined> {
  if (!scriptPattern.test(script)) throw new VmrError('INTERNAL', `${script} is no script of vmr's`)
  const runOptions = signal === undefined ? {} : { signal }
  if ((await shell.run(['test', '-f', script], runOptions)).exitCode !== 0) return undefined
  const { exitCode, stderr } = await shell.run(['sudo', '-n', 'bash', script, 'now'], runOptions)
  const told = complaints(name, exitCode, stderr)
  await shell.run(['rm', '-f', script], runOptions)
  return told
}

function complaints(name: string, exitCode: number, stderr: string): readonly string[] {
  if (exitCode === 0) return []
  if (exitCode === notBack) return [`the guest did not see ${name} again within ${watchSeconds} s`]
  const lines = stderr.split('\n').filter((line) => line.trim() !== '' && !/^Command failed -:\d+$/.test(line))
  return lines.length === 0
    ? [`the guest could not set ${name} up again (exit status ${exitCode})`]
    : lines.slice(0, 20)
}
