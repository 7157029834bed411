import { z } from 'zod'
import { stressNames } from '../../ipv6/endurance/stress.ts'
import { evidenceSchema } from '../../ipv6/evidence/schema.ts'
import { runReportSchema } from '../../report/run-report.ts'
import { cellResultSchema, manifestSchema } from '../../results/schema.ts'

const list = <Item extends z.ZodType>(item: Item) => z.array(item).readonly()
const words = list(z.string())
const count = z.number().int().nonnegative()
const verdict = z.string()

const historyEntry = z.object({
  run: z.string(),
  startedAt: z.string(),
  versions: z.record(z.string(), z.string().optional()),
  verdict,
  median: z.number().optional().describe('of the first way measured, in bits per second'),
})

const onMachine = { machine: z.string() }
const fix = z.object({
  what: z.string(),
  price: z.string().describe('what it opens, for whom'),
  commands: list(z.object({ on: z.string(), words: z.string() })),
  change: z
    .union([
      z.object({ ...onMachine, kind: z.literal('sysctl'), key: z.string(), before: z.string(), value: z.string() }),
      z.object({
        ...onMachine,
        kind: z.literal('link'),
        link: z.string(),
        attribute: z.string(),
        before: z.string(),
        value: z.string(),
      }),
    ])
    .optional()
    .describe('what --prove and --fix do'),
  switchTo: z
    .object({ nic: z.string(), mode: z.string() })
    .optional()
    .describe('what --fix does for a VM that vmr made, instead of `change`'),
})

const namedFault = z.object({
  id: z.string(),
  title: z.string(),
  hop: z.string(),
  cause: z.string(),
  facts: words,
  fixes: list(fix).describe('the safest first'),
  paths: words,
  verify: z.string(),
})

const brokenPath = z.object({ path: z.string(), problem: z.string(), line: z.string(), causes: words })

const pathVerdict = z.enum(['works', 'partly', 'lost', 'gone'])

const stressResult = z.object({
  stress: z.enum(stressNames),
  what: z.string(),
  outcome: z.enum(['survived', 'lost', 'failed', 'not run']),
  why: z.string().optional().describe('of what failed or was not run'),
  shortened: list(
    z.object({
      on: z.string(),
      setting: z.string(),
      before: z.number().describe('in the unit of the setting'),
      to: z.number(),
      restored: z.boolean().describe('read again afterwards'),
    }),
  ),
  facts: words,
  verdicts: list(
    z.object({
      family: z.enum(['ipv4', 'ipv6']),
      direction: z.string(),
      before: pathVerdict,
      after: pathVerdict,
      line: z.string(),
    }),
  ),
  recovered: z.boolean().optional().describe('whether all is as before once everything was taken back'),
  seconds: z.number(),
  named: list(namedFault),
  broken: list(brokenPath),
  evidence: evidenceSchema.optional().describe('of the state in which something was lost'),
})

const finishedRun = runReportSchema.extend({ regressions: words.optional() })

/** What the commands that measure and diagnose print with --json, by the command's words. */
export const benchOutputs = {
  'bench run': finishedRun,
  'bench resume': finishedRun,
  'bench plan': z.object({
    title: z.string(),
    expectedSeconds: z.number(),
    cells: words,
    visits: list(
      z.object({
        cell: z.string(),
        visit: count,
        setup: z.string(),
        ways: words,
        repetitions: count,
        loadSeconds: z.number(),
        slide: z.string().optional(),
      }),
    ),
    impossible: list(z.object({ cell: z.string(), reason: z.string() })),
  }),
  'bench list': z.object({
    runs: list(
      z.object({
        run: z.string(),
        folder: z.string(),
        matrix: z.string(),
        startedAt: z.string(),
        state: z.enum(['complete', 'ended early']),
        healthy: count,
        broken: count,
        error: count,
        impossible: count,
        missing: count,
      }),
    ),
    unreadable: words,
  }),
  'bench show': runReportSchema,
  'bench compare': z.object({
    before: z.string(),
    after: z.string(),
    cells: list(
      z.object({
        id: z.string(),
        before: verdict,
        after: verdict,
        throughput: list(
          z.object({
            way: z.string(),
            direction: z.string(),
            before: z.number().optional().describe('median, in bits per second'),
            after: z.number().optional(),
            ratio: z.number().optional(),
            interval: z.object({ low: z.number(), high: z.number() }).optional().describe('95 %, of the ratio'),
            change: z.string(),
          }),
        ),
        regression: z.boolean(),
      }),
    ),
    onlyBefore: words,
    onlyAfter: words,
  }),
  'bench history': z.object({
    cells: list(
      z.object({
        id: z.string(),
        entries: list(historyEntry).describe('oldest first'),
        since: historyEntry.describe('since when it is as it is now'),
        changedWith: words,
      }),
    ),
    unreadable: words,
  }),
  'bench import': z.object({ folder: z.string() }),
  report: runReportSchema,
  diagnose: z.object({
    vm: z.string(),
    verdict: z.enum(['healthy', 'named', 'partly', 'unknown', 'unprobed']),
    named: list(
      namedFault.extend({
        proof: z
          .object({
            broken: z.boolean(),
            healed: z.boolean(),
            brokenAgain: z.boolean(),
            change: z.string(),
            seconds: z.number(),
          })
          .optional(),
      }),
    ),
    broken: list(brokenPath),
    notes: words,
    applied: list(
      z.object({
        what: z.string(),
        kept: z.union([
          z.object({ in: z.string() }),
          z.object({ not: z.string().describe('why it is not, and what keeps it') }),
        ]),
        reached: words.describe('paths that were broken and are not any more'),
        stillBroken: words,
      }),
    ).describe('what --fix did'),
    seconds: z.number(),
    duration: z
      .object({ seconds: z.number(), limitSeconds: z.number() })
      .optional()
      .describe('of all but the proofs, and what it may take; not of recorded evidence'),
    endurance: list(stressResult).optional().describe('with --endure, in the order in which they ran'),
    evidence: evidenceSchema,
  }),
}

/** The files of a run's folder, by name: `manifest.json`, a line of `cells.ndjson`, and both as they belong together. */
export const runFileSchemas = {
  manifest: manifestSchema,
  cell: cellResultSchema,
  results: z.object({
    manifest: manifestSchema.describe('manifest.json'),
    cells: list(cellResultSchema).describe('the lines of cells.ndjson; of the lines of one id the last counts'),
  }),
}
