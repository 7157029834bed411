import { z } from 'zod'
import { VmrError } from '../../errors/vmr-error.ts'
import type { Shell } from '../../shell/shell.ts'
import { checksumErrorFiles, parseChecksumErrors } from './checksum-errors.ts'
import type { FirewallChain, LinkState, MachineState, RouterMessages } from './schema.ts'

const addressRowSchema = z.object({
  family: z.string(),
  local: z.string().optional(),
  prefixlen: z.number(),
  scope: z.enum(['global', 'link', 'host', 'site']).catch('global'),
  tentative: z.boolean().default(false),
  dadfailed: z.boolean().default(false),
})

const flag = z.union([z.boolean(), z.number()]).transform((value) => value === true || value === 1)
const bridgeDataSchema = z.object({
  stp_state: flag.default(false),
  mcast_snooping: flag.default(false),
  mcast_querier: flag.default(false),
  vlan_filtering: flag.default(false),
  nf_call_iptables: flag.default(false),
  nf_call_ip6tables: flag.default(false),
  nf_call_arptables: flag.default(false),
  mcast_querier_ipv4_addr: z.string().optional(),
  mcast_querier_ipv6_addr: z.string().optional(),
  mcast_querier_ipv4_ifindex: z.unknown().optional(),
  mcast_querier_ipv6_port: z.unknown().optional(),
  mcast_querier_ipv4_port: z.unknown().optional(),
})
const portDataSchema = z.object({
  state: z.string().default('unknown'),
  isolated: flag.default(false),
  locked: flag.default(false),
  learning: flag.default(true),
  flood: flag.default(true),
  mcast_flood: flag.default(true),
  bcast_flood: flag.default(true),
  multicast_router: z.number().default(1),
  neigh_suppress: flag.default(false),
})

/** Of links of kind ip6tnl, sit and ipip; those that take packets from anybody have no remote end. */
const tunnelDataSchema = z.object({
  local: z.string().min(1),
  remote: z.string().refine((address) => !/^(any|::|0\.0\.0\.0)$/.test(address)),
  proto: z.string().optional(),
  encap_limit: z.number().optional(),
})

const linkRowSchema = z.object({
  ifindex: z.number().int(),
  ifname: z.string(),
  flags: z.array(z.string()).default([]),
  mtu: z.number().int(),
  operstate: z.string().optional(),
  link: z.string().nullish(),
  link_index: z.number().int().optional(),
  master: z.string().optional(),
  link_type: z.string().optional(),
  address: z.string().optional(),
  promiscuity: z.number().int().default(0),
  allmulti: z.number().int().default(0),
  xdp: z.unknown().optional(),
  linkinfo: z
    .object({
      info_kind: z.string().optional(),
      info_data: z.record(z.string(), z.unknown()).optional(),
      info_slave_kind: z.string().optional(),
      info_slave_data: z.record(z.string(), z.unknown()).optional(),
    })
    .optional(),
  addr_info: z.array(z.unknown()).default([]),
})

const sysctlNames = {
  ipv6: ['disable_ipv6', 'forwarding', 'accept_ra', 'accept_dad', 'hop_limit', 'mtu'],
  ipv4: ['forwarding', 'rp_filter', 'arp_ignore', 'arp_filter'],
} as const
const globalSysctls = [
  'ipv4/ip_forward',
  'ipv4/ip_default_ttl',
  'ipv4/icmp_echo_ignore_all',
  'ipv6/icmp/echo_ignore_all',
  'bridge/bridge-nf-call-iptables',
  'bridge/bridge-nf-call-ip6tables',
  'bridge/bridge-nf-call-arptables',
]

const sections = [
  'address',
  'neighbour',
  'route4',
  'route6',
  'maddress',
  'sysctl',
  'ra',
  'snmp',
  'mdb',
  'fdb',
  'vlan',
  'nft',
] as const
type Section = (typeof sections)[number]

