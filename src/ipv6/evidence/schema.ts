import { z } from 'zod'

/*
 * Everything a diagnosis knows, in one document: what each machine said of itself, and what happened to the probes. A
 * diagnosis is a pure function of it, so that a recorded fault can be diagnosed again, elsewhere and later.
 */

const short = z.string().max(300)
const count = z.number().int().nonnegative()
const familySchema = z.enum(['ipv4', 'ipv6'])
const macSchema = z.string().max(40)

const addressSchema = z.object({
  address: short,
  prefixLength: z.number().int().min(0).max(128),
  family: familySchema,
  scope: z.enum(['global', 'link', 'host', 'site']),
  tentative: z.boolean(),
  /** Duplicate address detection found another owner (RFC 4862 section 5.4.5). */
  duplicate: z.boolean(),
})

const linkSchema = z.object({
  name: short,
  index: count,
  /** `linkinfo.info_kind`: macvtap, bridge, vlan, veth, tun… */
  kind: short.optional(),
  mac: macSchema.optional(),
  mtu: count,
  flags: z.array(short).max(40),
  operState: short.optional(),
  /** The device that holds it: a bridge. */
  master: short.optional(),
  /** The device below it on the same machine: a macvtap's NIC, a VLAN's interface. */
  lower: short.optional(),
  /** Index of that device, or of a veth's other end in another namespace. */
  lowerIndex: count.optional(),
  promiscuity: count,
  allMulticast: count,
  addresses: z.array(addressSchema).max(200),
  macvtapMode: short.optional(),
  vlanId: count.optional(),
  /** Packets in packets: `ip6tnl`, `sit`, `ipip`. */
  tunnel: z
    .object({ local: short, remote: short, protocol: short.optional(), encapsulationLimit: z.boolean() })
    .optional(),
  bridge: z
    .object({
      stp: z.boolean(),
      snooping: z.boolean(),
      querier: z.boolean(),
      /** Another's queries were heard lately, by family; undefined where this kernel does not tell. */
      otherQuerier: z.object({ ipv4: z.boolean(), ipv6: z.boolean() }),
      vlanFiltering: z.boolean(),
      /** Group forwarding and the like are left out: no frame that is followed here depends on them. */
      callIptables: z.boolean(),
      callIp6tables: z.boolean(),
      callArptables: z.boolean(),
    })
    .optional(),
  port: z
    .object({
      state: short,
      isolated: z.boolean(),
      locked: z.boolean(),
      learning: z.boolean(),
      flood: z.boolean(),
      multicastFlood: z.boolean(),
      broadcastFlood: z.boolean(),
      multicastRouter: count,
      neighbourSuppression: z.boolean(),
    })
    .optional(),
  /** Program that decides over frames before the kernel does (XDP). */
  xdp: z.boolean(),
})
export type LinkState = z.infer<typeof linkSchema>

const neighbourSchema = z.object({ address: short, link: short, mac: macSchema.optional(), state: short })

const routeSchema = z.object({
  type: short,
  destination: short,
  gateway: short.optional(),
  link: short.optional(),
  protocol: short.optional(),
  metric: count.optional(),
  /** Another than the main one: which packets go by it, rules say that are not looked into. */
  table: short.optional(),
  /** RFC 4191: of a route that came by router advertisement. */
  preference: z.enum(['low', 'medium', 'high']).optional(),
})

/** How many router solicitations and advertisements an interface has sent and seen since it is there (RFC 4861). */
const routerMessagesSchema = z.object({
  solicitationsSent: count,
  solicitationsSeen: count,
  advertisementsSent: count,
  advertisementsSeen: count,
})
export type RouterMessages = z.infer<typeof routerMessagesSchema>

/** A ruleset of nftables as `nft -j` prints it, each rule's expressions left as they are. */
const chainSchema = z.object({
  family: short,
  table: short,
  name: short,
  hook: short.optional(),
  priority: z.number().optional(),
  policy: short.optional(),
  device: short.optional(),
  rules: z.array(z.object({ handle: count, text: z.string().max(4000), expressions: z.array(z.unknown()).max(60) })),
})
export type FirewallChain = z.infer<typeof chainSchema>

const machineStateSchema = z.object({
  links: z.array(linkSchema).max(2000),
  neighbours: z.array(neighbourSchema).max(5000),
  routes: z.object({ ipv4: z.array(routeSchema).max(5000), ipv6: z.array(routeSchema).max(5000) }),
  /** Link-layer multicast addresses that each interface lets in, and the groups that it joined. */
  groups: z.record(short, z.object({ link: z.array(short).max(5000), ipv6: z.array(short).max(5000) })),
  /** ICMP packets thrown away, since the machine is up. */
  checksumErrors: z.object({ ipv4: count, ipv6: count }).default({ ipv4: 0, ipv6: 0 }),
  /** By interface. */
  routerMessages: z.record(short, routerMessagesSchema).default({}),
  /** Below /proc/sys/net, as `ipv6/conf/eth0/forwarding`. */
  sysctls: z.record(short, short),
  multicastDatabase: z
    .array(z.object({ bridge: short, port: short, group: short, vlan: count.optional(), state: short.optional() }))
    .max(10_000),
  forwardingDatabase: z
    .array(z.object({ link: short, mac: macSchema, master: short.optional(), vlan: count.optional(), state: short }))
    .max(10_000),
  portVlans: z.array(z.object({ link: short, vlan: count, pvid: z.boolean(), untagged: z.boolean() })).max(10_000),
  /** Undefined where it could not be read: no nft there, or no right to. */
  firewall: z.array(chainSchema).max(2000).optional(),
  /** What could not be read, and why. */
  unread: z.array(short).max(40),
})
export type MachineState = z.infer<typeof machineStateSchema>

