import { hostNeeds, type NicMode } from './nic-modes.ts'

type Role = keyof NicMode['carries']
type Verdict = NicMode['carries'][Role]['ipv4']

/** What the guest does with its NICs, in the order in which it is shown. */
export const roles: readonly { readonly role: Role; readonly words: string }[] = [
  { role: 'nic', words: 'talks to its own links' },
  { role: 'forward', words: 'routes between its NICs' },
  { role: 'ipip6', words: 'ends an IPv4-in-IPv6 tunnel' },
  { role: 'bridge', words: 'bridges its NICs' },
  { role: 'vlan-bridge', words: 'bridges VLANs on its NICs' },
]

export const verdictWords: Readonly<Record<Verdict, string>> = {
  works: 'works',
  'outbound-only': 'outbound only',
  lost: 'lost',
  'not-measured': 'not measured',
}

/** One family over roles that a table has no columns for: one word where they agree, else each group by name. */
export function familySummary(
  { carries }: Pick<NicMode, 'carries'>,
  family: 'ipv4' | 'ipv6',
  of: readonly Role[] = ['nic', 'forward', 'ipip6'],
): string {
  const groups = new Map<Verdict, Role[]>()
  for (const role of of) {
    const verdict = carries[role][family]
    groups.set(verdict, [...(groups.get(verdict) ?? []), role])
  }
  const [only] = groups.keys()
  if (groups.size === 1 && only !== undefined) return verdictWords[only]
  return [...groups].map(([verdict, names]) => `${names.join(', ')}: ${verdictWords[verdict]}`).join('; ')
}

/** Whether a bridge inside the guest works, with and without VLANs, over both families. */
export function guestBridgeSummary(mode: Pick<NicMode, 'carries'>): string {
  const bridges: readonly Role[] = ['bridge', 'vlan-bridge']
  const [ipv4, ipv6] = [familySummary(mode, 'ipv4', bridges), familySummary(mode, 'ipv6', bridges)]
  return ipv4 === ipv6 ? ipv4 : `IPv4 ${ipv4}; IPv6 ${ipv6}`
}

export function hostNeedsWords(mode: NicMode): string {
  const needs = hostNeeds(mode)
  switch (needs.kind) {
    case 'bridge':
      return 'bridge with the uplink'
    case 'ovs-bridge':
      return 'Open vSwitch bridge'
    case 'uplink':
      return needs.exclusive ? 'uplink of its own' : 'uplink in no bridge'
    case 'libvirt-network':
      return 'libvirt network'
    case 'nothing':
      return 'nothing'
    case 'unmanaged':
      return `what type ${needs.type} needs`
  }
}

/** How a running NIC gets into the mode: libvirt changes only the bridge of a bridged NIC in place. */
export function hotSwitch(mode: NicMode): 'in place from another bridge, else detach and attach' | 'detach and attach' {
  return hostNeeds(mode).kind === 'bridge'
    ? 'in place from another bridge, else detach and attach'
    : 'detach and attach'
}