/** Separates what the commands of {@link stateArgv} print; no output of theirs can hold it by chance. */
const mark = '=-=vmr-section=-='

/** One round trip for everything: on a guest's console each costs. Nothing in it changes anything. */
export function stateArgv(asRoot: readonly string[]): readonly string[] {
  const sysctls = [
    ...sysctlNames.ipv6.map((name) => `ipv6/conf/*/${name}`),
    ...sysctlNames.ipv4.map((name) => `ipv4/conf/*/${name}`),
    ...globalSysctls,
  ].join(' ')
  const commands: Readonly<Record<Section, string>> = {
    address: 'ip -json -details address show',
    neighbour: 'ip -json neighbour show nud all',
    route4: 'ip -json -details -4 route show table all',
    route6: 'ip -json -details -6 route show table all',
    maddress: 'ip -json maddress show',
    sysctl: `cd /proc/sys/net && grep -H . ${sysctls} 2>/dev/null`,
    ra: `cd /proc/net/dev_snmp6 && grep -HE '^Icmp6(In|Out)Type13[34]\\b' -- * 2>/dev/null`,
    snmp: `cat ${checksumErrorFiles} 2>/dev/null`,
    mdb: 'bridge -json -details mdb show',
    fdb: 'bridge -json fdb show',
    vlan: 'bridge -json vlan show',
    nft: `if command -v nft >/dev/null; then "$@" nft --json list ruleset; else echo "no nft there" >&2; false; fi`,
  }
  const script = sections
    .map((name) => `echo '${mark} ${name}'; { ${commands[name]}; } 2>&1 || echo '${mark} failed ${name}'`)
    .join('\n')
  return ['bash', '-c', `export PATH="$PATH:/usr/sbin:/sbin"\n${script}`, 'bash', ...asRoot]
}

export interface ReadStateOptions {
  /** Words before a command that needs root. */
  readonly asRoot?: readonly string[]
  readonly signal?: AbortSignal
}

/**
 * What a machine says of its network, read and never changed.
 *
 * @throws VmrError MEASUREMENT_FAILED when it has no usable iproute2.
 */
export async function readMachineState(
  shell: Shell,
  { asRoot = [], signal }: ReadStateOptions = {},
): Promise<MachineState> {
  for (let reading = 1; ; reading += 1) {
    const { stdout } = await shell.run(stateArgv(asRoot), { timeoutMs: 30_000, ...(signal && { signal }) })
    // Something changed while the kernel was telling it, as right after a start: a moment later it is told whole.
    if (reading === mostReadings || !stdout.includes(interrupted))
      return parseMachineState(stdout.replaceAll(interrupted, ''), shell.description)
  }
}

const mostReadings = 5
/** On standard error (iproute2's lib/libnetlink.c). */
const interrupted = 'Dump was interrupted and may be inconsistent.\n'

