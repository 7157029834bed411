import { BlockList, isIPv6 } from 'node:net'
import { low24, macLow24 } from '../domain/mac.ts'
import type { ObservedAddress } from '../os/os.ts'
import type { Machine, PcMachine } from '../testbed/machine.ts'
import { type Family, probeReachability, type Reachability } from './reachability.ts'

/** Whether one direction works over one family, from cold neighbour caches. */
export interface NicFinding {
  readonly family: Family
  /** "pc1>r1". */
  readonly direction: string
  readonly reachable: boolean
  /** The address that was lost, or of several the first that was reached. */
  readonly address: string
}

export interface NicReachabilityRequest {
  readonly guest: Machine
  /** The guest's interface. Its addresses are those of the bridge in the guest that holds it, where one does. */
  readonly interfaceName: string
  readonly pc: PcMachine
  readonly signal?: AbortSignal
}

/**
 * Probes between a guest and the PC behind one of its NICs: each direction of each family that both have an address of,
 * from cold caches. Towards the guest every address of it is probed until one is lost: a multicast filter that lacks the
 * guest's groups now and then passes one by luck.
 *
 * @returns nothing when guest and PC share no subnet.
 */
export async function probeNic(request: NicReachabilityRequest): Promise<readonly NicFinding[]> {
  const { guest, interfaceName, pc, signal } = request
  const options = signal === undefined ? {} : { signal }
  const { interfaces } = await guest.os.observe(guest.shell, options)
  const nic = interfaces.find(({ name }) => name === interfaceName)
  const holder = interfaces.find(({ name }) => name === nic?.master) ?? nic
  const findings: NicFinding[] = []
  for (const family of ['ipv4', 'ipv6'] as const) {
    const pairs = pairsOf(holder?.addresses ?? [], pc.addresses, family)
    const [first] = pairs
    if (holder === undefined || first === undefined) continue
    const guestEnd = { machine: guest, interfaceName: holder.name }
    const pcEnd = { machine: pc, interfaceName: pc.interfaceName }
    const between = holder.name === interfaceName ? [] : [{ machine: guest, interfaceName }]
    const probe = (from: Parameters<typeof probeReachability>[0]['from'], to: typeof from) =>
      twice(() => probeReachability({ from, to, family, between, ...options }))
    let inward: { readonly reachable: boolean; readonly address: string } | undefined
    for (const { own, far } of inOrderOfProof(pairs, nic?.mac)) {
      const { reachable } = await probe({ ...pcEnd, address: far }, { ...guestEnd, address: own })
      if (inward === undefined || !reachable) inward = { reachable, address: own }
      if (!reachable) break
    }
    if (inward !== undefined) findings.push({ family, direction: `${pc.name}>${guest.name}`, ...inward })
    const outward = await probe({ ...guestEnd, address: first.own }, { ...pcEnd, address: first.far })
    findings.push({ family, direction: `${guest.name}>${pc.name}`, reachable: outward.reachable, address: first.far })
  }
  return findings
}

/** A path is lost when it is lost twice: once can be a guest that a busy host kept waiting. */
async function twice(probe: () => Promise<Reachability>): Promise<Reachability> {
  const result = await probe()
  return result.reachable ? result : probe()
}

interface Pair {
  readonly own: string
  readonly far: string
}

function pairsOf(own: readonly ObservedAddress[], far: readonly string[], family: Family): readonly Pair[] {
  return own.flatMap((address) => {
    if (address.family !== family || address.scope !== 'global') return []
    const partner = far
      .map((text) => text.split('/')[0] ?? '')
      .find((text) => isIPv6(text) === (family === 'ipv6') && inSubnet(text, address))
    return partner === undefined ? [] : [{ own: address.address, far: partner }]
  })
}

/** An address that ends like the MAC shares its group with the link-local address, and proves nothing: last. */
function inOrderOfProof(pairs: readonly Pair[], mac: string | undefined): readonly Pair[] {
  const ending = mac === undefined ? undefined : macLow24(mac)
  const proves = ({ own }: Pair) => !isIPv6(own) || low24(own) !== ending
  return [...pairs.filter(proves), ...pairs.filter((pair) => !proves(pair))]
}

function inSubnet(text: string, { address, prefixLength, family }: ObservedAddress): boolean {
  const subnet = new BlockList()
  subnet.addSubnet(address, prefixLength, family)
  return subnet.check(text, family)
}
