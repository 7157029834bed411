import type { Evidence } from '../ipv6/evidence/schema.ts'
import type { TraceHop } from '../ipv6/solicitation-trace.ts'
import type { RunFolder } from '../results/run-folder.ts'
import type { Actor, ReachabilityRecord } from '../results/schema.ts'
import type { Shell } from '../shell/shell.ts'
import type { Machine } from '../testbed/machine.ts'
import type { CaseDirection, CaseSetup, Role } from './cases/bench-case.ts'
import type { ThroughputSettings, ZeroLossSettings } from './matrix.ts'

/** A machine whose processor and counters are looked at while a load runs. */
export interface UsageSource {
  /** Role, or "host". */
  readonly machine: string
  readonly shell: Shell
  /** A namespace shares the host's processor, and only counts for itself. */
  readonly ownProcessor: boolean
}

/** What probing a direction from cold caches showed, at one of its addresses. */
export interface DirectionProbe {
  readonly direction: CaseDirection
  readonly record: ReachabilityRecord
}

/** A case that is set up on its machines, ready to be measured. */
export interface Bench {
  readonly setup: CaseSetup
  readonly machines: Readonly<Partial<Record<Role, Machine>>>
  readonly actors: Readonly<Partial<Record<Role, Actor>>>
  /** Every place where a frame of this direction can be seen, in the order of its way. */
  readonly hops: (direction: CaseDirection) => readonly TraceHop[]
  /**
   * Gathers what a diagnosis of the VM needs, of one family, and follows what these probes found lost; undefined where
   * the host is the DUT.
   */
  readonly observe: ((family: 'ipv4' | 'ipv6', probes: readonly DirectionProbe[]) => Promise<Evidence>) | undefined
  readonly usage: readonly UsageSource[]
  /** Domains of the VMs that take part. */
  readonly vmNames: readonly string[]
  readonly folder: RunFolder
  readonly throughput: ThroughputSettings | false
  readonly zeroLoss: ZeroLossSettings | undefined
  readonly tcpTimestamps: boolean
  /** Of everything random in this run. */
  readonly seed: number
  readonly signal: AbortSignal
  readonly onProgress: (activity: string) => void
}
