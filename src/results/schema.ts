import { z } from 'zod'

/*
 * For who reads results (reports, comparisons, continuous integration):
 *
 * - A run is `manifest.json`, `cells.ndjson` and `raw/`. A cell is one case x DUT x mode x family x address form; its
 *   `id` is the same in every run, so it is what runs are compared by.
 * - With host and VM interleaved (A B B A) a cell is visited twice, and each visit appends a line that holds everything
 *   measured so far: of the lines of one id the last counts, and `complete` says whether a visit is still to come.
 * - A cell has up to three ways of traffic: `there` (the case's first direction), `back`, and `both` at once, which
 *   gives one record for each direction. A way in which nothing arrives has no figure: `unreachable`, not zero.
 * - A verdict is about reachability, never about speed. `impossible` is a cell that this testbed cannot run (the host's
 *   kernel has no VLANs, say), with the reason; `error` is one that should have run.
 * - Rates are payload bits per second, as are wire limits. Shares and ratios are fractions: 1 is 100 %.
 * - Whatever is optional is left out where it was not measured, not asked for, or not told by the machine.
 */

/** Raised when what is written changes so that an older reader would misread it. */
export const resultsFormat = 2

const text = z.string().max(100_000)
const short = z.string().max(1000)
const instant = z.iso.datetime()
const familySchema = z.enum(['ipv4', 'ipv6'])
const rate = z.number().nonnegative()
const share = z.number().min(0).max(1)
const signed = z.number().int()
const ratio = z.number().nonnegative()
const count = z.number().int().nonnegative()

const reachabilitySchema = z.object({
  family: familySchema,
  /** "pc1>dut" */
  direction: short,
  from: short,
  to: short,
  /** Of `to`: the one that was probed. */
  address: short,
  reachable: z.boolean(),
  sent: count,
  received: count,
  rttMs: z.number().nonnegative().optional(),
  neighbourStates: z.object({ from: short.optional(), to: short.optional() }),
  failure: short.optional(),
})
export type ReachabilityRecord = z.infer<typeof reachabilitySchema>

/** Use of one processor core of a machine while a sample was measured; the shares and what was idle make 1. */
const coreUseSchema = z.object({
  core: count,
  user: share,
  system: share,
  softirq: share,
  irq: share,
  /** Time in which a hypervisor gave the core to somebody else. */
  steal: share,
})
export type CoreUse = z.infer<typeof coreUseSchema>

const cpuSchema = z.object({
  /** "host", or the role of a VM: "dut", "remote". Namespaces are the host. */
  machine: short,
  cores: z.array(coreUseSchema),
  /** Threads of QEMU and vhost that used the processor, with the share of one core that each took. */
  threads: z.array(z.object({ vm: short, name: short, share: ratio })).optional(),
})
export type CpuRecord = z.infer<typeof cpuSchema>

/** What a counter of a machine grew by while a sample was measured; those that stayed are left out. */
const counterSchema = z.object({
  /** Role, or "host". */
  machine: short,
  /** The interface of an `ip -s link` or `ethtool -S` counter; none for the protocol counters of nstat. */
  interface: short.optional(),
  source: z.enum(['nstat', 'link', 'ethtool']),
  /** "TcpRetransSegs", "Ip6FragCreates", "rx_dropped". */
  name: short,
  delta: signed,
})
export type CounterRecord = z.infer<typeof counterSchema>

/** Round trips between the same ends while the load ran. */
const latencySchema = z.object({
  sent: count,
  received: count,
  minMs: z.number().nonnegative().optional(),
  medianMs: z.number().nonnegative().optional(),
  p99Ms: z.number().nonnegative().optional(),
})
export type LatencyRecord = z.infer<typeof latencySchema>

const sampleSchema = z.object({
  tool: z.enum(['iperf3', 'iperf2']),
  startedAt: instant.optional(),
  /** Of the run's visits to this cell, the one that measured this: 1 or 2. */
  visit: z.number().int().positive().default(1),
  bitsPerSecond: z.number().nonnegative(),
  seconds: z.number().positive(),
  retransmits: count.optional(),
  lossShare: z.number().min(0).max(1).optional(),
  jitterMs: z.number().nonnegative().optional(),
  latency: latencySchema.optional(),
  cpu: z.array(cpuSchema).optional(),
  counters: z.array(counterSchema).optional(),
  /** Path of what the tool printed, below the run's folder. */
  raw: short,
})
export type SampleRecord = z.infer<typeof sampleSchema>

const summarySchema = z.object({
  count: z.number().int().positive(),
  median: ratio,
  min: ratio,
  max: ratio,
  firstQuartile: ratio,
  thirdQuartile: ratio,
  /** 95 % confidence interval of the median. */
  interval: z.object({ low: ratio, high: ratio }).optional(),
})

/** Which end sends: the case's first direction, the other one, or both at once. */
const waySchema = z.enum(['there', 'back', 'both'])
export type Way = z.infer<typeof waySchema>

