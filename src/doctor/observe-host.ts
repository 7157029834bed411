import { constants } from 'node:fs'
import { access, readdir, readFile, stat, statfs } from 'node:fs/promises'
import { totalmem } from 'node:os'
import { dirname } from 'node:path'
import { z } from 'zod'
import { cacheDirectory, journalDirectory, stateDirectory } from '../config/paths.ts'
import { readDomainFacts } from '../domain/domain-facts.ts'
import { isVmrError } from '../errors/vmr-error.ts'
import { findLabImage } from '../image/lab-image.ts'
import type { Connection } from '../libvirt/index.ts'
import { type LinuxLink, readLinks, readRoutes } from '../os/linux/ip-json.ts'
import { throwIfAborted } from '../shell/abort.ts'
import { localShell } from '../shell/local.ts'
import { detectHostCapabilities } from '../testbed/host-capabilities.ts'
import type { Testbed } from '../testbed/testbed.ts'
import { staleJournals } from '../undo/clean-up.ts'
import { detectAccelerator, kvmDevice } from '../vm/accelerator.ts'
import { withConnection } from '../vm/host.ts'
import { tools } from './checks/tools.ts'
import type {
  BridgeObservation,
  DirectoryObservation,
  DroppingChain,
  HostObservation,
  KvmObservation,
  LibvirtObservation,
  NetworkObservation,
  UplinkObservation,
} from './observation.ts'

export interface ObserveOptions {
  readonly connect: string
  readonly testbedName: string
  readonly testbed: Testbed
  /** Where runs would be written. */
  readonly resultsDirectory: string
  readonly signal: AbortSignal
  readonly onProgress?: (activity: string) => void
}

/** One tool that hangs must not hold up the rest. In milliseconds. */
const toolLimitMs = 2_000
/** libvirt's own limit is longer; a doctor says sooner that it does not answer. In milliseconds. */
const libvirtLimitMs = 5_000

const silentHint = 'Check that libvirtd runs and is not stopped (systemctl status libvirtd).'

/** Looks at everything that vmr stands on, and changes nothing: what it tries, it tries in namespaces of its own. */
export async function observeHost(options: ObserveOptions): Promise<HostObservation> {
  const { signal, testbed, testbedName, resultsDirectory } = options
  const uid = process.getuid?.() ?? 0
  const links = await readLinks(localShell, { signal })
  const [cpuinfo, release, osRelease, kvm, libvirt, features, toolVersions, network, uplinks, governors, directories] =
    await Promise.all([
      read('/proc/cpuinfo'),
      read('/proc/sys/kernel/osrelease'),
      read('/etc/os-release'),
      observeKvm(options),
      observeLibvirt(options),
      uid === 0 ? orUndefined(observeFeatures(signal), signal) : undefined,
      observeTools(signal),
      observeNetwork(links, uid, signal),
      observeUplinks(testbed, testbedName, links, signal),
      observeGovernors(),
      Promise.all([
        observeDirectory('state', stateDirectory()),
        observeDirectory('cache', cacheDirectory()),
        observeDirectory('results', resultsDirectory),
      ]),
    ])
  return {
    uid,
    kernel: release?.trim() ?? 'unknown',
    distribution: /^PRETTY_NAME="?([^"\n]*)"?$/m.exec(osRelease ?? '')?.[1],
    cpuFlags: /^flags\s*:\s*(.*)$/m.exec(cpuinfo ?? '')?.[1]?.split(' ') ?? [],
    cpus: Math.max(1, cpuinfo?.match(/^processor\s*:/gm)?.length ?? 1),
    memoryBytes: totalmem(),
    kvm,
    libvirt,
    features,
    tools: toolVersions,
    network,
    uplinks,
    governors,
    directories,
    leftovers: (await orUndefined(staleJournals(journalDirectory()), signal))?.map(({ purpose }) => purpose) ?? [],
  }
}

