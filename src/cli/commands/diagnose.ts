import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import writeFileAtomic from 'write-file-atomic'
import { journalDirectory } from '../../config/paths.ts'
import { exitStatus } from '../../errors/codes.ts'
import { isVmrError, VmrError } from '../../errors/vmr-error.ts'
import { writeError } from '../../errors/write-error.ts'
import { type BrokenPath, type Diagnosis, diagnose as diagnoseEvidence, type NamedFault } from '../../ipv6/diagnosis.ts'
import { endure, type StressResult } from '../../ipv6/endurance/endure.ts'
import {
  disturbing,
  type PlannedStress,
  planEndurance,
  readStressNames,
  type WantedStresses,
} from '../../ipv6/endurance/plan.ts'
import type { StressName } from '../../ipv6/endurance/stress.ts'
import { type Evidence, evidenceFile, evidenceSchema } from '../../ipv6/evidence/schema.ts'
import type { PlannedPath } from '../../ipv6/evidence/topology.ts'
import type { Fix } from '../../ipv6/faults/fault.ts'
import { type AppliedFix, applyFix, chooseFix } from '../../ipv6/fix.ts'
import { type ObservedVm, reachVm, type VmToObserve, withObservedVm } from '../../ipv6/observe-vm.ts'
import { type CureProof, proveByCure } from '../../ipv6/prove.ts'
import { diagnosisSeconds, proofSeconds } from '../../ipv6/time-limit.ts'
import { findRun } from '../../results/find-run.ts'
import { readRun } from '../../results/run-folder.ts'
import { loadTestbed, type Testbed } from '../../testbed/testbed.ts'
import { type Journal, openJournal } from '../../undo/journal.ts'
import { withUndo } from '../../undo/undo-all.ts'
import { undoExecutors } from '../../vm/domain-undo.ts'
import { findDomain } from '../../vm/find-vm.ts'
import { withConnection } from '../../vm/host.ts'
import { liveFacts } from '../../vm/switch/finish-switch.ts'
import { withVmLock } from '../../vm/vm-lock.ts'
import { confirm } from '../confirm.ts'
import type { CommandContext, CommandStatus } from '../context.ts'
import { diagnosisText } from '../diagnosis-text.ts'
import { enduranceText } from '../endurance-text.ts'
import type { Output } from '../output/outputs.ts'
import { withProgress } from '../progress.ts'

interface DiagnoseOptions {
  readonly json?: true | undefined
  readonly family?: 'ipv4' | 'ipv6' | undefined
  readonly direction?: string | undefined
  readonly prove?: true | undefined
  readonly fix?: true | undefined
  readonly endure?: true | string | undefined
  readonly yes?: true | undefined
  readonly testbed?: string | undefined
  readonly logIn?: true | undefined
  readonly peer?: string | undefined
  readonly save?: string | undefined
  readonly evidence?: string | undefined
  readonly run?: string | undefined
  readonly cell?: string | undefined
  readonly results: string
  readonly connect: string
}

/** Of a VM that was observed now; none of recorded evidence. */
interface Duration {
  readonly seconds: number
  readonly limitSeconds: number
}

interface Outcome {
  readonly evidence: Evidence
  readonly diagnosis: Diagnosis
  readonly proofs: ReadonlyMap<string, CureProof>
  readonly applied: readonly AppliedFix[]
  readonly duration?: Duration
  readonly endurance?: readonly StressResult[]
}

