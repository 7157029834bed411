import { BlockList, isIPv6 } from 'node:net'
import { low24, macLow24 } from '../../domain/mac.ts'
import { normalizeAddress } from '../../os/address-text.ts'
import type { Family } from '../reachability.ts'
import type { LinkState, MachineState, NicEvidence, PathEvidence, PathHop } from './schema.ts'

export const hostKey = 'host'
export const guestKey = 'guest'
export const farKey = (name: string) => `pc:${name}`

/** By its key: the host is itself a neighbour of the VM where it has an address on the same network. */
export function isHost(machine: string): boolean {
  return machine === hostKey || machine === farKey(hostKey)
}

/** A path before anything was sent over it. */
export type PlannedPath = Omit<PathEvidence, 'probe' | 'trace' | 'large'>

/** A machine on the network of a NIC: at the other end of its uplink, the host itself, or another VM on this host. */
export interface FarEnd {
  readonly kind: 'pc' | 'host' | 'vm'
  /** Key of its state. */
  readonly machine: string
  readonly name: string
  /** Its interface on that network. */
  readonly nic: string
  /** Of a VM: the tap or macvtap on this host. */
  readonly tap?: string
}

export interface TopologyRequest {
  readonly vmName: string
  readonly host: MachineState
  readonly guest: MachineState | undefined
  readonly nics: readonly NicEvidence[]
  /** By NIC name. */
  readonly farEnds: ReadonlyMap<string, readonly FarEnd[]>
  readonly machines: ReadonlyMap<string, MachineState>
  /** By NIC name: what the guest is meant to have there, with prefix lengths. */
  readonly intended: ReadonlyMap<string, readonly string[]>
}

/** So many addresses of one NIC and family are probed; a guest may have hundreds. */
const maxTargets = 6

export const linkOf = (state: MachineState | undefined, name: string): LinkState | undefined =>
  state?.links.find((link) => link.name === name)

/** Links from a NIC up to one that stands on it: a VLAN, a bridge it is a port of. Undefined where it does not. */
export function wayUp(state: MachineState, nic: string, top: string, depth = 0): readonly string[] | undefined {
  if (nic === top) return [nic]
  if (depth > 6) return undefined
  const link = linkOf(state, top)
  if (link === undefined) return undefined
  const below = [
    ...(link.lower === undefined ? [] : [link.lower]),
    ...state.links.filter(({ master }) => master === top).map(({ name }) => name),
  ]
  for (const name of below) {
    const way = wayUp(state, nic, name, depth + 1)
    if (way !== undefined) return [...way, top]
  }
  return undefined
}

/** Host links between an uplink and what the VM is attached by, both included; a bridge between is no hop of its own. */
function hostWay(host: MachineState, { target, uplink }: NicEvidence): readonly string[] {
  if (target === undefined) return uplink === undefined ? [] : [uplink]
  const tap = linkOf(host, target)
  if (uplink === undefined) return tap?.lower === undefined ? [target] : [tap.lower, target]
  if (tap?.lower !== undefined) return [...(wayUp(host, uplink, tap.lower) ?? [uplink]), target]
  const ports = host.links.filter(
    ({ master, name }) => master !== undefined && master === tap?.master && name !== target,
  )
  for (const { name } of ports) {
    const way = wayUp(host, uplink, name)
    if (way !== undefined) return [...way, target]
  }
  return uplink === target ? [target] : [uplink, target]
}

/** Host links between a far end and what the VM is attached by. What the host sends itself does not come by the uplink. */
function hostWayFrom({ kind, tap }: FarEnd, nic: NicEvidence, host: MachineState): readonly string[] {
  const { target } = nic
  if (kind === 'pc' || target === undefined) return hostWay(host, nic)
  if (kind === 'host' || tap === undefined) return [target]
  const lower = linkOf(host, target)?.lower
  return lower !== undefined && linkOf(host, tap)?.lower === lower ? [tap, lower, target] : [tap, target]
}

type Route = MachineState['routes'][Family][number]

