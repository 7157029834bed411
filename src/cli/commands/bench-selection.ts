import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { benchCases } from '../../bench/cases/index.ts'
import { type CellSelection, type Matrix, ways, zeroLossSettingsSchema } from '../../bench/matrix.ts'
import { learnedCosts, type StepCosts } from '../../bench/plan.ts'
import { findNicMode, type NicModes } from '../../domain/nic-modes.ts'
import { VmrError } from '../../errors/vmr-error.ts'
import { readRun } from '../../results/run-folder.ts'
import { wholeNumberOption } from '../number-option.ts'

/** An option that takes several words; commander gives `true` when it came without any. */
export type Words = readonly string[] | true | undefined

export interface BenchSelectionOptions {
  readonly matrix: string
  readonly case?: Words
  readonly mode?: Words
  readonly dut?: Words
  readonly family?: Words
  readonly direction?: Words
  readonly tool?: 'iperf3' | 'iperf2' | undefined
  readonly protocol?: 'tcp' | 'udp' | undefined
  readonly duration?: string | undefined
  readonly repetitions?: string | undefined
  readonly streams?: string | undefined
  readonly zeroLoss?: Words
}

/** @throws VmrError USAGE, NIC_MODE_UNKNOWN. */
export function selectionOf(options: BenchSelectionOptions, modes: NicModes): CellSelection {
  const wantedModes = wordsOf(options.mode)
  for (const mode of wantedModes ?? []) findNicMode(modes, mode)
  return {
    cases: choice('--case', options.case, Object.keys(benchCases)),
    modes: wantedModes === undefined ? undefined : [...wantedModes],
    duts: choice('--dut', options.dut, ['vm', 'host'] as const),
    families: choice('--family', options.family, ['ipv4', 'ipv6'] as const),
    ways: choice('--direction', options.direction, ways),
  }
}

function wordsOf(words: Words): readonly string[] | undefined {
  return words === true ? undefined : words
}

export function choice<const Name extends string>(
  option: string,
  words: Words,
  names: readonly Name[],
): Name[] | undefined {
  return wordsOf(words)?.map((word) => {
    const name = names.find((each) => each === word)
    if (name !== undefined) return name
    const list = names.length === 2 ? names.join(' or ') : names.join(', ')
    throw new VmrError('USAGE', `${option} takes ${list}, not ${JSON.stringify(word.slice(0, 40))}`, {
      hint: `For example ${option} ${names.at(-1)}.`,
    })
  })
}

export function withOverrides(matrix: Matrix, options: BenchSelectionOptions): Matrix {
  return withZeroLoss(withThroughput(matrix, options), options.zeroLoss)
}

/** @throws VmrError USAGE for what is no size of an Ethernet frame. */
function withZeroLoss(matrix: Matrix, asked: Words): Matrix {
  if (asked === undefined) return matrix
  const settings = matrix.zeroLoss ?? {}
  if (asked === true) return { ...matrix, zeroLoss: zeroLossSettingsSchema.parse(settings) }
  const parsed = zeroLossSettingsSchema.safeParse({ ...settings, frameBytes: asked.map(Number) })
  if (parsed.success) return { ...matrix, zeroLoss: parsed.data }
  throw new VmrError(
    'USAGE',
    `--zero-loss takes sizes of Ethernet frames, 64 to 9018 bytes, not ${JSON.stringify(asked.join(' ').slice(0, 40))}`,
    { hint: 'For example --zero-loss 128 1518.' },
  )
}

function withThroughput(matrix: Matrix, options: BenchSelectionOptions): Matrix {
  const { throughput } = matrix
  if (throughput === false) return matrix
  const { tool, protocol, duration, repetitions, streams } = options
  const wanted = repetitions === undefined ? undefined : wholeNumberOption('--repetitions', repetitions, 1000)
  return {
    ...matrix,
    throughput: {
      ...throughput,
      ...(tool === undefined ? {} : { tool }),
      ...(tool === 'iperf2' ? { omitSeconds: 0 } : {}),
      ...(protocol === undefined ? {} : { protocol }),
      ...(duration === undefined ? {} : { seconds: wholeNumberOption('--duration', duration, 86_400) }),
      ...(streams === undefined ? {} : { streams: wholeNumberOption('--streams', streams, 64) }),
      // Who names a number wants that many, however wide the interval.
      ...(wanted === undefined ? {} : { repetitions: wanted, maxRepetitions: wanted }),
    },
  }
}

/** How many earlier runs are asked what steps take. */
const runsAsked = 10

/** What steps took in the latest runs of a results folder. A folder that is no run's, or older, has nothing to say. */
export async function readCosts(resultsDirectory: string): Promise<StepCosts> {
  const names = await readdir(resultsDirectory).catch(() => [])
  const runs = await Promise.all(
    names
      .sort()
      .slice(-runsAsked)
      .map((name) => readRun(join(resultsDirectory, name)).catch(() => undefined)),
  )
  return learnedCosts(runs.flatMap((run) => (run === undefined ? [] : [run.manifest.costs])))
}
