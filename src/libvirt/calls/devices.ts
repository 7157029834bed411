import type { CallOptions } from '../call-options.ts'
import { clientError } from '../errors.ts'
import { procedures } from '../protocol/procedures.ts'
import type { Domain, TypedParameter } from '../protocol/types.ts'
import type { Rpc } from '../rpc.ts'
import { type TypedRecord, typedRecord } from '../typed-parameters.ts'
import { type AffectOptions, affectBits, flagBits } from './flags.ts'

export interface DeviceOptions extends CallOptions, AffectOptions {
  /** VIR_DOMAIN_DEVICE_MODIFY_FORCE: for updates, as ejecting a locked disk. */
  readonly force?: boolean
}
const deviceBits = { ...affectBits, force: 4 }

/** Limits for one direction: rates in KiB/s, burst in KiB (libvirt's virDomainSetInterfaceParameters). */
export interface BandwidthLimit {
  readonly average?: number
  readonly peak?: number
  readonly burst?: number
  /** Only inbound, and only on networks that libvirt forwards. */
  readonly floor?: number
}

/** Sides are the guest's: inbound is what it receives. An average of 0 removes the limit. */
export interface InterfaceBandwidth {
  readonly inbound?: BandwidthLimit
  readonly outbound?: BandwidthLimit
}

/** The most that one call of these takes (REMOTE_DOMAIN_INTERFACE_PARAMETERS_MAX). */
const parameterCount = 16

function bandwidthParameters(bandwidth: InterfaceBandwidth): readonly TypedParameter[] {
  const parameters: TypedParameter[] = []
  for (const side of ['inbound', 'outbound'] as const) {
    for (const name of ['average', 'peak', 'burst', 'floor'] as const) {
      const value = bandwidth[side]?.[name]
      if (value !== undefined) parameters.push({ field: `${side}.${name}`, type: 'uint', value })
    }
  }
  return parameters
}

/** One bit a CPU, the lowest first. */
function cpuMapOf(cpus: readonly number[]): Uint8Array {
  if (cpus.some((cpu) => !Number.isInteger(cpu) || cpu < 0 || cpu >= 2048 * 8)) {
    throw clientError('invalidArgument', `${cpus.join(', ')} are no CPU numbers`)
  }
  const map = new Uint8Array(Math.floor(Math.max(0, ...cpus) / 8) + 1)
  for (const cpu of cpus) map[cpu >> 3] = (map[cpu >> 3] ?? 0) | (1 << (cpu & 7))
  return map
}

/** Changing a domain's devices, CPUs and memory. */
export function deviceCalls({ call }: Rpc) {
  return {
    attachDevice: async (domain: Domain, xml: string, options?: DeviceOptions): Promise<void> =>
      call(procedures.DOMAIN_ATTACH_DEVICE_FLAGS, { domain, xml, flags: flagBits(options, deviceBits) }, options),
    /**
     * Asks the guest to let go of a device. It is gone only when the event `device-removed` comes, or at once where the
     * guest had not taken it; a guest may also never let go.
     */
    detachDevice: async (domain: Domain, xml: string, options?: DeviceOptions): Promise<void> =>
      call(procedures.DOMAIN_DETACH_DEVICE_FLAGS, { domain, xml, flags: flagBits(options, deviceBits) }, options),
    /** As detachDevice, for the device of this alias (`net0`, or one's own beginning with `ua-`); only asks, never waits. */
    detachDeviceAlias: async (domain: Domain, alias: string, options?: DeviceOptions): Promise<void> =>
      call(procedures.DOMAIN_DETACH_DEVICE_ALIAS, { domain, alias, flags: flagBits(options, deviceBits) }, options),
    /**
     * Changes a device in place. libvirt may answer that it did and have changed nothing (9.0: `trustGuestRxFilters` of
     * a running NIC), so look at the XML afterwards.
     */
    updateDevice: async (domain: Domain, xml: string, options?: DeviceOptions): Promise<void> =>
      call(procedures.DOMAIN_UPDATE_DEVICE_FLAGS, { domain, xml, flags: flagBits(options, deviceBits) }, options),
    /** @param device its target device name or MAC. */
    interfaceParameters: async (
      domain: Domain,
      device: string,
      options?: CallOptions & AffectOptions,
    ): Promise<TypedRecord> => {
      const args = { domain, device, count: parameterCount, flags: flagBits(options, affectBits) }
      return typedRecord((await call(procedures.DOMAIN_GET_INTERFACE_PARAMETERS, args, options)).parameters)
    },
    /** @param device its target device name or MAC. */
    setInterfaceParameters: async (
      domain: Domain,
      device: string,
      bandwidth: InterfaceBandwidth,
      options?: CallOptions & AffectOptions,
    ): Promise<void> => {
      const parameters = bandwidthParameters(bandwidth)
      const args = { domain, device, parameters, flags: flagBits(options, affectBits) }
      return call(procedures.DOMAIN_SET_INTERFACE_PARAMETERS, args, options)
    },
    /** Number of virtual CPUs; `maximum`: of those it may have at most; `guest`: as the agent sees them. */
    vcpuCount: async (
      domain: Domain,
      options?: CallOptions & AffectOptions & { readonly maximum?: boolean; readonly guest?: boolean },
    ): Promise<number> => {
      const args = { domain, flags: flagBits(options, { ...affectBits, maximum: 4, guest: 8 }) }
      return (await call(procedures.DOMAIN_GET_VCPUS_FLAGS, args, options)).value
    },
    setVcpuCount: async (
      domain: Domain,
      count: number,
      options?: CallOptions & AffectOptions & { readonly maximum?: boolean; readonly guest?: boolean },
    ): Promise<void> => {
      const args = { domain, count, flags: flagBits(options, { ...affectBits, maximum: 4, guest: 8 }) }
      return call(procedures.DOMAIN_SET_VCPUS_FLAGS, args, options)
    },
    /** Lets a virtual CPU run on these host CPUs only. */
    pinVcpu: async (
      domain: Domain,
      vcpu: number,
      cpus: readonly number[],
      options?: CallOptions & AffectOptions,
    ): Promise<void> => {
      const args = { domain, vcpu, cpuMap: cpuMapOf(cpus), flags: flagBits(options, affectBits) }
      return call(procedures.DOMAIN_PIN_VCPU_FLAGS, args, options)
    },
    /** Lets QEMU's own threads run on these host CPUs only. */
    pinEmulator: async (
      domain: Domain,
      cpus: readonly number[],
      options?: CallOptions & AffectOptions,
    ): Promise<void> => {
      const args = { domain, cpuMap: cpuMapOf(cpus), flags: flagBits(options, affectBits) }
      return call(procedures.DOMAIN_PIN_EMULATOR, args, options)
    },
    /** @param kib the new size in KiB. @param options.maximum of the limit, not of what the domain has now. */
    setMemory: async (
      domain: Domain,
      kib: number,
      options?: CallOptions & AffectOptions & { readonly maximum?: boolean },
    ): Promise<void> => {
      const args = { domain, memory: kib, flags: flagBits(options, { ...affectBits, maximum: 4 }) }
      return call(procedures.DOMAIN_SET_MEMORY_FLAGS, args, options)
    },
    /** Makes a running domain see a disk of another size, in bytes. */
    resizeBlockDevice: async (domain: Domain, disk: string, bytes: number, options?: CallOptions): Promise<void> =>
      call(procedures.DOMAIN_BLOCK_RESIZE, { domain, disk, size: bytes, flags: 1 }, options),
  }
}