async function observeKvm({ signal, onProgress }: ObserveOptions): Promise<KvmObservation> {
  const device = await stat(kvmDevice).catch(() => undefined)
  const gid = /^kvm:[^:]*:(\d+):/m.exec((await read('/etc/group')) ?? '')?.[1]
  const image = device === undefined ? undefined : await findLabImage(cacheDirectory())
  const testBoot =
    image === undefined
      ? undefined
      : await orUndefined(
          detectAccelerator({
            requested: 'auto',
            shell: localShell,
            kernel: image.kernel,
            initramfs: image.initramfs,
            cacheDirectory: cacheDirectory(),
            signal,
            ...(onProgress === undefined ? {} : { onProgress }),
          }),
          signal,
        )
  return {
    device: device === undefined ? undefined : { mode: device.mode & 0o777, gid: device.gid },
    gid: gid === undefined ? undefined : Number(gid),
    testBoot: testBoot && { works: testBoot.accelerator === 'kvm', reason: testBoot.reason },
  }
}

async function observeLibvirt({ connect, signal: callers }: ObserveOptions): Promise<LibvirtObservation> {
  const signal = AbortSignal.any([callers, AbortSignal.timeout(libvirtLimitMs)])
  try {
    return await withConnection(
      connect,
      async (connection) => ({
        kind: 'answers' as const,
        libvirt: await connection.libvirtVersion({ signal }),
        qemu: `${await connection.hypervisorType({ signal })} ${await connection.hypervisorVersion({ signal })}`,
        virtlogd: await exists('/run/libvirt/virtlogd-sock'),
        daemons: [
          ...((await exists('/run/libvirt/libvirt-sock')) ? (['libvirtd'] as const) : []),
          ...((await exists('/run/libvirt/virtqemud-sock')) ? (['virtqemud'] as const) : []),
        ],
        devicesInUse: await readDevicesInUse(connection, signal),
      }),
      signal,
    )
  } catch (error) {
    throwIfAborted(callers, 'asking libvirt')
    if (signal.aborted)
      return { kind: 'refuses', message: `libvirt does not answer within ${libvirtLimitMs / 1000} s`, hint: silentHint }
    if (!isVmrError(error)) throw error
    return { kind: 'refuses', message: error.message, hint: error.hint }
  }
}

async function readDevicesInUse(connection: Connection, signal: AbortSignal): Promise<readonly string[]> {
  const domains = await connection.listAllDomains({ signal })
  const running = domains.filter(({ id }) => id > 0)
  const facts = await Promise.all(
    running.map(async (domain) => readDomainFacts(await connection.domainXml(domain, { signal }))),
  )
  return facts.flatMap(({ nics }) => nics.flatMap(({ target }) => (target === undefined ? [] : [target])))
}

async function observeFeatures(signal: AbortSignal): Promise<NonNullable<HostObservation['features']>> {
  const [{ veth, bridge, macvtap, tbf, vlan, ip6Tunnel }, nftables, tun, vhostNet] = await Promise.all([
    detectHostCapabilities({ signal }),
    succeeds(['unshare', '--net', 'nft', 'add', 'table', 'inet', 'vmr'], signal),
    exists('/dev/net/tun'),
    exists('/dev/vhost-net'),
  ])
  return { veth, bridge, macvtap, tbf, vlan, ip6Tunnel, nftables, tun, vhostNet }
}

async function observeTools(signal: AbortSignal): Promise<Readonly<Record<string, string | null>>> {
  const entries = await Promise.all(
    Object.entries(tools).map(
      async ([name, { versionArgv }]) => [name, await versionOf(name, versionArgv, signal)] as const,
    ),
  )
  return Object.fromEntries(entries)
}

async function versionOf(name: string, argv: readonly string[], signal: AbortSignal): Promise<string | null> {
  try {
    const { stdout, stderr } = await localShell.run([name, ...argv], { timeoutMs: toolLimitMs, signal })
    const said = `${stdout}\n${stderr}`
    return (
      /\b(?:version |iperf |iputils |iproute2-)?v?(\d+(?:\.\d+)+|20\d{6})\b/.exec(said)?.[1] ?? 'of unknown version'
    )
  } catch (error) {
    throwIfAborted(signal, `asking ${name} for its version`)
    if (isVmrError(error)) return error.code === 'HOST_TOOL_MISSING' ? null : 'does not answer'
    throw error
  }
}