export async function diagnose(
  context: CommandContext,
  name: string | undefined,
  options: DiagnoseOptions,
): Promise<CommandStatus> {
  const { terminal } = context
  const outcome = await outcomeOf(context, name, options)
  const { evidence, diagnosis, proofs, applied, duration, endurance } = outcome
  if (options.save !== undefined) {
    try {
      await writeFileAtomic(options.save, `${JSON.stringify(evidence)}\n`)
    } catch (error) {
      throw writeError(`the evidence ${options.save}`, error, { permission: 'Choose another file with --save.' })
    }
  }
  if (options.json) terminal.json<'diagnose'>(asJson(outcome))
  else {
    terminal.result(diagnosisText(evidence, diagnosis, proofs))
    for (const { what, kept, reached, stillBroken } of applied) {
      terminal.result(`applied: ${what}`)
      terminal.result('in' in kept ? `  kept in ${kept.in}` : `  not kept: ${kept.not}`)
      if (reached.length > 0) terminal.result(`  reached now: ${reached.join(', ')}`)
      if (stillBroken.length > 0) terminal.result(`  still broken: ${stillBroken.join(', ')}`)
    }
    if (duration !== undefined)
      terminal.result(
        `the diagnosis took ${duration.seconds.toFixed(1)} s of at most ${duration.limitSeconds} s${
          proofs.size === 0 ? '' : `, and each proof at most ${proofSeconds} s`
        }`,
      )
    if (endurance !== undefined) terminal.result(enduranceText(endurance))
  }
  switch (diagnosis.verdict) {
    case 'healthy':
      return endurance?.some(({ outcome }) => outcome === 'lost') ? exitStatus.modeBroken : exitStatus.ok
    case 'unprobed':
      throw new VmrError('MEASUREMENT_FAILED', `${evidence.vm.name}: no path could be probed`, {
        hint: 'Guest and PC need addresses of one subnet; with --testbed or --log-in more can be looked into.',
      })
    default:
      return exitStatus.modeBroken
  }
}

async function outcomeOf(
  context: CommandContext,
  name: string | undefined,
  options: DiagnoseOptions,
): Promise<Outcome> {
  const recorded = await recordedEvidence(options)
  if (recorded !== undefined) {
    const besides = [options.prove, options.fix, options.peer, options.endure]
    if (name !== undefined || besides.some((each) => each !== undefined))
      throw new VmrError(
        'USAGE',
        'recorded evidence is diagnosed as it is: no VM, --peer, --prove, --fix or --endure beside it',
      )
    return { evidence: recorded, diagnosis: diagnoseEvidence(recorded), proofs: new Map(), applied: [] }
  }
  if (name === undefined)
    throw new VmrError('USAGE', 'which VM?', { hint: 'Name it: vmr diagnose r1. See `vmr vm list`.' })
  if (options.fix && !options.yes && (!context.terminal.interactive || options.json))
    throw new VmrError('USAGE', '--fix asks before it changes anything, and nobody is there to answer', {
      hint: 'Add --yes.',
    })
  if (options.fix && options.endure !== undefined)
    throw new VmrError('USAGE', '--fix and --endure do not go together', {
      hint: 'Mend it first, then look what it outlasts.',
    })
  const { signal, terminal } = context
  const wanted = wantedStresses(options, context)
  const journal = await openJournal({ directory: journalDirectory(), purpose: `diagnosis of ${name}` })
  const { peer } = options
  if (peer === name) throw new VmrError('USAGE', `${name} is no peer of itself`, { hint: 'Name another VM.' })
  // In one order, whichever of two is diagnosed: else two diagnoses wait for each other.
  const [first = name, second] = peer === undefined ? [name] : [name, peer].sort()
  const locked = <T>(task: () => Promise<T>): Promise<T> =>
    withVmLock(first, { signal }, () => (second === undefined ? task() : withVmLock(second, { signal }, task)))
  return withUndo(journal, { executors: undoExecutors }, () =>
    locked(async () => {
      const testbed = await testbedOf(name, options, signal)
      const request = {
        ...{ name, testbed, journal, signal },
        mayLogIn: options.logIn === true,
        ...(peer === undefined ? {} : { peer }),
        select: (path: PlannedPath) => isSelected(path, options),
      }
      const startedAt = performance.now()
      const limitSeconds = diagnosisSeconds(options)
      const outcome = await withConnection(
        options.connect,
        (connection) =>
          withProgress(terminal, `diagnosing ${name}`, (onProgress) =>
            withObservedVm({ ...request, connection, onProgress, seconds: limitSeconds }, async (observed) => ({
              duration: { seconds: (performance.now() - startedAt) / 1000, limitSeconds },
              ...(await conclude(observed, journal, options, signal, onProgress)),
            })),
          ),
        signal,
      )
      if (options.fix) {
        const chosen = await agreedFixes(outcome, options, signal)
        return { ...outcome, applied: await applyFixes(chosen, outcome.evidence, request, options, context) }
      }
      if (wanted === undefined || outcome.diagnosis.verdict === 'unprobed') return outcome
      const { evidence } = outcome
      const planned = planEndurance(evidence, options.connect, wanted)
      const agreed = await agreedStresses(planned, options, context)
      const endurance = await withProgress(terminal, `endurance of ${name}`, (onProgress) =>
        endure({
          ...{ ...request, onProgress, uri: options.connect, evidence, planned },
          consent: ({ name: stress }) => agreed.has(stress),
          observeSeconds: limitSeconds,
        }),
      )
      return { ...outcome, endurance }
    }),
  )
}

