import { localShell } from '../../shell/local.ts'
import { netnsShell } from '../../shell/netns.ts'
import { runChecked, type Shell } from '../../shell/shell.ts'
import type { Journal } from '../../undo/journal.ts'
import type { TestbedLink } from '../testbed.ts'

const bridge = 'br-far'
const inside = 'far0'

/** The host's end of what leads through a PC's namespace to its link: `vmr-far1` for `vmr-up1`. */
export function farInterface({ uplink }: TestbedLink): string {
  return uplink.replace(/-up(?=\d*$)/, '-far')
}

/**
 * Puts a VM's NIC in the PC's place: the PC's namespace no longer speaks on its link but bridges it to a veth pair,
 * whose host end a VM can be attached to. The shaped link itself is not touched. Undoing the journal and labUp bring
 * the PC back. Returns the name of the host's end.
 *
 * @throws VmrError HOST_COMMAND_FAILED, HOST_PERMISSION, INTERRUPTED; what was made until then is in the journal.
 */
export async function openFarEnd(
  link: TestbedLink,
  { journal, signal }: { readonly journal: Journal; readonly signal: AbortSignal },
): Promise<string> {
  const far = farInterface(link)
  const { pc, mtu } = link
  const netns = pc.shell.name
  const space = netnsShell(netns)
  const sh = (shell: Shell, ...argv: readonly string[]) => runChecked(shell, argv, { signal })
  const silence = (name: string) => sh(space, 'sysctl', '-q', '-w', `net/ipv6/conf/${name}/disable_ipv6=1`)

  await journal.before({ kind: 'sysctl', key: `net/ipv6/conf/${pc.interface}/disable_ipv6`, value: '0', netns })
  await silence(pc.interface)
  await sh(space, 'ip', 'address', 'flush', 'dev', pc.interface)
  await journal.before({ kind: 'link', name: bridge, linkKind: 'bridge', netns })
  await sh(space, 'ip', 'link', 'add', 'name', bridge, 'mtu', String(mtu), 'type', 'bridge', 'mcast_snooping', '0')
  await silence(bridge)
  await journal.before({ kind: 'link', name: far, linkKind: 'veth' })
  await sh(
    localShell,
    ...['ip', 'link', 'add', 'name', far, 'mtu', String(mtu), 'type', 'veth'],
    ...['peer', 'name', inside, 'mtu', String(mtu), 'netns', netns],
  )
  await silence(inside)
  // As on the link itself: every frame is one that a wire could carry.
  for (const [shell, name] of [
    [localShell, far],
    [space, inside],
  ] as const)
    await sh(shell, 'ethtool', '-K', name, 'tso', 'off', 'gso', 'off', 'gro', 'off', 'tx', 'off', 'txvlan', 'off')
  for (const name of [pc.interface, inside]) await sh(space, 'ip', 'link', 'set', 'dev', name, 'master', bridge)
  for (const name of [inside, bridge]) await sh(space, 'ip', 'link', 'set', 'dev', name, 'up')
  return far
}
