import { localShell } from '../shell/local.ts'

/**
 * What this host's kernel can make. Where it lacks one, what needs it is a VM instead of a namespace: a PC that tags
 * VLANs, a tunnel's remote end.
 */
export interface HostCapabilities {
  readonly veth: boolean
  readonly bridge: boolean
  readonly macvtap: boolean
  /** 802.1Q interfaces. */
  readonly vlan: boolean
  /** IPv4 in IPv6, RFC 2473. */
  readonly ip6Tunnel: boolean
  readonly dummy: boolean
  readonly bridgeVlanFiltering: boolean
  /** The token bucket filter that shapes the lab's links. */
  readonly tbf: boolean
}

const veth = 'link add vmr-a type veth peer name vmr-b'

/** `ip -batch` lines that succeed only where the kernel has it, or can load it. */
const trials: { readonly [Capability in Exclude<keyof HostCapabilities, 'tbf'>]: readonly string[] } = {
  veth: [veth],
  bridge: ['link add vmr-a type bridge'],
  macvtap: [veth, 'link add link vmr-a name vmr-c type macvtap mode bridge'],
  vlan: [veth, 'link add link vmr-a name vmr-c type vlan id 2'],
  ip6Tunnel: ['link add vmr-a type ip6tnl mode ipip6 local 2001:db8::1 remote 2001:db8::2'],
  dummy: ['link add vmr-a type dummy'],
  bridgeVlanFiltering: ['link add vmr-a type bridge vlan_filtering 1'],
}

/**
 * Tries each in a network namespace of its own that ends with the trial, so nothing is left and nothing is seen.
 * Needs root.
 */
export async function detectHostCapabilities(
  options: { readonly signal?: AbortSignal } = {},
): Promise<HostCapabilities> {
  const succeeds = async (argv: readonly string[], lines: readonly string[]) =>
    (await localShell.run(['unshare', '--net', ...argv], { ...options, stdin: `${lines.join('\n')}\n` })).exitCode === 0
  const works = (lines: readonly string[]) => succeeds(['ip', '-batch', '-'], lines)
  const [vethWorks, bridge, macvtap, vlan, ip6Tunnel, dummy, bridgeVlanFiltering, tbf] = await Promise.all([
    works(trials.veth),
    works(trials.bridge),
    works(trials.macvtap),
    works(trials.vlan),
    works(trials.ip6Tunnel),
    works(trials.dummy),
    works(trials.bridgeVlanFiltering),
    succeeds(['tc', '-batch', '-'], ['qdisc add dev lo root tbf rate 1mbit burst 32768 latency 10ms']),
  ])
  return { veth: vethWorks, bridge, macvtap, vlan, ip6Tunnel, dummy, bridgeVlanFiltering, tbf }
}
