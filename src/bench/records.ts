import type { Family, Reachability } from '../ipv6/reachability.ts'
import type { SolicitationTrace } from '../ipv6/solicitation-trace.ts'
import type { ReachabilityRecord, SolicitationRecord, ThroughputRecord } from '../results/schema.ts'
import type { CaseSetup } from './cases/bench-case.ts'
import type { ThroughputSample } from './iperf/throughput.ts'
import { summarise } from './statistics.ts'
import { wireLimitBitsPerSecond } from './wire-limit.ts'

/** What a probe showed, as it is recorded. `direction` as in CaseDirection: "pc1>dut". */
export function reachabilityRecord(direction: string, probe: Reachability): ReachabilityRecord {
  return { direction, ...probe }
}

export function solicitationRecord(direction: string, trace: SolicitationTrace): SolicitationRecord {
  const { protocol, target, hops, lastSeen, firstMissing, line } = trace
  return { direction, protocol, target, hops: [...hops], lastSeen, firstMissing, line }
}

export interface MeasuredRuns {
  readonly direction: string
  readonly family: Family
  /** At least one, each with the path of its raw output below the run's folder. */
  readonly samples: readonly { readonly sample: ThroughputSample; readonly rawPath: string }[]
  readonly path: CaseSetup['path']
  readonly tcpTimestamps: boolean
  /** Of the confidence interval. */
  readonly seed: number
}

/** The TCP runs of one direction, summed up and held against the wire. */
export function throughputRecord(runs: MeasuredRuns): ThroughputRecord {
  const { direction, family, samples, path, tcpTimestamps, seed } = runs
  const summary = summarise(
    samples.map(({ sample }) => sample.bitsPerSecond),
    seed,
  )
  const wireLimit = wireLimitBitsPerSecond({ ...path, family, protocol: 'tcp', tcpTimestamps })
  return {
    status: 'measured',
    direction,
    samples: samples.map(({ sample: { tool, bitsPerSecond, seconds, retransmits, lossShare, jitterMs }, rawPath }) => ({
      tool,
      bitsPerSecond,
      seconds,
      retransmits,
      lossShare,
      jitterMs,
      raw: rawPath,
    })),
    summary,
    wireLimitBitsPerSecond: wireLimit,
    shareOfWireLimit: summary.median / wireLimit,
  }
}

/** Folder of a cell's raw files: "nic_macvtap_vm_ipv6". */
export function rawFolderOf(cellId: string): string {
  return cellId.replaceAll('/', '_')
}
