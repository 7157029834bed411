import { z } from 'zod'
import { VmrError } from '../../errors/vmr-error.ts'
import { runChecked, type Shell } from '../../shell/shell.ts'

/** iproute2 6.1 prints `dadfailed` and the other address flags as keys of their own (ip/ipaddress.c, print_ifa_flags). */
const addressSchema = z.object({
  family: z.string(),
  local: z.string().optional(),
  prefixlen: z.number().int().min(0).max(128),
  scope: z.string().default('global'),
  tentative: z.boolean().default(false),
  dadfailed: z.boolean().default(false),
})

const linkSchema = z.object({
  ifindex: z.number().int(),
  ifname: z.string(),
  flags: z.array(z.string()),
  mtu: z.number().int(),
  /** The device it stands on: the NIC under a macvtap or VLAN, a veth's peer; only an index when that is elsewhere. */
  link: z.string().nullish(),
  link_index: z.number().int().optional(),
  link_netnsid: z.number().int().optional(),
  master: z.string().optional(),
  link_type: z.string().optional(),
  address: z.string().optional(),
  promiscuity: z.number().int().default(0),
  /** Kernels before 6.1 do not tell. */
  allmulti: z.number().int().default(0),
  linkinfo: z
    .looseObject({
      info_kind: z.string().optional(),
      info_data: z.record(z.string(), z.unknown()).optional(),
    })
    .optional(),
  addr_info: z
    .array(z.unknown())
    .default([])
    .transform((rows) => rows.filter(isFilled))
    .pipe(z.array(addressSchema)),
  stats64: z.object({ rx: z.record(z.string(), z.number()), tx: z.record(z.string(), z.number()) }).optional(),
})
export type LinuxLink = z.infer<typeof linkSchema>

const neighbourSchema = z.object({
  dst: z.string(),
  dev: z.string(),
  lladdr: z.string().optional(),
  state: z.array(z.string()).default([]),
})
export type LinuxNeighbour = z.infer<typeof neighbourSchema>

const routeSchema = z.object({
  type: z.string().default('unicast'),
  dst: z.string(),
  gateway: z.string().optional(),
  dev: z.string().optional(),
})
export type LinuxRoute = z.infer<typeof routeSchema>

const groupsSchema = z.object({
  ifname: z.string(),
  maddr: z.array(
    z.object({ link: z.string().optional(), family: z.string().optional(), address: z.string().optional() }),
  ),
})

/** What one interface receives besides its own address. */
export interface MulticastGroups {
  /** MAC addresses that the driver's filter lets through, as `33:33:ff:00:00:01`. */
  readonly link: readonly string[]
  readonly ipv4: readonly string[]
  readonly ipv6: readonly string[]
}

interface ReadOptions {
  readonly signal?: AbortSignal
}

/** Links with their addresses and counters; only `name` when given. Empty when there is no such link. */
export async function readLinks(
  shell: Shell,
  options: ReadOptions & { readonly name?: string } = {},
): Promise<readonly LinuxLink[]> {
  const argv = ['ip', '-json', '-details', '-statistics', 'address', 'show']
  const { name, ...runOptions } = options
  if (name === undefined) return readIpJson(shell, argv, linkSchema, runOptions)
  const result = await shell.run([...argv, 'dev', name], runOptions)
  if (result.exitCode !== 0 && isGone(result.stderr)) return []
  if (result.exitCode !== 0) throw ipFailure(shell, [...argv, 'dev', name], result.stderr)
  return parseIpJson(shell, argv, result.stdout, linkSchema)
}

/** Every entry of both families, also those that were never resolved (NOARP) and those set by hand (PERMANENT). */
export async function readNeighbours(
  shell: Shell,
  options: ReadOptions & { readonly name?: string } = {},
): Promise<readonly LinuxNeighbour[]> {
  const { name, ...runOptions } = options
  const device = name === undefined ? [] : ['dev', name]
  const neighbours = await readIpJson(
    shell,
    ['ip', '-json', 'neighbour', 'show', 'nud', 'all', ...device],
    neighbourSchema.partial({ dev: true }),
    runOptions,
  )
  // iproute2 leaves the device out when it was asked for.
  return neighbours.map((neighbour) => ({ ...neighbour, dev: neighbour.dev ?? name ?? '' }))
}

