import { z } from 'zod'
import { interfaceNameSchema } from '../../config/network-config.ts'
import { VmrError } from '../../errors/vmr-error.ts'
import { quoteForScript } from '../../shell/serial/quote.ts'

/**
 * What the kernel forgets of a NIC that is unplugged: everything that hangs on the device and not on its name. Read with
 * {@link captureScript}, put back with {@link restoreScript}.
 */
export interface InterfaceState {
  readonly name: string
  readonly mac: string
  /** Number of the device; the one that comes back has another. */
  readonly index: number
  readonly links: readonly LinkState[]
  readonly routes: readonly RouteState[]
  /** Below /proc/sys/net, with slashes; only what differs from what a new device gets. */
  readonly sysctls: readonly (readonly [key: string, value: string])[]
  /** By ethtool's short names. */
  readonly offloads: readonly (readonly [feature: string, on: boolean])[]
}

/** The NIC itself, or a VLAN on it. */
interface LinkState {
  readonly name: string
  readonly vlan: number | undefined
  readonly up: boolean
  readonly mtu: number
  readonly alias: string | undefined
  readonly master: string | undefined
  readonly addresses: readonly AddressState[]
  readonly neighbours: readonly { readonly address: string; readonly mac: string }[]
}

interface AddressState {
  readonly address: string
  readonly prefixLength: number
  readonly peer: string | undefined
  readonly family: 'ipv4' | 'ipv6'
  readonly broadcast: string | undefined
  readonly scope: string
  /** Was in use: duplicate address detection had passed. */
  readonly usable: boolean
}

interface RouteState {
  readonly family: 'ipv4' | 'ipv6'
  readonly words: readonly string[]
}

const addressTextSchema = z.string().regex(/^[0-9A-Fa-f:.]{2,45}$/)
const prefixSchema = z.string().regex(/^(?:default|[0-9A-Fa-f:.]{2,45}(?:\/\d{1,3})?)$/)
const wordSchema = z.string().regex(/^[A-Za-z0-9_.-]{1,40}$/)

const addressSchema = z.object({
  family: z.string(),
  local: addressTextSchema.optional(),
  address: addressTextSchema.optional(),
  prefixlen: z.int().min(0).max(128),
  broadcast: addressTextSchema.optional(),
  scope: wordSchema.default('global'),
  dynamic: z.boolean().default(false),
  tentative: z.boolean().default(false),
  dadfailed: z.boolean().default(false),
})
const linkSchema = z.object({
  ifindex: z.int().positive(),
  ifname: interfaceNameSchema,
  flags: z.array(z.string()).default([]),
  mtu: z
    .int()
    .min(0)
    .max(2 ** 31 - 1),
  address: z.string().optional(),
  ifalias: z.string().max(256).optional(),
  master: interfaceNameSchema.optional(),
  link: z.string().nullish(),
  linkinfo: z
    .looseObject({ info_kind: z.string().optional(), info_data: z.looseObject({ id: z.int().optional() }).optional() })
    .optional(),
  addr_info: z
    .array(z.unknown())
    .default([])
    .transform((rows) => rows.filter((row) => z.looseObject({ family: z.string() }).safeParse(row).success))
    .pipe(z.array(addressSchema).max(1000)),
})
const nextHopSchema = z.object({
  gateway: addressTextSchema.optional(),
  via: z.object({ family: z.string(), host: addressTextSchema }).optional(),
  dev: interfaceNameSchema.optional(),
  weight: z.int().min(1).max(256).optional(),
  flags: z.array(z.string()).default([]),
})
const routeSchema = nextHopSchema.extend({
  type: wordSchema.default('unicast'),
  dst: prefixSchema,
  prefsrc: addressTextSchema.optional(),
  protocol: wordSchema.default('boot'),
  scope: wordSchema.optional(),
  metric: z.int().min(0).optional(),
  table: wordSchema.default('main'),
  pref: z.string().optional(),
  nexthops: z.array(nextHopSchema).max(256).optional(),
})
const neighbourSchema = z.object({
  dst: addressTextSchema,
  dev: interfaceNameSchema.optional(),
  lladdr: z
    .string()
    .regex(/^[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}$/)
    .optional(),
})

/** `ethtool -k` prints long names, `ethtool -K` takes short ones (ethtool.c, off_flag_def); in an order in which they hold. */
const features: Readonly<Record<string, string>> = {
  'rx-checksumming': 'rx',
  'tx-checksumming': 'tx',
  'scatter-gather': 'sg',
  'tcp-segmentation-offload': 'tso',
  'generic-segmentation-offload': 'gso',
  'generic-receive-offload': 'gro',
}

const separator = '--vmr--'