interface ChosenFix {
  readonly named: NamedFault
  readonly fix: Fix
}

/** Of each cause the fix that vmr can make, where somebody agrees to it. */
async function agreedFixes(
  { diagnosis, evidence }: Outcome,
  { yes }: DiagnoseOptions,
  signal: AbortSignal,
): Promise<readonly ChosenFix[]> {
  const agreed: ChosenFix[] = []
  for (const named of diagnosis.named) {
    const fix = chooseFix(named, evidence)
    if (fix === undefined) continue
    const question = `${named.hop}: ${named.fault.title}.\nFix: ${fix.what}. Price: ${fix.price}. Do it?`
    if (yes || (await confirm(question, signal))) agreed.push({ named, fix })
  }
  return agreed
}

async function applyFixes(
  chosen: readonly ChosenFix[],
  evidence: Evidence,
  request: Omit<VmToObserve, 'connection'>,
  { connect }: DiagnoseOptions,
  { terminal, signal }: CommandContext,
): Promise<readonly AppliedFix[]> {
  if (chosen.length === 0) return []
  const { name, testbed } = request
  return withProgress(terminal, `mending ${name}`, (onProgress) =>
    withConnection(
      connect,
      async (connection) => {
        const reached = await reachVm({ ...request, connection, onProgress })
        const applied: AppliedFix[] = []
        try {
          for (const { named, fix } of chosen) {
            onProgress(fix.what)
            applied.push(
              await applyFix(named, fix, { connection, machines: reached.machines, evidence, testbed, signal }),
            )
          }
        } finally {
          await reached.close()
        }
        return applied
      },
      signal,
    ),
  )
}

/** Undefined without --endure. What disturbs somebody is named only where somebody can agree to it. */
function wantedStresses(
  { endure: wanted, yes, json }: DiagnoseOptions,
  { terminal }: CommandContext,
): WantedStresses | undefined {
  if (wanted === undefined) return undefined
  if (wanted === true) return 'all'
  const names = readStressNames(wanted)
  const [first] = disturbing(names)
  if (first !== undefined && !yes && (!terminal.interactive || json))
    throw new VmrError('USAGE', `${first.name} disturbs the VM or this host, and nobody is there to agree`, {
      hint: 'Add --yes.',
    })
  return names
}

async function agreedStresses(
  planned: readonly PlannedStress[],
  { yes, json }: DiagnoseOptions,
  { terminal, signal }: CommandContext,
): Promise<ReadonlySet<StressName>> {
  const agreed = new Set<StressName>()
  for (const each of planned) {
    if ('impossible' in each || each.asks.length === 0) continue
    const { stress, asks } = each
    const mayAsk = terminal.interactive && !json
    if (yes || (mayAsk && (await confirm(`${stress.name}: ${asks.join('; ')}. Go on?`, signal))))
      agreed.add(stress.name)
  }
  return agreed
}

async function testbedOf(
  name: string,
  { testbed, connect }: DiagnoseOptions,
  signal: AbortSignal,
): Promise<Testbed | undefined> {
  const noted = await withConnection(
    connect,
    async (connection) => {
      const domain = await findDomain(connection, name, signal)
      if (domain === undefined)
        throw new VmrError('VM_NOT_FOUND', `there is no VM ${name}`, { hint: 'See `vmr vm list`.' })
      return (await liveFacts(connection, domain, signal)).vmr?.testbed
    },
    signal,
  )
  const wanted = testbed ?? noted
  return wanted === undefined ? undefined : loadTestbed(wanted)
}

function isSelected({ family, direction }: PlannedPath, wanted: DiagnoseOptions): boolean {
  return (
    (wanted.family === undefined || wanted.family === family) &&
    (wanted.direction === undefined || wanted.direction === direction)
  )
}