async function observeNetwork(
  links: readonly LinuxLink[],
  uid: number,
  signal: AbortSignal,
): Promise<NetworkObservation> {
  const routes = await Promise.all(
    (['ipv4', 'ipv6'] as const).map(
      async (family) => (await orUndefined(readRoutes(localShell, family, { signal }), signal)) ?? [],
    ),
  )
  const sshAddress = process.env.SSH_CONNECTION?.split(' ')[2]
  const management = new Set([
    ...routes.flat().flatMap(({ dst, dev }) => (dst === 'default' && dev !== undefined ? [dev] : [])),
    ...links.flatMap(({ ifname, addr_info }) =>
      sshAddress !== undefined && addr_info.some(({ local }) => local === sshAddress) ? [ifname] : [],
    ),
  ])
  const nf4 = await flag('/proc/sys/net/bridge/bridge-nf-call-iptables')
  const nf6 = await flag('/proc/sys/net/bridge/bridge-nf-call-ip6tables')
  const reversePathFilter = (await read('/proc/sys/net/ipv4/conf/all/rp_filter'))?.trim()
  return {
    bridges: links.filter(({ linkinfo }) => linkinfo?.info_kind === 'bridge').map((link) => bridgeOf(link, links)),
    bridgeNetfilter: nf4 === undefined || nf6 === undefined ? undefined : { ipv4: nf4, ipv6: nf6 },
    forwarding: {
      ipv4: await flag('/proc/sys/net/ipv4/ip_forward'),
      ipv6: await flag('/proc/sys/net/ipv6/conf/all/forwarding'),
    },
    reversePathFilter: reversePathFilter === undefined ? undefined : Number(reversePathFilter),
    droppingChains: uid === 0 ? await orUndefined(readDroppingChains(signal), signal) : undefined,
    management: [...management],
  }
}

function bridgeOf({ ifname, linkinfo }: LinuxLink, links: readonly LinuxLink[]): BridgeObservation {
  const is = (name: string) => linkinfo?.info_data?.[name] === 1
  return {
    name: ifname,
    stp: is('stp_state'),
    snooping: is('mcast_snooping'),
    querier: is('mcast_querier'),
    ports: links.filter(({ master }) => master === ifname).map((link) => link.ifname),
  }
}

const rulesetSchema = z.object({
  nftables: z.array(
    z.looseObject({
      chain: z
        .looseObject({
          family: z.string(),
          table: z.string(),
          name: z.string(),
          hook: z.string().optional(),
          policy: z.string().optional(),
        })
        .optional(),
    }),
  ),
})

async function readDroppingChains(signal: AbortSignal): Promise<readonly DroppingChain[]> {
  return [
    ...(await readDroppingNftChains(signal)),
    ...(await readDroppingLegacyChains('ip', signal)),
    ...(await readDroppingLegacyChains('ip6', signal)),
  ]
}

/** The older iptables-legacy has tables of its own in the kernel, which nft does not show. Asking for one makes it. */
async function readDroppingLegacyChains(family: 'ip' | 'ip6', signal: AbortSignal): Promise<readonly DroppingChain[]> {
  const tables = (await read(`/proc/net/${family}_tables_names`))?.split('\n') ?? []
  if (!tables.includes('filter')) return []
  const argv = [`${family}tables-legacy-save`, '-t', 'filter']
  const { stdout } = await localShell.run(argv, { timeoutMs: toolLimitMs, signal })
  return /^:FORWARD DROP /m.test(stdout)
    ? [{ family: `${family} (iptables-legacy)`, table: 'filter', chain: 'FORWARD' }]
    : []
}