/**
 * In the guest: the offloads that the interface shall have. A NIC whose host side cannot take part (QEMU's user network)
 * has some of them fixed to off, and what they were before would be forgotten there.
 */
const offloadsFile = '/run/.vmr-offloads-$n'

/**
 * A script for the guest that prints, of the interface that it is given, the parts that {@link parseInterfaceState} reads.
 * What is of no use is left out there: a console is slow. Sysctls are compared with those of `default`.
 */
export const captureScript = [
  'n=$1',
  // One process for three questions: starting one takes a guest without KVM longer than all of its work.
  "ip -json -details -batch - <<'.'",
  'address show',
  'route show table all type unicast',
  'neighbour show nud permanent',
  '.',
  `echo; echo ${separator}`,
  "ethtool -k $n 2>/dev/null | while IFS='' read -r l; do case $l in",
  '[a-z]*-checksumming:* | scatter-gather:* | tcp-segmentation-* | generic-*) echo "$l" ;;',
  '[[:space:]]tx-[cst]*) echo "$l" ;;',
  'esac; done',
  `echo ${separator}`,
  `[ ! -e ${offloadsFile} ] || { read -r l <${offloadsFile}; echo "$l"; }`,
  `echo ${separator}`,
  'cd /proc/sys/net',
  'for f in ipv4 ipv6; do for p in "$f"/conf/$n/* "$f"/conf/$n.*/*; do',
  `k=\${p##*/}; read -r a 2>/dev/null <"$p" && read -r b 2>/dev/null <"$f/conf/default/$k" && [ "$a" != "$b" ] && echo "$p $a"`,
  'done; done; true',
]
  .map((line) => `${line}\n`)
  .join('')

/** What the kernel itself keeps there, and what follows from other settings. */
const derivedSysctls: ReadonlySet<string> = new Set(['mtu', 'mc_forwarding', 'stable_secret'])
/** Routes that the kernel makes of addresses, or learns again by itself. */
const kernelsOwn: ReadonlySet<string> = new Set(['kernel', 'redirect', 'ra'])

/**
 * @throws VmrError GUEST_NOT_READY when the guest has no such interface, or its answer cannot be read.
 */
export function parseInterfaceState(name: string, output: string, machine: string): InterfaceState {
  const [answers = '', offloads = '', wished = '', sysctls = ''] = output
    .split(`${separator}\n`)
    .map((part) => part.trim())
  const rows = readRows(name, answers, machine)
  const all = rows.links
  const nic = all.find(({ ifname }) => ifname === name)
  if (nic?.address === undefined)
    throw new VmrError('GUEST_NOT_READY', `there is no interface ${name} on ${machine}`, {
      hint: `It has ${all.map(({ ifname }) => ifname).join(', ')}.`,
    })
  const vlans = all.filter(({ link, linkinfo }) => link === name && linkinfo?.info_kind === 'vlan')
  const links = [nic, ...vlans]
  const names = new Set(links.map(({ ifname }) => ifname))
  return {
    name,
    mac: nic.address.toLowerCase(),
    index: nic.ifindex,
    links: links.map((link) => ({
      name: link.ifname,
      vlan: link.ifname === name ? undefined : link.linkinfo?.info_data?.id,
      up: link.flags.includes('UP'),
      mtu: link.mtu,
      alias: link.ifalias,
      master: link.master,
      addresses: link.addr_info.flatMap(addressState),
      neighbours: rows.neighbours.flatMap(({ dst, dev, lladdr }) =>
        dev === link.ifname && lladdr !== undefined ? [{ address: dst, mac: lladdr }] : [],
      ),
    })),
    routes: rows.routes.flatMap((route): readonly RouteState[] => {
      const hops = route.nexthops ?? [route]
      if (route.type !== 'unicast' || kernelsOwn.has(route.protocol)) return []
      if (!hops.some(({ dev }) => dev !== undefined && names.has(dev))) return []
      return [{ family: familyOf(route), words: routeWords(route) }]
    }),
    sysctls: sysctls.split('\n').flatMap((line) => {
      const [, key = '', value = ''] = /^(ipv[46]\/conf\/[A-Za-z0-9_.@-]+\/[a-z0-9_]+) (.{1,200})$/.exec(line) ?? []
      const [, , device = '', setting = ''] = key.split('/')
      return names.has(device) && !derivedSysctls.has(setting) ? [[key, value] as const] : []
    }),
    offloads: Object.entries(features).flatMap(([long, short]) => {
      const wish =
        offloadWish(offloads, long) ?? offloadWord(new RegExp(`(?:^| )${short} (on|off)\\b`).exec(wished)?.[1])
      return wish === undefined ? [] : [[short, wish] as const]
    }),
  }
}