const throughputSchema = z.discriminatedUnion('status', [
  z.object({
    status: z.literal('measured'),
    way: waySchema,
    /** "pc1>dut": for the way `both` there is a record for each. */
    direction: short,
    protocol: z.enum(['tcp', 'udp']).default('tcp'),
    streams: z.number().int().positive().default(1),
    /** UDP: what all streams together offered. */
    offeredBitsPerSecond: rate.optional(),
    samples: z.array(sampleSchema).min(1),
    /** In bits per second. */
    summary: summarySchema,
    wireLimitBitsPerSecond: z.number().positive(),
    shareOfWireLimit: ratio,
  }),
  /** There is no figure for a path that carries nothing: not zero, none. */
  z.object({ status: z.literal('unreachable'), way: waySchema, direction: short }),
])
export type ThroughputRecord = z.infer<typeof throughputSchema>

/** The highest rate of UDP at which nothing was lost, by frame size (after RFC 2544 section 26.1). */
const zeroLossSchema = z.object({
  direction: short,
  /** Ethernet frame with its header and checksum. */
  frameBytes: z.number().int().positive(),
  /** Undefined when even the lowest rate lost something. Payload. */
  bitsPerSecond: rate.optional(),
  framesPerSecond: rate.optional(),
  wireLimitBitsPerSecond: z.number().positive(),
  /** In the order tried. */
  trials: z.array(z.object({ offeredBitsPerSecond: rate, lossShare: share, seconds: z.number().positive() })),
})
export type ZeroLossRecord = z.infer<typeof zeroLossSchema>

const solicitationSchema = z.object({
  direction: short,
  protocol: z.enum(['neighbour solicitation', 'ARP request']),
  target: short,
  /** In the order of the way; how many of them each hop saw. */
  hops: z.array(z.object({ hop: short, count })),
  lastSeen: short.optional(),
  firstMissing: short.optional(),
  /** "last seen at host uplink vmr-up1, not at macvtap5" */
  line: short,
})
export type SolicitationRecord = z.infer<typeof solicitationSchema>

const errorSchema = z.object({ code: short, message: text, hint: text.optional() })

const verdictSchema = z.discriminatedUnion('verdict', [
  z.object({ verdict: z.literal('healthy') }),
  z.object({
    verdict: z.literal('broken'),
    family: familySchema,
    directions: z.array(short).min(1),
    /** Whether it was so before and after the load, or came or went with it. */
    when: z.enum(['always', 'before load only', 'after load only']),
  }),
  z.object({ verdict: z.literal('error'), error: errorSchema }),
  /** This testbed cannot run the cell, and nobody is to blame. */
  z.object({ verdict: z.literal('impossible'), reason: text }),
])
export type Verdict = z.infer<typeof verdictSchema>

/**
 * The address of the DUT that was measured: set by hand with an interface identifier of its own, one whose identifier
 * follows from the MAC (RFC 4291 appendix A), or one that the DUT was given while it ran.
 */
const addressFormSchema = z.enum(['static', 'eui64', 'added-later'])
export type AddressForm = z.infer<typeof addressFormSchema>

/** What plays a role in a cell: this host's own kernel, a network namespace of it, a VM. */
const actorSchema = z.object({
  kind: z.enum(['host', 'namespace', 'vm', 'remote']),
  /** Why it is that, where there was a choice: "this host's kernel has no 802.1Q". */
  reason: short.optional(),
})
export type Actor = z.infer<typeof actorSchema>

/** State of the host at the start of a cell, as far as it bears on speed. */
const conditionsSchema = z.object({
  loadAverage: z.number().nonnegative().optional(),
  /** Of each core, in MHz, where the kernel tells. */
  coreMhz: z.array(rate).optional(),
  /** Of the hottest zone. */
  celsius: z.number().optional(),
})
export type Conditions = z.infer<typeof conditionsSchema>

const seconds = z.number().nonnegative()

/** Where the seconds of a cell went that no load was applied for. */
const cellOverheadSchema = z.object({
  /** Reachability, and where what is lost was last seen. */
  probing: seconds.default(0),
  /** Servers, counters, and starting and ending each measurement. */
  measuring: seconds.default(0),
  /** What a diagnosis needs of a cell that is broken. */
  evidence: seconds.default(0),
})
export type CellOverhead = z.infer<typeof cellOverheadSchema>