async function conclude(
  { evidence, machines }: ObservedVm,
  journal: Journal,
  { prove }: DiagnoseOptions,
  signal: AbortSignal,
  onProgress: (activity: string) => void,
): Promise<Outcome> {
  const found = diagnoseEvidence(evidence)
  const proofs = new Map<string, CureProof>()
  const late: string[] = []
  if (prove)
    for (const named of found.named) {
      onProgress(`proving ${named.fault.id} by its cure`)
      try {
        const proof = await proveByCure(named, { evidence, machines, journal, signal })
        if (proof !== undefined) proofs.set(`${named.fault.id} ${named.hop}`, proof)
      } catch (error) {
        if (!isVmrError(error) || error.code !== 'TIMED_OUT') throw error
        late.push(error.message)
      }
    }
  const diagnosis = { ...found, notes: [...found.notes, ...late] }
  return { evidence, diagnosis, proofs, applied: [] }
}

/** Evidence that was kept: in a file of its own, or by a run for one of its cells. */
async function recordedEvidence({ evidence, run, cell, results }: DiagnoseOptions): Promise<Evidence | undefined> {
  if (evidence !== undefined) return readEvidence(evidence)
  if (run === undefined && cell === undefined) return undefined
  if (run === undefined || cell === undefined)
    throw new VmrError('USAGE', '--run and --cell belong together', {
      hint: 'For example --run latest --cell nic/macvtap/vm/ipv6.',
    })
  const folder = await findRun(run, results)
  const found = (await readRun(folder)).cells.find(({ id }) => id === cell)
  if (found === undefined)
    throw new VmrError('RESULTS_INVALID', `the run ${folder} has no cell ${cell}`, {
      hint: `See them: vmr report ${run} --format table`,
    })
  return readEvidence(join(folder, 'raw', cell, evidenceFile))
}

/** Larger than any document that the schema accepts and vmr writes. */
const maxEvidenceBytes = 64 * 1024 * 1024

async function readEvidence(file: string): Promise<Evidence> {
  let text: string
  try {
    if ((await stat(file)).size > maxEvidenceBytes) throw new Error('too large for evidence')
    text = await readFile(file, 'utf8')
  } catch (error) {
    throw new VmrError('RESULTS_INVALID', `${file} cannot be read: ${error instanceof Error ? error.message : error}`, {
      hint: 'Evidence is recorded for cells that are broken, and by `vmr diagnose --save`.',
    })
  }
  let data: unknown
  try {
    data = JSON.parse(text)
  } catch (error) {
    throw new VmrError('RESULTS_INVALID', `${file}: not JSON`, { cause: error })
  }
  const parsed = evidenceSchema.safeParse(data)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  throw new VmrError('RESULTS_INVALID', `${file}: ${issue?.path.join('.')}: ${issue?.message}`, {
    hint: 'It is no evidence that this version of vmr wrote.',
  })
}

function asJson({ evidence, diagnosis, proofs, applied, duration, endurance }: Outcome): Output<'diagnose'> {
  const { verdict, named, broken, notes } = diagnosis
  return {
    vm: evidence.vm.name,
    verdict,
    named: named.map((each) => {
      const proof = proofs.get(`${each.fault.id} ${each.hop}`)
      return { ...namedAsJson(each), ...(proof === undefined ? {} : { proof }) }
    }),
    broken: broken.map(brokenAsJson),
    notes,
    applied,
    seconds: evidence.seconds,
    ...(duration === undefined ? {} : { duration }),
    ...(endurance === undefined ? {} : { endurance: endurance.map(stressAsJson) }),
    evidence,
  }
}

function namedAsJson({ fault, hop, facts, fixes, paths }: NamedFault) {
  return { id: fault.id, title: fault.title, hop, cause: fault.cause, facts, fixes, paths, verify: fault.verify }
}

function brokenAsJson({ path, problem, line, causes }: BrokenPath) {
  return { path: path.id, problem, line, causes }
}

function stressAsJson({ stress, diagnosis, ...result }: StressResult) {
  const { name, what } = stress
  const named = diagnosis?.named.map(namedAsJson) ?? []
  return { stress: name, what, ...result, named, broken: diagnosis?.broken.map(brokenAsJson) ?? [] }
}