/** Without a family both are flushed. busybox's sh would run its own ip. */
const emptyScript = 'for i in "$@"; do ip neighbour flush dev "$i" || exit; done; exec ip -json neighbour show nud all'

/** Flushes the entries of these interfaces, and returns all that is left; one command, since on a console each costs. */
export function emptyNeighbourTables(
  shell: Shell,
  interfaceNames: readonly string[],
  options: ReadOptions = {},
): Promise<readonly LinuxNeighbour[]> {
  return readIpJson(shell, ['bash', '-c', emptyScript, 'bash', ...interfaceNames], neighbourSchema, options)
}

/** The main table of one family. */
export function readRoutes(
  shell: Shell,
  family: 'ipv4' | 'ipv6',
  options: ReadOptions = {},
): Promise<readonly LinuxRoute[]> {
  return readIpJson(shell, ['ip', '-json', family === 'ipv4' ? '-4' : '-6', 'route', 'show'], routeSchema, options)
}

/** Groups by interface name. */
export async function readMulticastGroups(
  shell: Shell,
  options: ReadOptions = {},
): Promise<ReadonlyMap<string, MulticastGroups>> {
  const rows = await readIpJson(shell, ['ip', '-json', 'maddress', 'show'], groupsSchema, options)
  return new Map(
    rows.map(({ ifname, maddr }) => {
      const of = (family: string) =>
        maddr.flatMap((entry) => (entry.family === family && entry.address !== undefined ? [entry.address] : []))
      return [
        ifname,
        {
          link: maddr.flatMap((entry) => (entry.link === undefined ? [] : [entry.link])),
          ipv4: of('inet'),
          ipv6: of('inet6'),
        },
      ]
    }),
  )
}

async function readIpJson<S extends z.ZodType>(
  shell: Shell,
  argv: readonly string[],
  schema: S,
  options: ReadOptions,
): Promise<readonly z.infer<S>[]> {
  return parseIpJson(shell, argv, await runChecked(shell, argv, options), schema)
}

/** iproute2 prints nothing at all for no rows. */
function parseIpJson<S extends z.ZodType>(
  shell: Shell,
  argv: readonly string[],
  text: string,
  schema: S,
): readonly z.infer<S>[] {
  const unreadable = (cause: unknown) =>
    new VmrError('HOST_COMMAND_FAILED', `${argv.join(' ')} on ${shell.description} answered what vmr cannot read`, {
      hint: 'vmr needs iproute2 5.10 or newer there.',
      cause,
    })
  let data: unknown
  try {
    data = text.trim() === '' ? [] : JSON.parse(text)
  } catch (error) {
    throw unreadable(error)
  }
  const rows = z.array(z.unknown()).safeParse(data)
  if (!rows.success) throw unreadable(rows.error)
  const parsed = z.array(schema).safeParse(rows.data.filter(isFilled))
  if (!parsed.success) throw unreadable(parsed.error)
  return parsed.data
}

/** iproute2 prints `{}` for a row that a filter left out. */
function isFilled(row: unknown): boolean {
  return typeof row !== 'object' || row === null || Object.keys(row).length > 0
}

/** True when a command failed only because what it was to remove or show is not there. Texts of iproute2 and strerror. */
export function isGone(stderr: string): boolean {
  return /Cannot find device|does not exist|No such (device|process|file or directory)|Address not found|Cannot assign requested address/.test(
    stderr,
  )
}

function ipFailure(shell: Shell, argv: readonly string[], stderr: string): VmrError {
  return new VmrError(
    'HOST_COMMAND_FAILED',
    `${argv.join(' ')} failed on ${shell.description}: ${stderr.trim().slice(0, 500)}`,
  )
}
