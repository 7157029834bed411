import type { CallOptions } from '../call-options.ts'
import { procedures } from '../protocol/procedures.ts'
import type { XdrValue } from '../protocol/xdr.ts'
import type { Rpc } from '../rpc.ts'

/** The host's hardware; memory in KiB, `mhz` 0 where unknown, NUMA `nodes`, `sockets` a node, `cores` a socket. */
export type NodeInfo = Readonly<XdrValue<typeof procedures.NODE_GET_INFO.result>>

/** Which emulator domain capabilities are wanted of; what is not given, libvirt chooses. */
export interface DomainCapabilitiesOptions extends CallOptions {
  readonly emulator?: string
  readonly arch?: string
  readonly machine?: string
  /** `kvm` or `qemu`. */
  readonly virtType?: string
}

/** libvirt counts 9.0.1 as 9000001. */
function versionText(number: number): string {
  return `${Math.floor(number / 1e6)}.${Math.floor(number / 1e3) % 1e3}.${number % 1e3}`
}

/** Questions about the host, its daemon and its hypervisor. */
export function hostCalls({ call }: Rpc) {
  return {
    /** The driver's name, as `QEMU` or `Test`. */
    hypervisorType: async (options?: CallOptions): Promise<string> =>
      (await call(procedures.CONNECT_GET_TYPE, undefined, options)).type,
    /** The hypervisor's version, as QEMU's `7.2.22`. */
    hypervisorVersion: async (options?: CallOptions): Promise<string> =>
      versionText((await call(procedures.CONNECT_GET_VERSION, undefined, options)).version),
    /** The daemon's version, as `9.0.0`. */
    libvirtVersion: async (options?: CallOptions): Promise<string> =>
      versionText((await call(procedures.CONNECT_GET_LIB_VERSION, undefined, options)).version),
    hostname: async (options?: CallOptions): Promise<string> =>
      (await call(procedures.CONNECT_GET_HOSTNAME, undefined, options)).hostname,
    /** The URI as the daemon understood it. */
    daemonUri: async (options?: CallOptions): Promise<string> =>
      (await call(procedures.CONNECT_GET_URI, undefined, options)).uri,
    nodeInfo: (options?: CallOptions): Promise<NodeInfo> => call(procedures.NODE_GET_INFO, undefined, options),
    /** Free memory of the host in bytes. */
    freeMemory: async (options?: CallOptions): Promise<number> =>
      (await call(procedures.NODE_GET_FREE_MEMORY, undefined, options)).freeMemory,
    /** The host's capabilities, as XML. */
    capabilities: async (options?: CallOptions): Promise<string> =>
      (await call(procedures.CONNECT_GET_CAPABILITIES, undefined, options)).xml,
    /** What domains can be made of, as XML. */
    domainCapabilities: async (options: DomainCapabilitiesOptions = {}): Promise<string> => {
      const { emulator = null, arch = null, machine = null, virtType = null } = options
      const args = { emulator, arch, machine, virtType, flags: 0 }
      return (await call(procedures.CONNECT_GET_DOMAIN_CAPABILITIES, args, options)).xml
    },
    /**
     * What a domain's XML becomes in the hypervisor's own words, as `qemu-argv`; nothing is defined or changed. XML that
     * this libvirt does not take is refused as it would be on definition.
     */
    domainXmlToNative: async (format: string, domainXml: string, options?: CallOptions): Promise<string> =>
      (await call(procedures.CONNECT_DOMAIN_XML_TO_NATIVE, { nativeFormat: format, domainXml, flags: 0 }, options))
        .nativeConfig,
    /** SMBIOS facts of the host, as XML. */
    sysinfo: async (options?: CallOptions): Promise<string> =>
      (await call(procedures.CONNECT_GET_SYSINFO, { flags: 0 }, options)).xml,
    /** The CPU models that libvirt knows for an architecture, as `x86_64`. */
    cpuModelNames: async (arch: string, options?: CallOptions): Promise<readonly string[]> =>
      (await call(procedures.CONNECT_GET_CPU_MODEL_NAMES, { arch, needResults: true, flags: 0 }, options)).models,
  }
}
