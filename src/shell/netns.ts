import { access } from 'node:fs/promises'
import { VmrError } from '../errors/vmr-error.ts'
import { findTool } from './local/tools.ts'
import { localShell } from './local.ts'
import type { RunResult, Shell } from './shell.ts'

/** Where iproute2 keeps the names of network namespaces (ip-netns(8)). */
const namespaceDirectory = '/run/netns'
/** What `ip netns exec` exits with when it did not come to run the command (iproute2 ip/ipnetns.c: exit(-1), and 1). */
const ownFailures: ReadonlySet<number> = new Set([1, 255])

/**
 * Runs commands on this host inside a named network namespace; files are the host's. Needs root.
 *
 * @throws VmrError LAB_NOT_UP when there is no such namespace, HOST_PERMISSION when it may not be entered, and what
 * the local shell throws.
 */
export function netnsShell(name: string): Shell {
  const description = `network namespace ${name}`
  const gone = () =>
    new VmrError('LAB_NOT_UP', `${description} does not exist`, { hint: 'Run `vmr lab up` and try again.' })
  const inside = async (argv: readonly string[]) => {
    try {
      await access(`${namespaceDirectory}/${name}`)
    } catch {
      throw gone()
    }
    // `ip netns exec` tells a missing program only by its text: the host's files are the namespace's, so look here.
    await findTool(argv[0] ?? '')
    return ['ip', 'netns', 'exec', name, ...argv]
  }
  const checked = (result: RunResult) => {
    if (!ownFailures.has(result.exitCode)) return result
    if (result.stderr.startsWith(`Cannot open network namespace "${name}"`)) throw gone()
    if (/^(setting the network namespace|mount of|unshare failed)/.test(result.stderr))
      throw new VmrError(
        'HOST_PERMISSION',
        `${description} may not be entered: ${result.stderr.trim().slice(0, 300)}`,
        {
          hint: 'Run vmr as root.',
        },
      )
    return result
  }
  return {
    description,
    run: async (argv, options) => checked(await localShell.run(await inside(argv), options)),
    start: async (argv, options) => localShell.start(await inside(argv), options),
    writeFile: localShell.writeFile,
  }
}