/** One line of cells.ndjson. */
export const cellResultSchema = z.object({
  /** `nic/macvtap/vm/ipv6`, `forward/host/ipv4`, `nic/macvtap/vm/ipv6/eui64`. */
  id: short,
  case: short,
  dut: z.enum(['vm', 'host']),
  mode: short.optional(),
  family: familySchema,
  form: addressFormSchema.default('static'),
  /** Of the talk that this matrix repeats: where its figure is shown. */
  slide: short.optional(),
  startedAt: instant,
  /** Of all visits together, set-up not counted. */
  seconds: z.number().nonnegative(),
  /** Of those, what load was applied for: the rest is overhead. */
  loadSeconds: z.number().nonnegative().default(0),
  overhead: cellOverheadSchema.prefault({}),
  complete: z.boolean().default(true),
  /** Who played which role. */
  actors: z.record(z.string().max(20), actorSchema).default({}),
  conditions: conditionsSchema.optional(),
  probesBefore: z.array(reachabilitySchema),
  throughput: z.array(throughputSchema),
  zeroLoss: z.array(zeroLossSchema).optional(),
  probesAfter: z.array(reachabilitySchema),
  solicitations: z.array(solicitationSchema),
  verdict: verdictSchema,
})
export type CellResult = z.infer<typeof cellResultSchema>

const json: z.ZodType<unknown> = z.unknown()

export const hostFactsSchema = z.object({
  hostName: short,
  kernel: short,
  architecture: short,
  distribution: short,
  cpuModel: short.optional(),
  cpus: z.number().int().positive(),
  memoryBytes: z.number().positive(),
  governor: short.optional(),
  tcpTimestamps: z.boolean(),
  tcpCongestionControl: short.optional(),
  /** Program -> version, of those that are there. */
  versions: z.record(z.string().max(100), short),
})
export type HostFacts = z.infer<typeof hostFactsSchema>

/** Of one network interface, as ethtool and ip tell it. */
const interfaceFactsSchema = z.object({
  mac: short.optional(),
  mtu: z.number().int().positive().optional(),
  driver: short.optional(),
  /** Features of `ethtool -k` that are on. */
  offloads: z.array(short).optional(),
  ring: z.object({ rx: count, tx: count }).optional(),
  queueingDiscipline: short.optional(),
})
export type InterfaceFacts = z.infer<typeof interfaceFactsSchema>

/** What the cells have in common that ran without a change of case, DUT or mode in between. */
const setupFactsSchema = z.object({
  /** Of the VM that was the DUT, as libvirt ran it. */
  domainXml: text.optional(),
  /** Role -> NetworkConfig. */
  configs: z.record(z.string().max(20), json),
  /** Role -> interface -> facts. */
  interfaces: z.record(z.string().max(20), z.record(z.string().max(64), interfaceFactsSchema)),
})
export type SetupFacts = z.infer<typeof setupFactsSchema>

/** Seconds that each kind of step took in this run: the planner's estimates come from earlier runs' medians. */
const costsSchema = z.object({
  boot: z.array(rate).max(10_000).default([]),
  /** Bringing a running VM into another mode. */
  switchMode: z.array(rate).max(10_000).default([]),
  /** Taking one case's configuration back and making the next. */
  configure: z.array(rate).max(10_000).default([]),
  /** Giving the uplinks to the host as the DUT. */
  enterHost: z.array(rate).max(10_000).default([]),
  /** One cell without the seconds of load. */
  cell: z.array(rate).max(10_000).default([]),
})
export type Costs = z.infer<typeof costsSchema>

/** manifest.json: what is needed to understand the cells, and to run those that are missing. */
export const manifestSchema = z.object({
  format: z.literal(resultsFormat),
  run: short,
  vmr: short,
  startedAt: instant,
  /** Set when every cell was run. */
  endedAt: instant.optional(),
  /** Each start of the run after its first: after what ended it, a resume went on. */
  resumedAt: z.array(instant).default([]),
  /** The definition as it was run, command-line options applied. */
  matrix: z.object({ name: short, definition: json }),
  /** What was chosen of the matrix: it and the seed give the same plan again. */
  selection: json,
  /** Of everything random in this run. */
  seed: z.number().int().nonnegative(),
  testbed: short,
  /** "lab router (not VyOS)" */
  guest: z.object({ name: short, label: short, version: short.optional() }).optional(),
  accelerator: z.enum(['kvm', 'tcg']).optional(),
  host: hostFactsSchema,
  /** Role -> facts of VMs: the guest's kernel, TCP settings and tools. */
  guests: z.record(z.string().max(20), hostFactsSchema).default({}),
  /** Whether this host's kernel can make each: "vlan", "ip6Tunnel". */
  capabilities: z.record(z.string().max(40), z.boolean()).default({}),
  libvirt: z.object({ version: short, uri: short }).optional(),
  qemu: short.optional(),
  /** By set-up: "nic/macvtap/vm". */
  setups: z.record(z.string().max(200), setupFactsSchema).default({}),
  costs: costsSchema.prefault({}),
  /** Identifiers of the cells in the order planned. */
  planned: z.array(short),
  /** Another machine's run that was brought here, and where from. */
  importedFrom: short.optional(),
})
export type Manifest = z.infer<typeof manifestSchema>

/** A whole run as it is read back: the manifest, and every cell so far. */
export interface Run {
  readonly manifest: Manifest
  readonly cells: readonly CellResult[]
}
