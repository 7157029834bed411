import { z } from 'zod'

/** Raised when what is written changes so that an older reader would misread it. */
const resultsFormat = 1

const text = z.string().max(100_000)
const short = z.string().max(1000)
const instant = z.iso.datetime()
const familySchema = z.enum(['ipv4', 'ipv6'])
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

const sampleSchema = z.object({
  tool: z.enum(['iperf3', 'iperf2']),
  bitsPerSecond: z.number().nonnegative(),
  seconds: z.number().positive(),
  retransmits: count.optional(),
  lossShare: z.number().min(0).max(1).optional(),
  jitterMs: z.number().nonnegative().optional(),
  /** Path of what the tool printed, below the run's folder. */
  raw: short,
})

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

const throughputSchema = z.discriminatedUnion('status', [
  z.object({
    status: z.literal('measured'),
    direction: short,
    samples: z.array(sampleSchema).min(1),
    /** In bits per second. */
    summary: summarySchema,
    wireLimitBitsPerSecond: z.number().positive(),
    shareOfWireLimit: ratio,
  }),
  /** There is no figure for a path that carries nothing: not zero, none. */
  z.object({ status: z.literal('unreachable'), direction: short }),
])
export type ThroughputRecord = z.infer<typeof throughputSchema>

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
])
export type Verdict = z.infer<typeof verdictSchema>

/** One line of cells.ndjson. */
export const cellResultSchema = z.object({
  id: short,
  case: short,
  dut: z.enum(['vm', 'host']),
  mode: short.optional(),
  family: familySchema,
  startedAt: instant,
  seconds: z.number().nonnegative(),
  probesBefore: z.array(reachabilitySchema),
  throughput: z.array(throughputSchema),
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

/** manifest.json: what is needed to understand the cells, and to run them again. */
export const manifestSchema = z.object({
  format: z.literal(resultsFormat),
  run: short,
  vmr: short,
  startedAt: instant,
  /** Set when every cell was run. */
  endedAt: instant.optional(),
  matrix: z.object({ name: short, definition: json }),
  /** Of everything random in this run. */
  seed: z.number().int().nonnegative(),
  testbed: short,
  /** "lab router (not VyOS)" */
  guest: z.object({ name: short, label: short, version: short.optional() }).optional(),
  accelerator: z.enum(['kvm', 'tcg']).optional(),
  host: hostFactsSchema,
  libvirt: z.object({ version: short, uri: short }).optional(),
  qemu: short.optional(),
  /** Setup ("nic/macvtap/vm") -> XML of the domain that ran. */
  domainXml: z.record(z.string().max(200), text).default({}),
  /** Machine -> interface -> what `ethtool -k` says is on. */
  offloads: z.record(z.string().max(200), z.record(z.string().max(64), z.array(short))).default({}),
  /** Machine -> NetworkConfig, by set-up. */
  configs: z.record(z.string().max(200), json).default({}),
  /** Identifiers of the cells in the order planned. */
  planned: z.array(short),
})
export type Manifest = z.infer<typeof manifestSchema>

/** A whole run as it is read back: the manifest, and every cell so far. */
export interface Run {
  readonly manifest: Manifest
  readonly cells: readonly CellResult[]
}
