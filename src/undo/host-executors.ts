import { rm, unlink } from 'node:fs/promises'
import { isVmrError, VmrError } from '../errors/vmr-error.ts'
import { hasErrno } from '../errors/write-error.ts'
import { isGone, readLinks } from '../os/linux/ip-json.ts'
import { localShell } from '../shell/local.ts'
import { netnsShell } from '../shell/netns.ts'
import type { Shell } from '../shell/shell.ts'
import { endMarkedProcesses } from './marked-processes.ts'
import type { UndoExecutors, UndoOutcome } from './undo-all.ts'

/** Takes back every kind of step that needs nothing but this host; VMs are libvirt's. */
export const hostExecutors: Required<Omit<UndoExecutors, 'domain' | 'vm-paused' | 'vm-rename' | 'nic-switch'>> = {
  netns: ({ name }) => removeNamespace(name),
  link: (step) =>
    inNamespace(step.netns, async (shell) => {
      const [link] = await readLinks(shell, { name: step.name })
      // A link of another kind has taken the name since.
      if (link === undefined || link.linkinfo?.info_kind !== step.linkKind) return 'gone'
      return remove(shell, ['ip', 'link', 'delete', 'dev', step.name])
    }),
  'uplink-bridge': async ({ bridge, uplink }) => {
    const links = await readLinks(localShell)
    if (links.find(({ ifname }) => ifname === bridge)?.linkinfo?.info_kind !== 'bridge') return 'gone'
    if (links.some(({ ifname, master }) => master === bridge && ifname !== uplink)) return 'shared'
    return remove(localShell, ['ip', 'link', 'delete', 'dev', bridge])
  },
  'link-settings': ({ name, netns, up, mtu }) => {
    const settings = [
      ...(mtu === undefined ? [] : ['mtu', String(mtu)]),
      ...(up === undefined ? [] : [up ? 'up' : 'down']),
    ]
    return inNamespace(netns, (shell) => remove(shell, ['ip', 'link', 'set', 'dev', name, ...settings]))
  },
  'link-attribute': ({ name, netns, attribute, value }) =>
    inNamespace(netns, (shell) => remove(shell, ['ip', 'link', 'set', 'dev', name, ...attribute.split(' '), value])),
  'multicast-member': async ({ bridge, port, group, vlan }) => {
    const words = ['bridge', 'mdb', 'add', 'dev', bridge, 'port', port, 'grp', group, 'temp']
    const result = await localShell.run([...words, ...(vlan === undefined ? [] : ['vid', String(vlan)])])
    if (result.exitCode === 0) return 'undone'
    // It was reported again meanwhile.
    return /File exists/.test(result.stderr) || isGone(result.stderr) ? 'gone' : fail(result.stderr)
  },
  sysctl: ({ key, value, netns }) =>
    inNamespace(netns, (shell) => remove(shell, ['sysctl', '-q', '-w', `${key}=${value}`])),
  process: async ({ mark }) => ((await endMarkedProcesses(mark)) ? 'undone' : 'gone'),
  file: async ({ path }) => {
    try {
      await unlink(path)
      return 'undone'
    } catch (error) {
      if (hasErrno(error, 'ENOENT')) return 'gone'
      throw error
    }
  },
  directory: async ({ path }) => {
    await rm(path, { recursive: true, force: true })
    return 'undone'
  },
}

/** Ends every process in the namespace, and removes it. What runs in a namespace of vmr's has no network without it. */
async function removeNamespace(name: string): Promise<UndoOutcome> {
  for (const [signal, rounds] of [
    ['SIGTERM', 50],
    ['SIGKILL', 50],
  ] as const) {
    for (let round = 0; round < rounds; round++) {
      const result = await localShell.run(['ip', 'netns', 'pids', name])
      if (result.exitCode !== 0) return isGone(result.stderr) ? 'gone' : fail(result.stderr)
      const pids = result.stdout.split('\n').filter((line) => /^\d+$/.test(line))
      if (pids.length === 0) return remove(localShell, ['ip', 'netns', 'delete', name])
      if (round === 0) await localShell.run(['kill', '-s', signal.slice(3), ...pids])
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
  return fail('processes in it do not end')
}

async function inNamespace(
  netns: string | undefined,
  undo: (shell: Shell) => Promise<UndoOutcome>,
): Promise<UndoOutcome> {
  try {
    return await undo(netns === undefined ? localShell : netnsShell(netns))
  } catch (error) {
    if (isVmrError(error) && error.code === 'LAB_NOT_UP') return 'gone'
    throw error
  }
}

async function remove(shell: Shell, argv: readonly string[]): Promise<UndoOutcome> {
  const result = await shell.run(argv)
  if (result.exitCode === 0) return 'undone'
  return isGone(result.stderr) ? 'gone' : fail(`${argv.join(' ')}: ${result.stderr}`)
}

function fail(reason: string): never {
  throw new VmrError('HOST_COMMAND_FAILED', reason.trim().slice(0, 500))
}
