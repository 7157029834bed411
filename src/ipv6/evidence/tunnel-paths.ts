import { isIPv6 } from 'node:net'
import { normalizeAddress } from '../../os/address-text.ts'
import type { ObservedMachine } from './observe.ts'
import { pingAll } from './probes.ts'
import type { LinkState, MachineState, PathEvidence } from './schema.ts'
import { guestKey, type PlannedPath } from './topology.ts'

/** What a tunnel puts around a packet: RFC 2473 sections 3 and 4.1.1, RFC 2003, RFC 4213. */
const ipv6HeaderBytes = 40
const encapsulationLimitBytes = 8
const ipv4HeaderBytes = 20

/** Tunnels of the guest whose outer packets have an end of their own. */
function plannedTunnels(vmName: string, guest: MachineState, planned: readonly PlannedPath[]): readonly PathEvidence[] {
  return guest.links.flatMap((link): readonly PathEvidence[] => {
    const { tunnel } = link
    const underlay = guest.links.find(({ addresses }) => addresses.some(({ address }) => address === tunnel?.local))
    if (tunnel === undefined || underlay === undefined || !link.flags.includes('UP')) return []
    const family = isIPv6(tunnel.remote) ? 'ipv6' : 'ipv4'
    const known = planned.find(
      ({ from, to }) => from.machine === guestKey && normalizeAddress(to.address) === normalizeAddress(tunnel.remote),
    )
    const from = { machine: guestKey, link: underlay.name, address: tunnel.local }
    const direction = known?.direction ?? `${vmName}>${tunnel.remote}`
    return [
      {
        id: `${direction} ${family} ${tunnel.remote} by ${link.name}`,
        ...{ family, direction, from },
        form: 'static',
        routed: false,
        to: known?.to ?? { machine: 'elsewhere', link: '', address: tunnel.remote },
        resolved: known?.resolved ?? [],
        hops: known?.hops ?? [
          { name: `${vmName} ${underlay.name}`, machine: guestKey, link: underlay.name, segment: 0 },
        ],
        probe: { sent: 0, received: 0 },
        tunnel: {
          ...{ link: link.name, mtu: link.mtu, overhead: overheadOf(link) },
          ...{ underlay: underlay.name, underlayMtu: underlay.mtu },
        },
      },
    ]
  })
}

function overheadOf({ kind, tunnel }: LinkState): number {
  if (kind !== 'ip6tnl') return ipv4HeaderBytes
  return ipv6HeaderBytes + (tunnel?.encapsulationLimit ? encapsulationLimitBytes : 0)
}

/**
 * Whether the outer path of each of the guest's tunnels carries the largest packet that the tunnel makes, without being
 * fragmented. The remote end need not answer: what the sender itself cannot send, it says.
 */
export async function probeTunnels(
  vmName: string,
  { shell }: ObservedMachine,
  guest: MachineState,
  planned: readonly PlannedPath[],
  signal: AbortSignal,
): Promise<readonly PathEvidence[]> {
  const paths = plannedTunnels(vmName, guest, planned)
  const bytes = ({ tunnel }: PathEvidence) => (tunnel?.mtu ?? 0) + (tunnel?.overhead ?? 0)
  const results = await pingAll(
    shell,
    paths.flatMap((path) => {
      const ping = { address: path.to.address, family: path.family }
      return [ping, { ...ping, bytes: bytes(path) }]
    }),
    { signal },
  )
  return paths.map((path, index) => {
    const [probe = path.probe, large = path.probe] = results.slice(2 * index, 2 * index + 2)
    return { ...path, probe, large: { ...large, bytes: bytes(path) } }
  })
}