/** The rows of all answers of `ip -json -batch`, which has one line for each that is not empty. */
function readRows(name: string, answers: string, machine: string) {
  try {
    const rows = answers
      .split('\n')
      .filter((line) => line.startsWith('['))
      .flatMap((line) => z.array(z.record(z.string(), z.unknown())).parse(JSON.parse(line)))
    const isNeighbour = (row: Readonly<Record<string, unknown>>) => 'lladdr' in row || 'state' in row
    return {
      links: z.array(linkSchema).parse(rows.filter((row) => 'ifindex' in row)),
      neighbours: z.array(neighbourSchema).parse(rows.filter((row) => 'dst' in row && isNeighbour(row))),
      routes: z.array(routeSchema).parse(rows.filter((row) => 'dst' in row && !isNeighbour(row))),
    }
  } catch (error) {
    throw new VmrError('GUEST_NOT_READY', `the settings of ${name} on ${machine} cannot be read`, {
      hint: 'vmr needs iproute2 4.14 or newer there.',
      cause: error,
    })
  }
}

/** Only IPv6 routes have a preference (RFC 4191), and iproute2 always prints it. */
function familyOf({ dst, gateway, pref }: z.infer<typeof routeSchema>): RouteState['family'] {
  return pref !== undefined || dst.includes(':') || gateway?.includes(':') ? 'ipv6' : 'ipv4'
}

/** What an offload is set to; undefined for one that nobody can change. `ethtool -k` indents the parts of a feature. */
function offloadWish(text: string, feature: string): boolean | undefined {
  const [, state, remark, parts = ''] =
    new RegExp(`^${feature}: (on|off)(?: \\[(.*)\\])?((?:\\n\\s+\\S.*)*)`, 'm').exec(text) ?? []
  const partLines = parts.split('\n').filter((line) => line.trim() !== '')
  const isFixed = remark === 'fixed' || (partLines.length > 0 && partLines.every((line) => line.includes('[fixed]')))
  if (isFixed) return undefined
  return offloadWord(/^requested (on|off)$/.exec(remark ?? '')?.[1] ?? state)
}

function offloadWord(word: string | undefined): boolean | undefined {
  return word === undefined ? undefined : word === 'on'
}

function addressState(row: z.infer<typeof addressSchema>): readonly AddressState[] {
  if (row.local === undefined || (row.family !== 'inet' && row.family !== 'inet6')) return []
  // Addresses with a lifetime are somebody else's to renew: a DHCP client's, or the next router advertisement's.
  if (row.dynamic) return []
  return [
    {
      address: row.local,
      prefixLength: row.prefixlen,
      peer: row.address,
      family: row.family === 'inet' ? 'ipv4' : 'ipv6',
      broadcast: row.broadcast,
      scope: row.scope,
      usable: !row.tentative && !row.dadfailed,
    },
  ]
}

function routeWords(row: z.infer<typeof routeSchema>): readonly string[] {
  const hopWords = ({ gateway, via, dev, flags }: z.infer<typeof nextHopSchema>) => [
    ...(gateway === undefined ? [] : ['via', gateway]),
    ...(via === undefined ? [] : ['via', via.family, via.host]),
    ...(dev === undefined ? [] : ['dev', dev]),
    ...(flags.includes('onlink') ? ['onlink'] : []),
  ]
  return [
    row.dst,
    ...(row.table === 'main' ? [] : ['table', row.table]),
    ...['proto', row.protocol],
    ...(row.metric === undefined ? [] : ['metric', String(row.metric)]),
    ...(row.prefsrc === undefined ? [] : ['src', row.prefsrc]),
    ...(row.scope === undefined || row.gateway !== undefined ? [] : ['scope', row.scope]),
    ...(row.nexthops === undefined
      ? hopWords(row)
      : row.nexthops.flatMap((hop) => [
          'nexthop',
          ...hopWords(hop),
          ...(hop.weight === undefined ? [] : ['weight', String(hop.weight)]),
        ])),
  ]
}

export interface RestoreOptions {
  /**
   * The NIC comes back to the link that it left. Then an address that was in use a moment ago, with the same MAC, needs
   * no second duplicate address detection (RFC 4862 section 5.4 asks for one when an address is assigned), which would
   * keep IPv6 dead for a second. On another link somebody else may have it.
   */
  readonly sameLink: boolean
  /** Seconds after which it gives the NIC up. */
  readonly limitSeconds: number
}

/** Exit status of the script when the NIC did not come back in time. */
export const notBack = 3
const pollSeconds = 0.02
const renameRounds = 50

/**
 * A script for the guest's root. It waits until a NIC with this MAC address is there, other than the device whose number
 * it is given, and puts back what it had. Whatever cannot be put back is told on standard error, one line each; the rest
 * is put back all the same.
 */