/** The route that a machine takes: the longest prefix, then the lowest metric, then the higher preference of its router. */
export function lookUpRoute(state: MachineState, family: Family, address: string): Route | undefined {
  return lookUpRoutes(state, family, address)[0]
}

/** All that are as good as the best: of those the kernel takes one or the other. */
export function lookUpRoutes(state: MachineState, family: Family, address: string): readonly Route[] {
  const preferences: readonly (string | undefined)[] = ['high', 'medium', 'low']
  const rank = ({ preference = 'medium' }: Route) => preferences.indexOf(preference)
  const found = state.routes[family].flatMap((route) => {
    const [network = '', length] =
      route.destination === 'default' ? [family === 'ipv6' ? '::' : '0.0.0.0', '0'] : route.destination.split('/')
    const prefixLength = length === undefined ? (family === 'ipv6' ? 128 : 32) : Number(length)
    return contains(network, prefixLength, family, address) ? [{ route, prefixLength }] : []
  })
  const compare = (a: (typeof found)[number], b: typeof a) =>
    b.prefixLength - a.prefixLength || (a.route.metric ?? 0) - (b.route.metric ?? 0) || rank(a.route) - rank(b.route)
  const [best, ...others] = found.toSorted(compare)
  return best === undefined
    ? []
    : [best, ...others.filter((each) => compare(best, each) === 0)].map(({ route }) => route)
}

function contains(network: string, prefixLength: number, family: Family, address: string): boolean {
  try {
    const subnet = new BlockList()
    subnet.addSubnet(network, prefixLength, family)
    return subnet.check(address, family)
  } catch {
    return false
  }
}

interface Holder {
  readonly link: string
  readonly way: readonly string[]
  readonly state: LinkState
}

function holders(state: MachineState, nic: string): readonly Holder[] {
  return state.links.flatMap((link) => {
    if (link.addresses.length === 0 || link.kind === 'macvtap') return []
    const way = wayUp(state, nic, link.name)
    return way === undefined ? [] : [{ link: link.name, way, state: link }]
  })
}

interface Meeting {
  readonly nic: NicEvidence
  readonly far: FarEnd
  readonly farHolder: Holder
  readonly farAddress: string
  readonly guestHolder: Holder
  readonly guestAddress: string
  readonly family: Family
  readonly form: PathEvidence['form']
}

/** Every path that the evidence is to hold, in the order of proof. Pure. */
export function planPaths(request: TopologyRequest): readonly PlannedPath[] {
  const meetings = request.nics.flatMap((nic) =>
    (request.farEnds.get(nic.name) ?? []).flatMap((far) => meetingsOn(nic, far, request)),
  )
  const direct = meetings.flatMap((meeting) => [
    inward(meeting, request),
    // What a guest sends to the host by a macvtap leaves by the uplink, and at both nobody can tell the host from the wire.
    ...((meeting.form === 'static' || meeting.form === 'eui64') && !isHostOnUplink(meeting)
      ? [outward(meeting, request)]
      : []),
  ])
  const unique = new Map(direct.map((path) => [path.id, path]))
  return [
    ...unique.values(),
    ...betweenFarEnds(
      meetings.filter(({ far }) => far.kind === 'pc'),
      request,
    ),
  ]
}

const isHostOnUplink = ({ far, nic }: Pick<Meeting, 'far' | 'nic'>) => far.kind === 'host' && nic.type === 'direct'