/** Reads what {@link stateArgv} printed. Pure. */
export function parseMachineState(text: string, of: string): MachineState {
  const parts = new Map<Section, string>()
  const unread: string[] = []
  for (const piece of text.split(`${mark} `).slice(1)) {
    const newline = piece.indexOf('\n')
    const title = piece.slice(0, newline === -1 ? undefined : newline).trim()
    const failed = /^failed (\w+)$/.exec(title)?.[1]
    const section = sections.find((name) => name === (failed ?? title))
    if (section === undefined) continue
    if (failed === undefined) parts.set(section, newline === -1 ? '' : piece.slice(newline + 1))
    else {
      // Without any match grep fails, and says nothing; without IPv6 there are no counters of it.
      if (section !== 'sysctl' && section !== 'ra' && section !== 'snmp') {
        unread.push(`${section}: ${(parts.get(section) ?? '').trim().slice(0, 200)}`)
        parts.delete(section)
      }
    }
  }
  const rows = <S extends z.ZodType>(section: Section, schema: S): readonly z.output<S>[] => {
    const content = parts.get(section)?.trim()
    if (content === undefined || content === '') return []
    const data = parseJson(content)
    if (!Array.isArray(data)) {
      unread.push(`${section}: ${content.slice(0, 200)}`)
      return []
    }
    return data.flatMap((row: unknown) => {
      const parsed = schema.safeParse(row)
      return parsed.success ? [parsed.data] : []
    })
  }
  const links = rows('address', linkRowSchema).map(linkState)
  if (links.length === 0)
    throw new VmrError('MEASUREMENT_FAILED', `${of} does not say what interfaces it has: ${text.slice(0, 200)}`, {
      hint: 'vmr needs iproute2 5.10 or newer there.',
    })
  const firewall = parts.has('nft') ? readFirewall(parts.get('nft') ?? '') : undefined
  return {
    links,
    neighbours: rows('neighbour', neighbourRowSchema).map(({ dst, dev, lladdr, state }) => ({
      address: dst,
      link: dev,
      state: state[0] ?? 'NONE',
      ...(lladdr === undefined ? {} : { mac: lladdr }),
    })),
    routes: {
      ipv4: rows('route4', routeRowSchema).filter(isUnicast).map(routeState),
      ipv6: rows('route6', routeRowSchema).filter(isUnicast).map(routeState),
    },
    groups: Object.fromEntries(
      rows('maddress', groupsRowSchema).map(({ ifname, maddr }) => [
        ifname,
        {
          link: maddr.flatMap(({ link }) => (link === undefined ? [] : [link])),
          ipv6: maddr.flatMap(({ family, address }) => (family === 'inet6' && address !== undefined ? [address] : [])),
        },
      ]),
    ),
    sysctls: Object.fromEntries(
      [...(parts.get('sysctl') ?? '').matchAll(/^([\w/.@:-]+?):(.*)$/gm)].map(([, key = '', value = '']) => [
        key.slice(0, 300),
        value.trim().slice(0, 300),
      ]),
    ),
    checksumErrors: parseChecksumErrors(parts.get('snmp') ?? ''),
    routerMessages: routerMessages(parts.get('ra') ?? ''),
    multicastDatabase: rows('mdb', z.object({ mdb: z.array(mdbRowSchema).default([]) })).flatMap(({ mdb }) =>
      mdb.map(({ dev, port, grp, vid, state }) => ({
        bridge: dev,
        port,
        group: grp,
        ...(vid === undefined ? {} : { vlan: vid }),
        ...(state === undefined ? {} : { state }),
      })),
    ),
    forwardingDatabase: rows('fdb', fdbRowSchema).map(({ mac, ifname, master, vlan, state }) => ({
      link: ifname,
      mac,
      state,
      ...(master === undefined ? {} : { master }),
      ...(vlan === undefined ? {} : { vlan }),
    })),
    portVlans: rows('vlan', vlanRowSchema)
      .flatMap(({ ifname, vlans }) =>
        vlans.flatMap(({ vlan, vlanEnd, flags }) =>
          Array.from({ length: Math.min(4095, (vlanEnd ?? vlan) - vlan + 1) }, (_, offset) => ({
            link: ifname,
            vlan: vlan + offset,
            pvid: flags.includes('PVID'),
            untagged: flags.includes('Egress Untagged'),
          })),
        ),
      )
      .slice(0, 10_000),
    ...(firewall === undefined ? {} : { firewall }),
    unread,
  }
}

