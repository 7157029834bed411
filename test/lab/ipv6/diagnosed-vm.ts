import { journalDirectory } from '../../../src/config/paths.ts'
import { type Diagnosis, diagnose } from '../../../src/ipv6/diagnosis.ts'
import { endure, type StressResult } from '../../../src/ipv6/endurance/endure.ts'
import { planEndurance, type WantedStresses } from '../../../src/ipv6/endurance/plan.ts'
import type { Evidence } from '../../../src/ipv6/evidence/schema.ts'
import { type ObservedVm, withObservedVm } from '../../../src/ipv6/observe-vm.ts'
import { diagnosisSeconds } from '../../../src/ipv6/time-limit.ts'
import { localShell } from '../../../src/shell/local.ts'
import { runChecked, type Shell } from '../../../src/shell/shell.ts'
import { hostExecutors } from '../../../src/undo/host-executors.ts'
import { type Journal, openJournal } from '../../../src/undo/journal.ts'
import { withUndo } from '../../../src/undo/undo-all.ts'
import { undoExecutors } from '../../../src/vm/domain-undo.ts'
import { makeRunningVm, type RunningVm } from '../vm/running-vm.ts'

export interface Selection {
  readonly family?: 'ipv4' | 'ipv6'
  /** "pc1>r1"; several by commas. */
  readonly direction?: string
  /** Another VM that is looked into too. */
  readonly peer?: string
}

/** A lab router that is broken and diagnosed over and over. */
export interface DiagnosedVm {
  readonly vm: RunningVm
  /** The host's device of eth0 and eth1. */
  readonly taps: readonly string[]
  /** Runs words for a shell: on the host, in the guest as root, or on a PC. */
  host(words: string): Promise<string>
  guest(words: string): Promise<string>
  pc(number: 1 | 2, words: string): Promise<string>
  /** Resolves when duplicate address detection is over on the host and in the guest: what it changes is nobody's doing. */
  settled(): Promise<void>
  diagnose(selection?: Selection): Promise<{ readonly evidence: Evidence; readonly diagnosis: Diagnosis }>
  /** With a connection and a console of its own: nobody has to ask for consent. */
  endure(stresses: WantedStresses): Promise<readonly StressResult[]>
  withEvidence<T>(selection: Selection, task: (observed: ObservedVm, journal: Journal) => Promise<T>): Promise<T>
  remove(): Promise<void>
}

const signal = new AbortController().signal

export async function makeDiagnosedVm(mode: string, prefix: `vmr${string}` = 'vmrd'): Promise<DiagnosedVm> {
  const vm = await makeRunningVm({ name: 'r1', mode, prefix })
  try {
    const { facts } = { facts: await liveNics(vm) }
    const sh = (shell: Shell, words: string, before: readonly string[] = []) =>
      runChecked(shell, [...before, 'bash', '-c', `export PATH=$PATH:/usr/sbin; ${words}`])
    const withEvidence: DiagnosedVm['withEvidence'] = async (selection, task) => {
      const journal = await openJournal({ directory: journalDirectory(), purpose: 'diagnosis of r1' })
      const directions = selection.direction?.split(',')
      return withUndo(journal, { executors: hostExecutors }, () =>
        withObservedVm(
          {
            ...{ connection: vm.connection, name: vm.name, testbed: vm.testbed, mayLogIn: false, journal, signal },
            console: vm.guest,
            seconds: diagnosisSeconds(selection),
            ...(selection.peer === undefined ? {} : { peer: selection.peer }),
            select: ({ family, direction }) =>
              (selection.family ?? family) === family && (directions?.includes(direction) ?? true),
          },
          (observed) => task(observed, journal),
        ),
      )
    }
    const host = (words: string) => sh(localShell, words)
    const guest = (words: string) => sh(vm.guest, words, ['sudo', '-n'])
    return {
      ...{ vm, withEvidence, host, guest },
      taps: facts,
      pc: (number, words) => {
        const machine = vm.pcs[number - 1]
        if (machine === undefined) throw new RangeError(`there is no pc${number}`)
        return sh(machine.shell, words)
      },
      settled: async () => {
        const wait = 'for i in $(seq 50); do [ -z "$(ip -6 addr show tentative)" ] && break; sleep 0.1; done'
        await Promise.all([host(wait), guest(wait)])
      },
      endure: async (stresses) => {
        await vm.closeConsole()
        const { connection, name, testbed } = vm
        const uri = 'qemu:///system'
        const journal = await openJournal({ directory: journalDirectory(), purpose: 'endurance of r1' })
        try {
          return await withUndo(journal, { executors: undoExecutors }, async () => {
            const request = { name, testbed, mayLogIn: false, journal, signal }
            const { evidence } = await withObservedVm({ ...request, connection, seconds: 90 }, async (seen) => seen)
            const planned = planEndurance(evidence, uri, stresses)
            return endure({ ...request, uri, evidence, planned, consent: () => true, observeSeconds: 90 })
          })
        } finally {
          await vm.reopen()
        }
      },
      diagnose: (selection = {}) =>
        withEvidence(selection, async ({ evidence }) => ({ evidence, diagnosis: diagnose(evidence) })),
      remove: () => vm.remove(),
    }
  } catch (error) {
    await vm.remove()
    throw error
  }
}

async function liveNics({ connection, find }: RunningVm): Promise<readonly string[]> {
  const { domain } = await find()
  const xml = await connection.domainXml(domain)
  return [...xml.matchAll(/<target dev=['"]([^'"]+)['"]/g)].flatMap(([, name]) =>
    name !== undefined && /^(vnet|macvtap)/.test(name) ? [name] : [],
  )
}
