import type { CallOptions } from '../call-options.ts'
import { memoryStatTags, nameOf, vcpuStates } from '../protocol/enums.ts'
import { procedures } from '../protocol/procedures.ts'
import type { Domain } from '../protocol/types.ts'
import type { XdrValue } from '../protocol/xdr.ts'
import type { Rpc } from '../rpc.ts'
import { type TypedRecord, typedRecord } from '../typed-parameters.ts'
import { flagBits } from './flags.ts'

/** Counters of one NIC since the domain started, from the guest's side: rx is what it received; -1 where unknown. */
export type InterfaceStats = Readonly<XdrValue<typeof procedures.DOMAIN_INTERFACE_STATS.result>>
/** Counters of one disk since the domain started; -1 where unknown. */
export type BlockStats = Readonly<XdrValue<typeof procedures.DOMAIN_BLOCK_STATS.result>>
/** Sizes of one disk in bytes. */
export type BlockInfo = Readonly<XdrValue<typeof procedures.DOMAIN_GET_BLOCK_INFO.result>>

/** virDomainStatsTypes: groups of figures; all of them when none is chosen. */
export interface DomainStatsOptions extends CallOptions {
  /** Of which domains; of all when none is given. */
  readonly domains?: readonly Domain[]
  readonly state?: boolean
  readonly cpuTotal?: boolean
  readonly balloon?: boolean
  readonly vcpu?: boolean
  readonly interface?: boolean
  readonly block?: boolean
  /** Only running domains, unless `domains` are given. */
  readonly active?: boolean
  /** Leave out what a busy domain cannot tell at once. */
  readonly noWait?: boolean
}
const statsBits = { state: 1, cpuTotal: 2, balloon: 4, vcpu: 8, interface: 16, block: 32 }
const statsFlagBits = { active: 1, noWait: 1 << 29 }

/** One domain's figures, as `net.0.rx.bytes`. */
export interface DomainStats {
  readonly domain: Domain
  readonly stats: TypedRecord
}

/** The most that the daemon takes: REMOTE_DOMAIN_MEMORY_STATS_MAX, REMOTE_NODE_CPU_STATS_MAX. */
const memoryStatsLimit = 1024
const cpuStatsLimit = 16

/** Counters of domains. */
export function statisticsCalls({ call }: Rpc) {
  return {
    /** @param device its target device name or MAC. */
    interfaceStats: (domain: Domain, device: string, options?: CallOptions): Promise<InterfaceStats> =>
      call(procedures.DOMAIN_INTERFACE_STATS, { domain, device }, options),
    /** @param path the disk's target (`vda`) or file. */
    blockStats: (domain: Domain, path: string, options?: CallOptions): Promise<BlockStats> =>
      call(procedures.DOMAIN_BLOCK_STATS, { domain, path }, options),
    /** More counters of a disk, as flushes and total times (ns). */
    blockStatsDetailed: async (domain: Domain, path: string, options?: CallOptions): Promise<TypedRecord> => {
      const args = { domain, path, count: 16, flags: 0 }
      return typedRecord((await call(procedures.DOMAIN_BLOCK_STATS_FLAGS, args, options)).parameters)
    },
    blockInfo: (domain: Domain, path: string, options?: CallOptions): Promise<BlockInfo> =>
      call(procedures.DOMAIN_GET_BLOCK_INFO, { domain, path, flags: 0 }, options),
    /** Memory in KiB and page faults, as far as the balloon driver tells. */
    memoryStats: async (domain: Domain, options?: CallOptions): Promise<Readonly<Record<string, number>>> => {
      const args = { domain, maxStats: memoryStatsLimit, flags: 0 }
      const { stats } = await call(procedures.DOMAIN_MEMORY_STATS, args, options)
      return Object.fromEntries(stats.map(({ tag, value }) => [nameOf(memoryStatTags, tag), value]))
    },
    /** CPU time in ns that the domain took in all: `cpu_time`, `user_time`, `system_time`. */
    cpuStats: async (domain: Domain, options?: CallOptions): Promise<TypedRecord> => {
      // CPU -1 means all of them together, of which there is then one.
      const args = { domain, count: cpuStatsLimit, startCpu: -1, cpus: 1, flags: 0 }
      return typedRecord((await call(procedures.DOMAIN_GET_CPU_STATS, args, options)).parameters)
    },
    /** Each virtual CPU: its state, the host CPU that it is on (-1: none) and its CPU time in ns. */
    vcpus: async (domain: Domain, options?: CallOptions) => {
      const { vcpus } = await call(procedures.DOMAIN_GET_VCPUS, { domain, maxInfo: 4096, mapLength: 0 }, options)
      return vcpus.map((vcpu) => ({ ...vcpu, state: nameOf(vcpuStates, vcpu.state) }))
    },
    /** Figures of many domains in one call. */
    domainStats: async (options: DomainStatsOptions = {}): Promise<readonly DomainStats[]> => {
      const domains = options.domains ?? []
      const args = { domains, stats: flagBits(options, statsBits), flags: flagBits(options, statsFlagBits) }
      const { records } = await call(procedures.CONNECT_GET_ALL_DOMAIN_STATS, args, options)
      return records.map(({ domain, parameters }) => ({ domain, stats: typedRecord(parameters) }))
    },
  }
}
