import type { DomainFacts, NicFacts } from '../domain/domain-facts.ts'
import type { LinkState, MachineState } from '../ipv6/evidence/schema.ts'
import { linkOf } from '../ipv6/evidence/topology.ts'

/** Everything that knows something of a VM's NICs. */
export interface Sources {
  readonly defined: DomainFacts
  /** Undefined while the VM does not run. */
  readonly live: DomainFacts | undefined
  readonly host: MachineState | undefined
  /** Undefined where the guest was not asked. */
  readonly guest: MachineState | undefined
}

/** A view of a NIC, each in its own words. */
export interface NicViews {
  /** By vmr's notes, else by its place. */
  readonly name: string
  readonly mac: string
  readonly defined: string | undefined
  readonly live: string | undefined
  readonly kernel: string | undefined
  readonly guest: string | undefined
  readonly differences: readonly Difference[]
}

export interface Difference {
  /** Where two sources part. */
  readonly between: 'definition and libvirt' | 'libvirt and kernel' | 'kernel and guest'
  readonly words: string
}

/** What of the VM itself runs otherwise than it is defined, a sentence each. Pure. */
export function waitingForNextStart({ defined, live }: Pick<Sources, 'defined' | 'live'>): readonly string[] {
  if (live === undefined) return []
  const mebibytes = (kibibytes: number | undefined) => kibibytes && `${kibibytes / 1024} MiB`
  const settings = [
    ['memory', mebibytes(defined.memoryKiB), mebibytes(live.memoryKiB)],
    ['vCPUs', defined.vcpus, live.vcpus],
    ['machine', defined.machine, live.machine],
    ['firmware', defined.firmware, live.firmware],
    ['kernel', defined.kernel, live.kernel],
    ['initrd', defined.initrd, live.initrd],
    ['kernel command line', defined.cmdline, live.cmdline],
  ] as const
  return settings.flatMap(([what, later, now]) =>
    later === now ? [] : [`${what}: runs with ${now ?? 'none'}; ${later ?? 'none'} from the next start`],
  )
}

/** What each source says of each NIC, and where they part. Pure. */
export function compareViews(sources: Sources): readonly NicViews[] {
  const { defined, live } = sources
  const macs = [
    ...new Set([...defined.nics, ...(live?.nics ?? [])].flatMap(({ mac }) => (mac === undefined ? [] : [mac]))),
  ]
  return macs
    .map((mac) => viewsOf(mac, sources))
    .toSorted((left, right) => left.name.localeCompare(right.name, 'en', { numeric: true }))
}

function viewsOf(mac: string, { defined, live, host, guest }: Sources): NicViews {
  const byMac = (nic: NicFacts) => nic.mac === mac
  const [was, is] = [defined.nics.find(byMac), live?.nics.find(byMac)]
  const note = defined.vmr?.nics.find((nic) => nic.mac === mac)
  const name = `eth${note?.position ?? was?.index ?? is?.index ?? 0}`
  const device = is?.target === undefined || host === undefined ? undefined : linkOf(host, is.target)
  const inGuest = guest?.links.find((link) => link.mac === mac && link.kind === undefined)
  return {
    name,
    mac,
    defined: was && nicWords(was),
    live: is && nicWords(is),
    kernel: device && deviceWords(device),
    guest: inGuest && guestWords(inGuest),
    differences: [
      ...(live === undefined ? [] : definitionAgainstLive(was, is)),
      ...(is === undefined || host === undefined ? [] : liveAgainstKernel(is, note?.uplink, device, host)),
      ...(guest === undefined || is === undefined
        ? []
        : kernelAgainstGuest(name, is, device, inGuest, { host, guest })),
    ],
  }
}

const part = (between: Difference['between'], words: string): Difference => ({ between, words })

/** "macvtap (private) on enp1s0, trusting" */
function nicWords({ type, source, macvtapMode, openVSwitch, trustGuestRxFilters, link, mtu }: NicFacts): string {
  const kind =
    type === 'direct' ? `macvtap (${macvtapMode ?? 'of an unknown mode'})` : openVSwitch ? 'Open vSwitch' : type
  return [
    `${kind}${source === undefined ? '' : ` on ${source}`}`,
    ...(trustGuestRxFilters ? ['trusting'] : []),
    ...(mtu === undefined ? [] : [`MTU ${mtu}`]),
    ...(link === 'down' ? ['link down'] : []),
  ].join(', ')
}

function deviceWords({
  name,
  kind,
  master,
  lower,
  macvtapMode,
  mtu,
  promiscuity,
  allMulticast,
  flags,
}: LinkState): string {
  const holder = master ?? lower
  return [
    `${name}: ${kind ?? 'a link'}${macvtapMode === undefined ? '' : ` (${macvtapMode})`}${holder === undefined ? '' : ` on ${holder}`}`,
    `MTU ${mtu}`,
    ...(flags.includes('UP') ? [] : ['down']),
    ...(promiscuity > 0 ? ['promiscuous'] : []),
    ...(allMulticast > 0 ? ['all multicast'] : []),
  ].join(', ')
}

function guestWords({ name, mtu, addresses, flags, master }: LinkState): string {
  const own = addresses
    .filter(({ scope }) => scope === 'global')
    .map(({ address, prefixLength }) => `${address}/${prefixLength}`)
  return [
    `${name}${master === undefined ? '' : ` in ${master}`}`,
    `MTU ${mtu}`,
    ...(flags.includes('UP') ? [] : ['down']),
    own.length === 0 ? 'no address' : own.join(' '),
  ].join(', ')
}