/** nft shows the rules of iptables-nft too. */
async function readDroppingNftChains(signal: AbortSignal): Promise<readonly DroppingChain[]> {
  const { stdout } = await localShell.run(['nft', '--json', 'list', 'ruleset'], { timeoutMs: toolLimitMs, signal })
  return rulesetSchema
    .parse(JSON.parse(stdout))
    .nftables.flatMap(({ chain }) =>
      chain?.hook === 'forward' && chain.policy === 'drop' && ['ip', 'ip6', 'inet', 'bridge'].includes(chain.family)
        ? [{ family: chain.family, table: chain.table, chain: chain.name }]
        : [],
    )
}

async function observeUplinks(
  testbed: Testbed,
  testbedName: string,
  links: readonly LinuxLink[],
  signal: AbortSignal,
): Promise<readonly UplinkObservation[]> {
  return Promise.all(
    testbed.links.map(async ({ uplink, bridge }): Promise<UplinkObservation> => {
      const link = links.find(({ ifname }) => ifname === uplink)
      const common = { name: uplink, bridge, testbed: testbedName, madeOnDemand: testbed.kind === 'lab' }
      if (link === undefined) return { ...common, link: undefined }
      const master = links.find(({ ifname }) => ifname === link.master)
      const speed = (await read(`/sys/class/net/${uplink}/speed`))?.trim()
      return {
        ...common,
        link: {
          up: link.flags.includes('UP'),
          carrier: link.flags.includes('LOWER_UP'),
          master: link.master,
          masterIsBridge: master?.linkinfo?.info_kind === 'bridge',
          macvtaps: links.flatMap((each) =>
            each.link === uplink && each.linkinfo?.info_kind === 'macvtap' ? [each.ifname] : [],
          ),
          offloads: await orUndefined(readOffloads(uplink, signal), signal),
          speed: speed === undefined ? undefined : Number(speed),
        },
      }
    }),
  )
}

async function readOffloads(name: string, signal: AbortSignal): Promise<readonly string[]> {
  const { stdout } = await localShell.run(['ethtool', '-k', name], { timeoutMs: toolLimitMs, signal })
  return [...stdout.matchAll(/^([\w-]+): on\b/gm)].flatMap(([, feature]) => (feature === undefined ? [] : [feature]))
}

async function observeGovernors(): Promise<readonly string[]> {
  const folder = '/sys/devices/system/cpu'
  const cores = (await readdir(folder).catch(() => [])).filter((name) => /^cpu\d+$/.test(name))
  const governors = await Promise.all(cores.map((core) => read(`${folder}/${core}/cpufreq/scaling_governor`)))
  return governors.flatMap((governor) => (governor === undefined ? [] : [governor.trim()]))
}

async function observeDirectory(what: string, path: string): Promise<DirectoryObservation> {
  const existing = await nearestExisting(path)
  const [writable, free] = await Promise.all([
    access(existing, constants.W_OK).then(
      () => true,
      () => false,
    ),
    statfs(existing).then(
      ({ bavail, bsize }) => bavail * bsize,
      () => undefined,
    ),
  ])
  return { what, path, writable, freeBytes: free }
}

function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}

async function nearestExisting(path: string): Promise<string> {
  return (await exists(path)) || dirname(path) === path ? path : nearestExisting(dirname(path))
}

async function read(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch {
    // What a kernel does not have, or does not show to this user, is unknown.
    return undefined
  }
}

async function flag(path: string): Promise<boolean | undefined> {
  const text = await read(path)
  return text === undefined ? undefined : text.trim() !== '0'
}

async function succeeds(argv: readonly string[], signal: AbortSignal): Promise<boolean> {
  const result = await orUndefined(localShell.run(argv, { timeoutMs: toolLimitMs, signal }), signal)
  return result?.exitCode === 0
}

/** A tool that is missing, hangs or answers nonsense leaves one thing unknown; only the caller's own end ends this. */
async function orUndefined<T>(promise: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  try {
    return await promise
  } catch (error) {
    throwIfAborted(signal, 'looking at this host')
    if (isVmrError(error) || error instanceof SyntaxError || error instanceof z.ZodError) return undefined
    throw error
  }
}