export function restoreScript(state: InterfaceState, { sameLink, limitSeconds }: RestoreOptions): string {
  const { name, mac, links, routes, sysctls, offloads } = state
  const nic = quoteForScript(name)
  const [, ...vlans] = links
  const offloadWords = offloads.flatMap(([feature, on]) => [feature, on ? 'on' : 'off'])
  const batch = (lines: readonly string[], ...options: readonly string[]) =>
    lines.length === 0 ? [] : [`${['ip', ...options].join(' ')} -force -batch - <<'.' || failed=1`, ...lines, '.']
  const routesOf = (family: RouteState['family']) =>
    routes.flatMap((route) => (route.family === family ? [`route replace ${route.words.join(' ')}`] : []))
  return [
    `n=${nic} m=${mac} failed=0`,
    'cd /sys/class/net || exit 1',
    'old=$1',
    // Reading with a time limit from what nobody writes to sleeps without starting a process.
    'f=/run/.vmr-nic-$$',
    'mkfifo -m 600 $f && exec 9<>$f && rm $f || exit 1',
    'find() {',
    '  for d in *; do',
    '    [ -e $d/device ] || continue',
    '    { read -r a <$d/address && read -r i <$d/ifindex; } 2>/dev/null || continue',
    '    [ "$a" = $m ] && [ "$i" != "$old" ] && { found=$d; return 0; }',
    '  done',
    '  return 1',
    '}',
    `until find; do (( SECONDS < ${limitSeconds} )) || exit ${notBack}; read -r -t ${pollSeconds} -u 9; done`,
    // Where names are given by rules, that takes a moment; the rest of the script must not come before it.
    `for (( i = 0; i < ${renameRounds}; i++ )); do`,
    '  [ "$found" = $n ] && break',
    `  read -r -t ${pollSeconds} -u 9`,
    '  find',
    'done',
    '[ "$found" = $n ] || { ip link set dev "$found" down; ip link set dev "$found" name $n || exit 1; }',
    'cd /proc/sys/net || exit 1',
    // The kernel shows a link in /sys before its protocols have theirs (register_netdevice calls device_add first).
    `until [ -d ipv4/conf/$n ] && { [ ! -d ipv6 ] || [ -d ipv6/conf/$n ]; }; do (( SECONDS < ${limitSeconds} )) || exit ${notBack}; read -r -t ${pollSeconds} -u 9; done`,
    'put() { printf "%s\\n" "$2" >"$1" || failed=1; }',
    ...vlans.flatMap((vlan) =>
      vlan.vlan === undefined
        ? []
        : [
            `[ -e /sys/class/net/${vlan.name} ] || ip link add link $n name ${vlan.name} type vlan id ${vlan.vlan} || failed=1`,
          ],
    ),
    ...sysctls.map(([key, value]) => `put ${quoteForScript(key)} ${quoteForScript(value)}`),
    ...batch(links.flatMap((link) => linkLines(link, sameLink))),
    ...batch(routesOf('ipv4'), '-4'),
    ...batch(routesOf('ipv6'), '-6'),
    ...links.flatMap(({ name: link, alias }) =>
      alias === undefined ? [] : [`printf %s ${quoteForScript(alias)} >/sys/class/net/${link}/ifalias || failed=1`],
    ),
    ...(offloads.length === 0
      ? []
      : [
          `echo ${offloadWords.join(' ')} >${offloadsFile}`,
          // Some that this NIC cannot have, it says so and sets the others.
          `ethtool -K $n ${offloadWords.join(' ')} >/dev/null 2>&1`,
        ]),
    'exit $failed',
  ]
    .map((line) => `${line}\n`)
    .join('')
}

function linkLines(link: LinkState, sameLink: boolean): readonly string[] {
  const { name, mtu, master, up, addresses, neighbours } = link
  return [
    `link set dev ${name} mtu ${mtu}${master === undefined ? '' : ` master ${master}`}`,
    ...(up ? [`link set dev ${name} up`] : []),
    ...addresses.map(({ address, prefixLength, peer, family, broadcast, scope, usable }) =>
      [
        'address replace',
        peer === undefined ? `${address}/${prefixLength}` : `${address} peer ${peer}/${prefixLength}`,
        ...(broadcast === undefined ? [] : ['broadcast', broadcast]),
        ...['dev', name, 'scope', scope],
        ...(family === 'ipv6' && sameLink && usable ? ['nodad'] : []),
      ].join(' '),
    ),
    ...neighbours.map(({ address, mac }) => `neighbour replace ${address} lladdr ${mac} dev ${name} nud permanent`),
  ]
}