function meetingsOn(nic: NicEvidence, far: FarEnd, request: TopologyRequest): readonly Meeting[] {
  const { guest, machines, intended } = request
  const farState = machines.get(far.machine)
  if (farState === undefined) return []
  const farHolders = holders(farState, far.nic)
  const guestHolders = guest === undefined ? [] : holders(guest, nic.name)
  const wanted = intended.get(nic.name) ?? []
  return (['ipv4', 'ipv6'] as const).flatMap((family): readonly Meeting[] => {
    const found = guestHolders.flatMap((guestHolder) =>
      guestHolder.state.addresses.flatMap(({ address, prefixLength, family: own, scope }): readonly Meeting[] => {
        if (own !== family || scope === 'host') return []
        const local = scope === 'link' && family === 'ipv6'
        for (const farHolder of farHolders) {
          const match = farHolder.state.addresses.find(
            (each) =>
              each.family === family &&
              (local
                ? each.scope === 'link'
                : each.scope !== 'link' && contains(address, prefixLength, family, each.address)),
          )
          if (match === undefined) continue
          const mac = guestHolder.state.mac
          const form = local
            ? 'link-local'
            : family === 'ipv6' && mac !== undefined && low24(address) === macLow24(mac)
              ? 'eui64'
              : 'static'
          return [{ nic, far, farHolder, farAddress: match.address, guestHolder, guestAddress: address, family, form }]
        }
        return []
      }),
    )
    const rank = (meeting: Meeting) => ['static', 'eui64', 'link-local', 'missing'].indexOf(meeting.form)
    const inOrder = found.toSorted((a, b) => rank(a) - rank(b))
    const globals = inOrder.filter(({ form }) => form !== 'link-local').slice(0, maxTargets)
    // The host has a link-local address on every NIC, and nobody means it to reach a guest by that.
    const locals = isHostOnUplink({ far, nic }) ? [] : inOrder.filter(({ form }) => form === 'link-local').slice(0, 1)
    if (globals.length > 0 || far.kind === 'vm' || isHostOnUplink({ far, nic })) return [...globals, ...locals]
    return [...missing(nic, far, farHolders, guestHolders, family, wanted, guest), ...locals]
  })
}

/** An address that the guest should have, and that the far end could reach. */
function missing(
  nic: NicEvidence,
  far: FarEnd,
  farHolders: readonly Holder[],
  guestHolders: readonly Holder[],
  family: Family,
  wanted: readonly string[],
  guest: MachineState | undefined,
): readonly Meeting[] {
  for (const text of wanted) {
    const [address = '', length] = text.split('/')
    if (isIPv6(address) !== (family === 'ipv6')) continue
    for (const farHolder of farHolders) {
      const match = farHolder.state.addresses.find(
        (each) =>
          each.family === family && each.scope !== 'link' && contains(address, Number(length), family, each.address),
      )
      // A PC that lost its own address is asked all the same: why it cannot send is what is looked for.
      const own = match ?? (far.nic === farHolder.link ? farHolder.state.addresses[0] : undefined)
      if (own === undefined) continue
      const guestHolder = guestHolders[0] ?? {
        link: nic.name,
        way: [nic.name],
        state: linkOf(guest, nic.name) ?? { ...farHolder.state, name: nic.name, addresses: [] },
      }
      return [
        {
          ...{ nic, far, farHolder, guestHolder, family },
          farAddress: match?.address ?? '',
          guestAddress: address,
          form: guest === undefined ? 'static' : 'missing',
        },
      ]
    }
  }
  return []
}

function towards({ nic, far, farHolder, guestHolder }: Meeting, segment: number, request: TopologyRequest): PathHop[] {
  const hop = (machine: string, name: string, link: string): PathHop => ({
    machine,
    link,
    segment,
    name: `${name} ${link}`,
  })
  return [
    ...farHolder.way.toReversed().map((link) => hop(far.machine, far.name, link)),
    ...hostWayFrom(far, nic, request.host).map((link) => hop(hostKey, 'host', link)),
    ...(request.guest === undefined ? [] : guestHolder.way.map((link) => hop(guestKey, request.vmName, link))),
  ]
}

function inward(meeting: Meeting, request: TopologyRequest): PlannedPath {
  const { far, farHolder, farAddress, guestHolder, guestAddress, family, form } = meeting
  return {
    id: `${far.name}>${request.vmName} ${family} ${guestAddress}`,
    direction: `${far.name}>${request.vmName}`,
    ...{ family, form, routed: false },
    from: end(far.machine, farHolder, farAddress),
    to: end(guestKey, guestHolder, guestAddress),
    resolved: [{ from: farAddress, to: guestAddress }],
    hops: towards(meeting, 0, request),
  }
}