const neighbourRowSchema = z.object({
  dst: z.string(),
  dev: z.string(),
  lladdr: z.string().optional(),
  state: z.array(z.string()).default([]),
})
const routeRowSchema = z.object({
  type: z.string().default('unicast'),
  dst: z.string(),
  gateway: z.string().optional(),
  dev: z.string().optional(),
  protocol: z.string().optional(),
  metric: z.number().int().nonnegative().optional(),
  table: z.coerce.string().optional(),
  pref: z.enum(['low', 'medium', 'high']).optional().catch(undefined),
})
const groupsRowSchema = z.object({
  ifname: z.string(),
  maddr: z.array(
    z.object({ link: z.string().optional(), family: z.string().optional(), address: z.string().optional() }),
  ),
})
const mdbRowSchema = z.object({
  dev: z.string(),
  port: z.string(),
  grp: z.string(),
  vid: z.number().optional(),
  state: z.string().optional(),
})
const fdbRowSchema = z.object({
  mac: z.string(),
  ifname: z.string(),
  master: z.string().optional(),
  vlan: z.number().optional(),
  state: z.string().default(''),
})
const vlanRowSchema = z.object({
  ifname: z.string(),
  vlans: z
    .array(z.object({ vlan: z.number(), vlanEnd: z.number().optional(), flags: z.array(z.string()).default([]) }))
    .default([]),
})

const isUnicast = ({ type }: { readonly type: string }) => !/^(local|broadcast|multicast|anycast)$/.test(type)

function routeState({ type, dst, gateway, dev, protocol, metric, pref, table }: z.output<typeof routeRowSchema>) {
  return {
    type,
    destination: dst,
    ...(gateway === undefined ? {} : { gateway }),
    ...(dev === undefined ? {} : { link: dev }),
    ...(protocol === undefined ? {} : { protocol }),
    ...(metric === undefined ? {} : { metric }),
    ...(table === undefined || /^(main|default|local)$/.test(table) ? {} : { table }),
    ...(pref === undefined ? {} : { preference: pref }),
  }
}

/** "eth0:Icmp6InType134   3": 133 is a router solicitation, 134 an advertisement (RFC 4861 section 4). */
function routerMessages(text: string): MachineState['routerMessages'] {
  const counts = new Map<string, RouterMessages>()
  for (const [, name = '', way, type, value] of text.matchAll(/^(\S+):Icmp6(In|Out)Type13([34])\s+(\d+)$/gm)) {
    const before = counts.get(name) ?? {
      ...{ solicitationsSent: 0, solicitationsSeen: 0 },
      ...{ advertisementsSent: 0, advertisementsSeen: 0 },
    }
    const key = `${type === '3' ? 'solicitations' : 'advertisements'}${way === 'In' ? 'Seen' : 'Sent'}` as const
    counts.set(name, { ...before, [key]: Number(value) })
  }
  return Object.fromEntries(counts)
}