function definitionAgainstLive(was: NicFacts | undefined, is: NicFacts | undefined): readonly Difference[] {
  const between = 'definition and libvirt'
  if (was === undefined) return [part(between, 'is plugged in, and not in the definition: gone after the next start')]
  if (is === undefined) return [part(between, 'is in the definition, and not plugged in: there from the next start')]
  const [before, now] = [nicWords(was), nicWords(is)]
  return before === now ? [] : [part(between, `runs as ${now}; as ${before} from the next start`)]
}

/** libvirt's `type` by the kind of device that the kernel has for it; others have devices of other kinds. */
const deviceKinds: Readonly<Record<string, string>> = {
  direct: 'macvtap',
  bridge: 'tun',
  network: 'tun',
  ethernet: 'tun',
}

function liveAgainstKernel(
  { target, type, source, macvtapMode, openVSwitch, mtu }: NicFacts,
  uplink: string | undefined,
  device: LinkState | undefined,
  host: MachineState,
): readonly Difference[] {
  const between = 'libvirt and kernel'
  if (target === undefined) return []
  if (device === undefined) return [part(between, `libvirt says that ${target} is its device, and there is none`)]
  const kind = deviceKinds[type]
  const below = type === 'direct' ? device.lower : device.master
  const uplinkNow = uplink === undefined ? undefined : linkOf(host, uplink)
  return [
    ...(kind === undefined || device.kind === kind
      ? []
      : [part(between, `${target} is no ${kind} but ${device.kind ?? 'something else'}`)]),
    ...((type === 'direct' || type === 'bridge') && !openVSwitch && below !== source
      ? [
          part(
            between,
            `${target} is on ${below ?? 'nothing'}, not on ${source ?? 'what libvirt says'}: somebody moved it`,
          ),
        ]
      : []),
    ...(type === 'direct' && device.macvtapMode !== undefined && macvtapMode !== device.macvtapMode
      ? [part(between, `${target} is in mode ${device.macvtapMode}, not ${macvtapMode}`)]
      : []),
    ...(mtu !== undefined && device.mtu !== mtu
      ? [part(between, `${target} has MTU ${device.mtu}, not ${mtu}: somebody changed it`)]
      : []),
    ...(device.flags.includes('UP') ? [] : [part(between, `${target} is down: nothing passes`)]),
    ...(uplink !== undefined && uplinkNow === undefined ? [part(between, `its uplink ${uplink} is not there`)] : []),
    ...(type === 'bridge' && !openVSwitch && uplinkNow !== undefined && uplinkNow.master !== source
      ? [
          part(
            between,
            `its uplink ${uplink} is in ${uplinkNow.master ?? 'no bridge'}, not in ${source}: frames end at the bridge`,
          ),
        ]
      : []),
    ...(uplinkNow !== undefined && !uplinkNow.flags.includes('UP')
      ? [part(between, `its uplink ${uplink} is down`)]
      : []),
  ]
}

function kernelAgainstGuest(
  name: string,
  live: NicFacts,
  device: LinkState | undefined,
  inGuest: LinkState | undefined,
  { host, guest }: { readonly host: MachineState | undefined; readonly guest: MachineState },
): readonly Difference[] {
  const between = 'kernel and guest'
  if (inGuest === undefined) return [part(between, `the guest has no interface with MAC address ${live.mac}`)]
  return [
    ...(inGuest.name === name ? [] : [part(between, `the guest calls it ${inGuest.name}, vmr ${name}`)]),
    ...(device !== undefined && inGuest.mtu > device.mtu
      ? [
          part(
            between,
            `the guest sends frames of ${inGuest.mtu} bytes, and ${device.name} takes ${device.mtu}: larger ones are lost`,
          ),
        ]
      : []),
    ...duplicates(inGuest).map((words) => part(between, words)),
    ...(device === undefined || host === undefined ? [] : filterWords(live, device, inGuest, { host, guest })).map(
      (words) => part(between, words),
    ),
  ]
}

function duplicates({ addresses }: LinkState): readonly string[] {
  return addresses.filter(({ duplicate }) => duplicate).map(({ address }) => `${address} is used by somebody else too`)
}

/** What a macvtap's filter keeps from the guest: it passes the groups on its list, unless it passes all. */
function filterWords(
  { type, trustGuestRxFilters }: NicFacts,
  device: LinkState,
  inGuest: LinkState,
  { host, guest }: { readonly host: MachineState; readonly guest: MachineState },
): readonly string[] {
  if (type !== 'direct' || device.allMulticast > 0 || device.promiscuity > 0) return []
  const passes = new Set(host.groups[device.name]?.link ?? [])
  const wanted = guest.groups[inGuest.name]?.link ?? []
  const missing = wanted.filter((group) => !passes.has(group))
  if (missing.length === 0) return []
  const which = `${missing.slice(0, 3).join(', ')}${missing.length > 3 ? ` and ${missing.length - 3} more` : ''}`
  return [
    trustGuestRxFilters
      ? `libvirt trusts the guest’s filters, and ${device.name} still does not let in ${which}`
      : `the guest joined ${which}, which ${device.name} does not let in: IPv6 towards the guest is lost (\`vmr nic explain macvtap\`)`,
  ]
}

/** True where every source that was asked says the same. */
export function agree(views: readonly NicViews[]): boolean {
  return views.every(({ differences }) => differences.length === 0)
}
