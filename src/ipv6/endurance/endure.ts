import { setTimeout as delay } from 'node:timers/promises'
import { isVmrError, VmrError } from '../../errors/vmr-error.ts'
import { type Connection, connect } from '../../libvirt/index.ts'
import { throwIfAborted } from '../../shell/abort.ts'
import { withLibvirt } from '../../vm/libvirt-failure.ts'
import { type Diagnosis, diagnose } from '../diagnosis.ts'
import type { Evidence } from '../evidence/schema.ts'
import { type ReachedVm, reachVm, type VmToObserve } from '../observe-vm.ts'
import { withinSeconds } from '../time-limit.ts'
import type { PlannedStress } from './plan.ts'
import type { Shortened, Stress, StressBench, StressPlan } from './stress.ts'
import { type ChangedVerdict, compareVerdicts, isWorse } from './verdicts.ts'

export interface EnduranceRequest extends Omit<VmToObserve, 'connection' | 'console' | 'promptMs'> {
  readonly uri: string
  /** As everything is before the first stress. */
  readonly evidence: Evidence
  readonly planned: readonly PlannedStress[]
  /** Whether somebody agrees to what a stress asks. */
  readonly consent: (stress: Stress, asks: readonly string[]) => boolean
  readonly observeSeconds: number
}

/** What became of a VM under one stress. */
export interface StressResult {
  readonly stress: Stress
  readonly outcome: 'survived' | 'lost' | 'failed' | 'not run'
  /** Of what failed or was not run. */
  readonly why?: string
  readonly shortened: readonly Shortened[]
  readonly facts: readonly string[]
  readonly verdicts: readonly ChangedVerdict[]
  /** Of the state in which something was lost. */
  readonly diagnosis?: Diagnosis
  readonly evidence?: Evidence
  /** Of what lost something or failed: whether all is as before, now that everything was taken back. */
  readonly recovered?: boolean
  readonly seconds: number
}

/** Puts a VM under one stress after the other, and tells which paths it lost by which. Everything is taken back. */
export async function endure(request: EnduranceRequest): Promise<readonly StressResult[]> {
  const results: StressResult[] = []
  const session = vmSession(request)
  let { evidence } = request
  try {
    for (const { stress, ...planned } of request.planned) {
      throwIfAborted(request.signal, `the endurance of ${request.name}`)
      const notRun = (why: string) =>
        results.push({ stress, outcome: 'not run', why, shortened: [], facts: [], verdicts: [], seconds: 0 })
      if ('impossible' in planned) notRun(planned.impossible)
      else if (planned.asks.length > 0 && !request.consent(stress, planned.asks))
        notRun(`${planned.asks.join('; ')}: nobody agreed to that`)
      else {
        request.onProgress?.(stress.name)
        const result = await runStress(stress, planned.plan, { ...request, evidence }, session)
        if (result.outcome !== 'lost' && result.outcome !== 'failed') results.push(result)
        else {
          // What one stress broke for good is not the next one's doing.
          const now = await session.observe()
          const recovered = !compareVerdicts(evidence, now, { afterWhat: stress.after }).some(isWorse)
          results.push({ ...result, recovered })
          evidence = now
        }
      }
    }
    return results
  } finally {
    await session.close()
  }
}

async function runStress(
  stress: Stress,
  plan: StressPlan,
  request: EnduranceRequest,
  session: VmSession,
): Promise<StressResult> {
  const { evidence, uri, name, journal, onProgress = () => undefined } = request
  const startedAt = performance.now()
  const shortened: Shortened[] = []
  const facts: string[] = []
  const lostUnderWay: string[] = []
  let refused: string | undefined
  let after: Evidence | undefined
  let failure: unknown
  try {
    await session.open()
    const limit = { seconds: stress.limitSeconds, what: () => `${stress.name} of ${name}`, signal: request.signal }
    await withinSeconds(limit, async (signal) => {
      const bench: StressBench = {
        ...{ uri, name, evidence, journal, signal, onProgress },
        get os() {
          return session.vm().os
        },
        get connection() {
          return session.connection()
        },
        get domain() {
          return session.vm().domain
        },
        get machines() {
          return session.vm().machines
        },
        letGo: session.close,
        reachAgain: ({ bootTimeoutMs } = {}) => session.open(bootTimeoutMs),
        addShortened: (timer) => void shortened.push(timer),
        addFact: (fact) => void facts.push(fact),
        addLost: (ids) => void lostUnderWay.push(...ids),
        refuse: (why) => {
          refused = why
        },
      }
      await stress.run(bench, plan, async () => {
        after = await session.observe(signal)
      })
    })
  } catch (error) {
    // Everything was taken back by now; Ctrl-C ends the rest too.
    throwIfAborted(request.signal, `the endurance of ${name}`)
    failure = error
  }
  const common = { stress, shortened, facts, seconds: (performance.now() - startedAt) / 1000 }
  if (failure !== undefined || (after === undefined && refused === undefined)) {
    const why = failure instanceof Error ? failure.message : String(failure)
    return { ...common, outcome: 'failed', why, verdicts: [] }
  }
  if (after === undefined) return { ...common, outcome: 'not run', why: refused ?? '', verdicts: [] }
  const verdicts = compareVerdicts(evidence, after, { afterWhat: stress.after, lostUnderWay })
  if (!verdicts.some(isWorse)) return { ...common, outcome: 'survived', verdicts }
  return { ...common, outcome: 'lost', verdicts, diagnosis: diagnose(after), evidence: after }
}

/** A connection and a console that can be let go of and had again. */
interface VmSession {
  open(promptMs?: number): Promise<void>
  connection(): Connection
  /** The last that was reached: the host and the PCs stay, whatever the guest does. */
  vm(): ReachedVm
  observe(signal?: AbortSignal): Promise<Evidence>
  close(): Promise<void>
}

/** A daemon that was restarted listens again after a moment. */
const daemonBackMs = 20_000

function vmSession(request: EnduranceRequest): VmSession {
  const { uri, name, signal, observeSeconds } = request
  let open: { readonly connection: Connection; readonly vm: ReachedVm } | undefined
  let last: ReachedVm | undefined

  async function connectOnceBack(): Promise<Connection> {
    for (const deadline = performance.now() + daemonBackMs; ; ) {
      try {
        return await withLibvirt(`connecting to ${uri}`, () => connect(uri, { signal }))
      } catch (error) {
        const away = isVmrError(error) && (error.code === 'LIBVIRT_SOCKET_MISSING' || error.code === 'LIBVIRT_SILENT')
        if (!away || performance.now() >= deadline) throw error
      }
      await delay(100, undefined, { signal })
    }
  }

  const session: VmSession = {
    async open(promptMs) {
      if (open !== undefined) return
      const connection = await connectOnceBack()
      try {
        const vm = await reachVm({ ...request, connection, ...(promptMs === undefined ? {} : { promptMs }) })
        open = { connection, vm }
        last = vm
      } catch (error) {
        await connection.close()
        throw error
      }
    },
    connection() {
      if (open === undefined) throw new VmrError('LIBVIRT_FAILED', `there is no connection to ${uri} right now`)
      return open.connection
    },
    vm() {
      if (last === undefined) throw new RangeError(`${name} was not reached yet`)
      return last
    },
    async observe(given = signal) {
      await session.open()
      const what = () => `the diagnosis of ${name}`
      return withinSeconds({ seconds: observeSeconds, what, signal: given }, (limited) => session.vm().observe(limited))
    },
    async close() {
      const closing = open
      open = undefined
      try {
        await closing?.vm.close()
      } finally {
        await closing?.connection.close()
      }
    },
  }
  return session
}