function linkState(row: z.output<typeof linkRowSchema>): LinkState {
  const { linkinfo } = row
  const kind = linkinfo?.info_kind
  const data = linkinfo?.info_data ?? {}
  const bridge = kind === 'bridge' ? bridgeDataSchema.safeParse(data).data : undefined
  const port =
    linkinfo?.info_slave_kind === 'bridge' ? portDataSchema.safeParse(linkinfo.info_slave_data).data : undefined
  const mode = typeof data.mode === 'string' ? data.mode : undefined
  const tunnel =
    kind === undefined || !/^(ip6tnl|sit|ipip)$/.test(kind) ? undefined : tunnelDataSchema.safeParse(data).data
  const vlanId = kind === 'vlan' && typeof data.id === 'number' ? data.id : undefined
  return {
    name: row.ifname,
    index: row.ifindex,
    mtu: row.mtu,
    flags: row.flags.slice(0, 40),
    promiscuity: row.promiscuity,
    allMulticast: row.allmulti,
    xdp: row.xdp !== undefined,
    addresses: row.addr_info.flatMap(addressState).slice(0, 200),
    ...(kind === undefined ? {} : { kind }),
    ...(row.link_type === 'ether' && row.address !== undefined ? { mac: row.address } : {}),
    ...(row.operstate === undefined ? {} : { operState: row.operstate }),
    ...(row.master === undefined ? {} : { master: row.master }),
    ...(row.link == null ? {} : { lower: row.link }),
    ...(row.link_index === undefined ? {} : { lowerIndex: row.link_index }),
    ...(mode === undefined || (kind !== 'macvtap' && kind !== 'macvlan') ? {} : { macvtapMode: mode }),
    ...(vlanId === undefined ? {} : { vlanId }),
    ...(tunnel === undefined
      ? {}
      : {
          tunnel: {
            local: tunnel.local,
            remote: tunnel.remote,
            encapsulationLimit: tunnel.encap_limit !== undefined,
            ...(tunnel.proto === undefined ? {} : { protocol: tunnel.proto }),
          },
        }),
    ...(bridge === undefined
      ? {}
      : {
          bridge: {
            stp: bridge.stp_state,
            snooping: bridge.mcast_snooping,
            querier: bridge.mcast_querier,
            otherQuerier: {
              ipv4: bridge.mcast_querier_ipv4_port !== undefined || bridge.mcast_querier_ipv4_addr !== undefined,
              ipv6: bridge.mcast_querier_ipv6_port !== undefined || bridge.mcast_querier_ipv6_addr !== undefined,
            },
            vlanFiltering: bridge.vlan_filtering,
            callIptables: bridge.nf_call_iptables,
            callIp6tables: bridge.nf_call_ip6tables,
            callArptables: bridge.nf_call_arptables,
          },
        }),
    ...(port === undefined
      ? {}
      : {
          port: {
            state: port.state,
            isolated: port.isolated,
            locked: port.locked,
            learning: port.learning,
            flood: port.flood,
            multicastFlood: port.mcast_flood,
            broadcastFlood: port.bcast_flood,
            multicastRouter: port.multicast_router,
            neighbourSuppression: port.neigh_suppress,
          },
        }),
  }
}

function addressState(row: unknown): LinkState['addresses'] {
  const parsed = addressRowSchema.safeParse(row)
  if (!parsed.success) return []
  const { family, local, prefixlen, scope, tentative, dadfailed } = parsed.data
  if (local === undefined || (family !== 'inet' && family !== 'inet6')) return []
  return [
    {
      address: local,
      prefixLength: prefixlen,
      family: family === 'inet' ? 'ipv4' : 'ipv6',
      scope,
      tentative,
      duplicate: dadfailed,
    },
  ]
}

const nftSchema = z.object({
  nftables: z.array(
    z.object({
      chain: z
        .object({
          family: z.string(),
          table: z.string(),
          name: z.string(),
          hook: z.string().optional(),
          prio: z.number().optional(),
          policy: z.string().optional(),
          dev: z.union([z.string(), z.array(z.string())]).optional(),
        })
        .optional(),
      rule: z
        .object({
          family: z.string(),
          table: z.string(),
          chain: z.string(),
          handle: z.number(),
          expr: z.array(z.unknown()).default([]),
        })
        .optional(),
    }),
  ),
})

function readFirewall(text: string): FirewallChain[] | undefined {
  // Tools that nft took the place of warn before the JSON.
  const parsed = nftSchema.safeParse(parseJson(text.slice(Math.max(0, text.indexOf('{')))))
  if (!parsed.success) return undefined
  const { nftables } = parsed.data
  return nftables.flatMap(({ chain }) => {
    if (chain === undefined) return []
    const { family, table, name, hook, prio, policy, dev } = chain
    return [
      {
        family,
        table,
        name,
        ...(hook === undefined ? {} : { hook }),
        ...(prio === undefined ? {} : { priority: prio }),
        ...(policy === undefined ? {} : { policy }),
        ...(dev === undefined ? {} : { device: Array.isArray(dev) ? dev.join(' ') : dev }),
        rules: nftables.flatMap(({ rule }) =>
          rule?.family === family && rule.table === table && rule.chain === name
            ? [
                {
                  handle: rule.handle,
                  text: JSON.stringify(rule.expr).slice(0, 4000),
                  expressions: rule.expr.slice(0, 60),
                },
              ]
            : [],
        ),
      },
    ]
  })
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