function outward(meeting: Meeting, request: TopologyRequest): PlannedPath {
  const { far, farHolder, farAddress, guestHolder, guestAddress, family } = meeting
  return {
    id: `${request.vmName}>${far.name} ${family} ${farAddress}`,
    direction: `${request.vmName}>${far.name}`,
    ...{ family, form: 'static', routed: false },
    from: end(guestKey, guestHolder, guestAddress),
    to: end(far.machine, farHolder, farAddress),
    resolved: [{ from: guestAddress, to: farAddress }],
    hops: towards(meeting, 0, request).toReversed(),
  }
}

function end(machine: string, { link, state }: Holder, address: string): PathEvidence['from'] {
  return { machine, link, address, ...(state.mac === undefined ? {} : { mac: state.mac }) }
}

/** From one far end to another: over a bridge in the guest, or routed by it where somebody's routes say that it shall. */
function betweenFarEnds(meetings: readonly Meeting[], request: TopologyRequest): readonly PlannedPath[] {
  const firsts = meetings.filter(
    (meeting, index) =>
      meeting.form !== 'link-local' &&
      meetings.findIndex(
        (each) => each.form !== 'link-local' && each.nic === meeting.nic && each.family === meeting.family,
      ) === index,
  )
  return firsts.flatMap((near) =>
    firsts.flatMap((far): readonly PlannedPath[] => {
      if (near.nic === far.nic || near.family !== far.family || near.farAddress === '' || far.farAddress === '')
        return []
      const { family } = near
      const [nearState, farState] = [near, far].map((each) => request.machines.get(each.far.machine))
      if (nearState === undefined || farState === undefined) return []
      const first = towards(near, 0, request)
      const common = {
        id: `${near.far.name}>${far.far.name} ${family} ${far.farAddress}`,
        direction: `${near.far.name}>${far.far.name}`,
        ...{ family, form: 'static' as const },
        from: end(near.far.machine, near.farHolder, near.farAddress),
        to: end(far.far.machine, far.farHolder, far.farAddress),
      }
      const prefix =
        near.farHolder.state.addresses.find(({ address }) => address === near.farAddress)?.prefixLength ?? 0
      if (contains(near.farAddress, prefix, family, far.farAddress) && near.guestHolder.link === far.guestHolder.link) {
        // What a bridge passes on is not seen on the bridge itself.
        const ports = (hops: readonly PathHop[]) =>
          hops.filter(({ machine, link }) => machine !== guestKey || link !== near.guestHolder.link)
        return [
          {
            ...common,
            routed: false,
            resolved: [{ from: near.farAddress, to: far.farAddress }],
            hops: [...ports(first), ...ports(towards(far, 0, request)).toReversed()],
          },
        ]
      }
      const guestAddresses = new Set(
        request.guest?.links.flatMap(({ addresses }) => addresses.map(({ address }) => normalizeAddress(address))) ??
          [],
      )
      const there = lookUpRoute(nearState, family, far.farAddress)
      const back = lookUpRoute(farState, family, near.farAddress)
      const byGuest = (route: typeof there) =>
        route?.gateway !== undefined && guestAddresses.has(normalizeAddress(route.gateway))
      if (!byGuest(there) && !byGuest(back)) return []
      // Who takes the other end for a neighbour asks for it, and not for a router.
      const hasNoRouter = (route: typeof there, link: string) =>
        route?.type === 'unicast' && route.gateway === undefined && route.link === link
      return [
        {
          ...common,
          routed: true,
          resolved: [
            {
              from: near.farAddress,
              to: hasNoRouter(there, near.farHolder.link) ? far.farAddress : (there?.gateway ?? near.guestAddress),
            },
            {
              from: hasNoRouter(back, far.farHolder.link) ? near.farAddress : (back?.gateway ?? far.guestAddress),
              to: far.farAddress,
            },
          ],
          hops: [...first, ...towards(far, 1, request).toReversed()],
        },
      ]
    }),
  )
}
