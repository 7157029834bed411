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

/** One group of cells: every mode with every family. The host has no modes: its NIC is bare. */
const cellGroupSchema = z.discriminatedUnion('dut', [
  z.strictObject({
    case: caseNameSchema,
    dut: z.literal('vm'),
    modes: z.array(name).min(1).refine(unique, 'names a mode twice'),
    families: familiesSchema,
  }),
  z.strictObject({ case: caseNameSchema, dut: z.literal('host'), families: familiesSchema }),
])

/** How throughput is measured; the talk's runs took 60 s. */
const throughputSettingsSchema = z.strictObject({
  tool: z.enum(throughputTools).default('iperf3'),
  /** Whole: both tools cut the rest off. */
  seconds: z.number().int().min(1).max(86_400).default(5),
  repetitions: z.number().int().min(1).max(1000).default(3),
  /** Not measured at the start of each run; iperf 2 cannot. */
  omitSeconds: z.number().int().min(0).max(60).default(0),
  streams: z.number().int().min(1).max(64).default(1),
  /** The case's first direction, towards the DUT, or each in turn. */
  directions: z.enum(['first', 'both']).default('first'),
})
export type ThroughputSettings = z.infer<typeof throughputSettingsSchema>

/** A file below matrices/: which cells run, and how. */
export const matrixSchema = z.strictObject({
  title: z.string().trim().min(1).max(200),
  cells: z.array(cellGroupSchema).min(1),
  /** `false`: reachability only. */
  throughput: z.union([throughputSettingsSchema, z.literal(false)]).prefault({}),
})
export type Matrix = z.infer<typeof matrixSchema>