const endSchema = z.object({
  /** Key of `machines`. */
  machine: short,
  /** Holds the address: the bridge, not its port. */
  link: short,
  address: short,
  mac: macSchema.optional(),
})

const hopSchema = z.object({
  /** For people: "pc1 eth0". */
  name: short,
  machine: short,
  link: short,
  /** On which network of a routed path, from 0. */
  segment: count,
})
export type PathHop = z.infer<typeof hopSchema>

export const frameKinds = ['request', 'answer', 'echo', 'reverse-request', 'reverse-answer', 'reply', 'error'] as const
export type FrameKind = (typeof frameKinds)[number]

/** Frames of one kind that one hop saw. */
const sightingSchema = z.object({
  hop: short,
  segment: count,
  kind: z.enum(frameKinds),
  count,
  /** Distinct ones, a few. */
  sourceMacs: z.array(macSchema).max(8),
  destinationMacs: z.array(macSchema).max(8),
  /** 802.1Q tags; 0 stands for none. */
  vlans: z.array(count).max(8),
  /** What an ICMP error said, or the MAC address that an answer gave. */
  says: z.array(short).max(8),
})
export type Sighting = z.infer<typeof sightingSchema>

const probeSchema = z.object({
  sent: count,
  received: count,
  rttMs: z.number().nonnegative().optional(),
  /** What ping said: "Network is unreachable", "Time exceeded: Hop limit". */
  said: short.optional(),
})

const pathSchema = z.object({
  /** "pc1>r1 ipv6 2001:db8::1" */
  id: short,
  family: familySchema,
  /** "pc1>r1" */
  direction: short,
  from: endSchema,
  to: endSchema,
  /** How the target address came to be, which decides whose groups it shares. */
  form: z.enum(['static', 'eui64', 'link-local', 'missing']),
  /** Through the guest, from one network into another. */
  routed: z.boolean(),
  /** Addresses that are resolved on each network of the path: the target, or the next router. */
  resolved: z.array(z.object({ from: short, to: short })).max(4),
  hops: z.array(hopSchema).max(40),
  /** From cold neighbour caches. */
  probe: probeSchema,
  /** As before but with a packet as large as the sender's MTU that must not be fragmented. */
  large: probeSchema.extend({ bytes: count }).optional(),
  /** Probed once more with every hop watched; only of a path that is lost. */
  trace: z
    .object({
      probe: probeSchema,
      sightings: z.array(sightingSchema).max(400),
      unwatched: z.array(short).max(40),
      /** By how many each machine's grew since it was asked, in the path's family. */
      checksumErrors: z.record(short, count).optional(),
    })
    .optional(),
  /** MAC addresses by which the sender knew the target after the probe. */
  resolvedMac: macSchema.optional(),
  /** Of the outer path of a tunnel of the sender: `large` is as large as the tunnel's largest packet makes it. */
  tunnel: z.object({ link: short, mtu: count, overhead: count, underlay: short, underlayMtu: count }).optional(),
  /** From the warm cache, before anything was forgotten; only where the sender knew the target by a wrong MAC address. */
  warm: z.object({ probe: probeSchema, mac: macSchema }).optional(),
  routeFrom: short.optional(),
  routeBack: short.optional(),
})
export type PathEvidence = z.infer<typeof pathSchema>

const nicSchema = z.object({
  name: short,
  mac: macSchema,
  /** libvirt's interface type. */
  type: short,
  source: short.optional(),
  macvtapMode: short.optional(),
  trust: z.boolean(),
  /** trustGuestRxFilters of the definition, where it is not that of the running VM. */
  definedTrust: z.boolean().optional(),
  /** The tap or macvtap on the host. */
  target: short.optional(),
  linkState: z.enum(['up', 'down']),
  /** The uplink it shall reach, and who is at the other end of that. */
  uplink: short.optional(),
  pc: short.optional(),
})
export type NicEvidence = z.infer<typeof nicSchema>

export const evidenceFormat = 1
/** In the folder that a run keeps for each cell. */
export const evidenceFile = 'evidence.json'

export const evidenceSchema = z.object({
  format: z.literal(evidenceFormat),
  observedAt: z.iso.datetime(),
  seconds: z.number().nonnegative(),
  vm: z.object({ name: short, ours: z.boolean(), state: short }),
  nics: z.array(nicSchema).max(64),
  /** By role: "host", the VM's name, "pc1". */
  machines: z.record(short, machineStateSchema),
  /** Key in `machines` of the guest, when it could be asked. */
  guest: short.optional(),
  /** Only of guests and PCs: others are not vmr's to look into. */
  paths: z.array(pathSchema).max(400),
  /** What could not be looked at, and what a person can do about it. */
  unknowns: z.array(z.object({ what: short, command: short.optional() })).max(40),
})
export type Evidence = z.infer<typeof evidenceSchema>
