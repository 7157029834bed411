import type { Connection } from '../libvirt/index.ts'
import type { Vm } from './find-vm.ts'
import { withLibvirt } from './libvirt-failure.ts'

/** Counters of a running VM at one moment. */
export interface VmCounters {
  /** Monotonic, in milliseconds. */
  readonly at: number
  /** Of all its processors together, in nanoseconds. */
  readonly processorNs: number
  readonly nics: readonly NicCounters[]
}

export interface NicCounters {
  /** Target device on the host. */
  readonly device: string
  /** Seen from the guest. */
  readonly received: DirectionCounters
  readonly sent: DirectionCounters
}

interface DirectionCounters {
  readonly bytes: number
  readonly packets: number
  readonly drops: number
}

/** What happened between two readings, a second. */
export interface VmRates {
  /** 1 is one core of the host kept busy. */
  readonly processor: number
  readonly nics: readonly NicRates[]
}

export interface NicRates {
  readonly device: string
  readonly received: DirectionRates
  readonly sent: DirectionRates
}

export interface DirectionRates {
  readonly bitsPerSecond: number
  readonly packetsPerSecond: number
  readonly dropsPerSecond: number
}

export async function readCounters(connection: Connection, { domain }: Vm, signal: AbortSignal): Promise<VmCounters> {
  const [record] = await withLibvirt(`reading the counters of ${domain.name}`, () =>
    connection.domainStats({ domains: [domain], cpuTotal: true, interface: true, signal }),
  )
  const stats = record?.stats ?? {}
  const number = (key: string) => Number(stats[key] ?? 0)
  const direction = (nic: number, way: 'rx' | 'tx'): DirectionCounters => ({
    bytes: number(`net.${nic}.${way}.bytes`),
    packets: number(`net.${nic}.${way}.pkts`),
    drops: number(`net.${nic}.${way}.drop`),
  })
  return {
    at: performance.now(),
    processorNs: number('cpu.time'),
    nics: Array.from({ length: number('net.count') }, (_, nic) => ({
      device: String(stats[`net.${nic}.name`] ?? nic),
      received: direction(nic, 'rx'),
      sent: direction(nic, 'tx'),
    })),
  }
}

/** A NIC that was exchanged in between starts from zero: what would be negative is left out. */
export function ratesBetween(before: VmCounters, after: VmCounters): VmRates {
  const seconds = Math.max((after.at - before.at) / 1000, Number.EPSILON)
  const perSecond = (from: number, to: number) => Math.max(0, to - from) / seconds
  const direction = (from: DirectionCounters, to: DirectionCounters): DirectionRates => ({
    bitsPerSecond: perSecond(from.bytes, to.bytes) * 8,
    packetsPerSecond: perSecond(from.packets, to.packets),
    dropsPerSecond: perSecond(from.drops, to.drops),
  })
  return {
    processor: perSecond(before.processorNs, after.processorNs) / 1e9,
    nics: after.nics.flatMap((nic) => {
      const earlier = before.nics.find(({ device }) => device === nic.device)
      return earlier === undefined
        ? []
        : [
            {
              device: nic.device,
              received: direction(earlier.received, nic.received),
              sent: direction(earlier.sent, nic.sent),
            },
          ]
    }),
  }
}
