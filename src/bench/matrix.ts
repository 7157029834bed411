import { z } from 'zod'
import { benchCases } from './cases/index.ts'
import { throughputTools } from './iperf/throughput.ts'

const name = z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'must be a name of lower-case letters, digits and hyphens')
const familySchema = z.enum(['ipv4', 'ipv6'])

const caseNameSchema = z
  .string()
  .refine((text) => Object.hasOwn(benchCases, text), `must be one of ${Object.keys(benchCases).join(', ')}`)

const unique = <Item>(items: readonly Item[]) => new Set(items).size === items.length

const familiesSchema = z.array(familySchema).min(1).refine(unique, 'names a family twice').default(['ipv4', 'ipv6'])

const formsSchema = z
  .array(z.enum(['static', 'eui64', 'added-later']))
  .min(1)
  .refine(unique, 'names an address form twice')
  .default(['static'])

export const ways = ['there', 'back', 'both'] as const
const waysSchema = z.array(z.enum(ways)).min(1).refine(unique, 'names a way twice')

const groupFields = {
  case: caseNameSchema,
  families: familiesSchema,
  /** Of the DUT's IPv6 addresses; IPv4 addresses are always set by hand. */
  forms: formsSchema,
  /** Which ways throughput is measured, where it is not what the matrix says for all. */
  ways: waysSchema.optional(),
  /** Of the talk that the matrix repeats: where this figure is shown. */
  slide: z.string().trim().min(1).max(100).optional(),
}

/** One group of cells: every mode with every family and address form. The host has no modes: its NIC is bare. */
const cellGroupSchema = z.discriminatedUnion('dut', [
  z.strictObject({
    ...groupFields,
    dut: z.literal('vm'),
    modes: z.array(name).min(1).refine(unique, 'names a mode twice'),
  }),
  z.strictObject({ ...groupFields, dut: z.literal('host') }),
])

/** How throughput is measured; the talk's runs took 60 s. */
const throughputSettingsSchema = z
  .strictObject({
    tool: z.enum(throughputTools).default('iperf3'),
    protocol: z.enum(['tcp', 'udp']).default('tcp'),
    /** UDP: what is offered, in Mbit/s of payload; default: what the wire carries. */
    udpMbits: z.number().positive().max(1e6).optional(),
    /** Whole: both tools cut the rest off. */
    seconds: z.number().int().min(1).max(86_400).default(5),
    repetitions: z.number().int().min(1).max(1000).default(3),
    /** More repetitions, up to this many, until the interval of the median is as narrow as `targetInterval` says. */
    maxRepetitions: z.number().int().min(1).max(1000).optional(),
    /** Width of the 95 % interval of the median, as a share of the median. */
    targetInterval: z.number().positive().max(1).default(0.05),
    /** Not measured at the start of each run; iperf 2 cannot. */
    omitSeconds: z.number().int().min(0).max(60).default(0),
    streams: z.number().int().min(1).max(64).default(1),
    /** `there`: the case's first direction; `back`: the other; `both`: both at once. */
    ways: waysSchema.default(['there']),
    /** Pings between the same ends while the load runs. */
    latency: z.boolean().default(true),
  })
  .refine(({ repetitions, maxRepetitions }) => (maxRepetitions ?? repetitions) >= repetitions, {
    path: ['maxRepetitions'],
    message: 'must not be below repetitions',
  })
export type ThroughputSettings = z.infer<typeof throughputSettingsSchema>

/** A search for the highest UDP rate without loss, after RFC 2544 section 26.1, for the cases that forward. */
export const zeroLossSettingsSchema = z.strictObject({
  /** Ethernet frames with header and checksum; RFC 2544 section 9.1 names these for Ethernet. */
  frameBytes: z.array(z.number().int().min(64).max(9018)).min(1).max(20).default([128, 512, 1518]),
  /** Of each trial; RFC 2544 asks for 60. */
  seconds: z.number().int().min(1).max(600).default(2),
  /** The search ends when the rate is known this well, as a share of the wire limit. */
  resolution: z.number().min(0.001).max(0.5).default(0.05),
})
export type ZeroLossSettings = z.infer<typeof zeroLossSettingsSchema>

/** What is chosen of a matrix; what is left out chooses all. */
export const cellSelectionSchema = z.strictObject({
  cases: z.array(caseNameSchema).optional(),
  modes: z.array(name).optional(),
  duts: z.array(z.enum(['vm', 'host'])).optional(),
  families: z.array(familySchema).optional(),
  ways: z.array(z.enum(ways)).optional(),
})
export type CellSelection = z.infer<typeof cellSelectionSchema>

/** A file below matrices/: which cells run, and how. */
export const matrixSchema = z.strictObject({
  title: z.string().trim().min(1).max(200),
  cells: z.array(cellGroupSchema).min(1),
  /** `false`: reachability only. */
  throughput: z.union([throughputSettingsSchema, z.literal(false)]).prefault({}),
  zeroLoss: zeroLossSettingsSchema.optional(),
  /**
   * Host and VM in the order A B B A: what both are measured in is visited twice, the second time in the reverse order,
   * so that a drift of the machine is the same for both.
   */
  interleave: z.boolean().default(true),
})
export type Matrix = z.infer<typeof matrixSchema>
