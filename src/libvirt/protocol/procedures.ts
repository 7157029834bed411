import { programs } from './message.ts'
import {
  cpuMap,
  cpuMaps,
  dhcpLease,
  domain,
  domainInterface,
  network,
  nodeDevice,
  snapshot,
  storagePool,
  storageVolume,
  typedParameter,
  vcpuInfo,
} from './types.ts'
import {
  array,
  bool,
  charArray,
  counter,
  int,
  nothing,
  nullable,
  string,
  struct,
  ucounter,
  uint,
  uuid,
  type Xdr,
  type XdrValue,
} from './xdr.ts'

const flags = uint
const domainOnly = struct({ domain })
const domainFlags = struct({ domain, flags })
const domainResult = struct({ domain })
const xmlFlags = struct({ xml: string, flags })
const xmlResult = struct({ xml: string })
const networkOnly = struct({ network })
const networkResult = struct({ network })
const poolOnly = struct({ pool: storagePool })
const poolFlags = struct({ pool: storagePool, flags })
const poolResult = struct({ pool: storagePool })
const volumeResult = struct({ volume: storageVolume })
const snapshotFlags = struct({ snapshot, flags })
const snapshotResult = struct({ snapshot })
const truth = struct({ value: bool })
const number = struct({ value: int })
const listAll = struct({ needResults: bool, flags })
const deviceXml = struct({ domain, xml: string, flags })
const volumeRange = struct({ volume: storageVolume, offset: ucounter, length: ucounter, flags })
/** Sixteen parameters at most is the limit of every call that uses this, as REMOTE_DOMAIN_INTERFACE_PARAMETERS_MAX. */
const fewParameters = struct({ parameters: array(typedParameter, 16), count: int })

/**
 * The procedures that this library can call: name, number, arguments, result.
 *
 * Names and numbers are those of REMOTE_PROC_… in libvirt's src/remote/remote_protocol.x and, where a name begins with
 * QEMU_, of QEMU_PROC_… in src/remote/qemu_protocol.x; the structs are those that these files give. libvirt only ever
 * appends procedures: neither a number nor a struct in use changes.
 */
// biome-ignore format: one row a procedure
const rows = [
  ['CONNECT_OPEN', 1, struct({ uri: nullable(string), flags }), nothing],
  ['CONNECT_GET_TYPE', 3, nothing, struct({ type: string })],
  ['CONNECT_GET_VERSION', 4, nothing, struct({ version: ucounter })],
  ['NODE_GET_INFO', 6, nothing, struct({
    model: charArray(32), memory: ucounter, cpus: int, mhz: int, nodes: int, sockets: int, cores: int, threads: int,
  })],
  ['CONNECT_GET_CAPABILITIES', 7, nothing, xmlResult],
  ['DOMAIN_CREATE_XML', 10, xmlFlags, domainResult],
  ['DOMAIN_GET_XML_DESC', 14, domainFlags, xmlResult],
  ['DOMAIN_GET_AUTOSTART', 15, domainOnly, truth],
  ['DOMAIN_GET_INFO', 16, domainOnly, struct({
    state: uint, maxMemory: ucounter, memory: ucounter, vcpus: uint, cpuTime: ucounter,
  })],
  ['DOMAIN_GET_VCPUS', 20, struct({ domain, maxInfo: int, mapLength: int }), struct({
    vcpus: array(vcpuInfo, 16_384), cpuMaps,
  })],
  ['DOMAIN_LOOKUP_BY_ID', 22, struct({ id: int }), domainResult],
  ['DOMAIN_LOOKUP_BY_NAME', 23, struct({ name: string }), domainResult],
  ['DOMAIN_LOOKUP_BY_UUID', 24, struct({ uuid }), domainResult],
  ['DOMAIN_REBOOT', 27, domainFlags, nothing],
  ['DOMAIN_RESUME', 28, domainOnly, nothing],
  ['DOMAIN_SET_AUTOSTART', 29, struct({ domain, autostart: bool }), nothing],
  ['DOMAIN_SUSPEND', 34, domainOnly, nothing],
  ['NETWORK_CREATE', 39, networkOnly, nothing],
  ['NETWORK_CREATE_XML', 40, struct({ xml: string }), networkResult],
  ['NETWORK_DEFINE_XML', 41, struct({ xml: string }), networkResult],
  ['NETWORK_DESTROY', 42, networkOnly, nothing],
  ['NETWORK_GET_XML_DESC', 43, struct({ network, flags }), xmlResult],
  ['NETWORK_GET_AUTOSTART', 44, networkOnly, truth],
  ['NETWORK_GET_BRIDGE_NAME', 45, networkOnly, struct({ name: string })],
  ['NETWORK_LOOKUP_BY_NAME', 46, struct({ name: string }), networkResult],
  ['NETWORK_LOOKUP_BY_UUID', 47, struct({ uuid }), networkResult],
  ['NETWORK_SET_AUTOSTART', 48, struct({ network, autostart: bool }), nothing],
  ['NETWORK_UNDEFINE', 49, networkOnly, nothing],
  ['CONNECT_GET_HOSTNAME', 59, nothing, struct({ hostname: string })],
  ['CONNECT_SUPPORTS_FEATURE', 60, struct({ feature: int }), truth],
  ['DOMAIN_BLOCK_STATS', 64, struct({ domain, path: string }), struct({
    readRequests: counter, readBytes: counter, writeRequests: counter, writeBytes: counter, errors: counter,
  })],
  ['DOMAIN_INTERFACE_STATS', 65, struct({ domain, device: string }), struct({
    rxBytes: counter, rxPackets: counter, rxErrors: counter, rxDropped: counter,
    txBytes: counter, txPackets: counter, txErrors: counter, txDropped: counter,
  })],
  ['AUTH_LIST', 66, nothing, struct({ types: array(int, 20) })],
  ['AUTH_POLKIT', 70, nothing, struct({ complete: bool })],
  ['STORAGE_POOL_CREATE_XML', 76, xmlFlags, poolResult],
  ['STORAGE_POOL_DEFINE_XML', 77, xmlFlags, poolResult],
  ['STORAGE_POOL_CREATE', 78, poolFlags, nothing],
  ['STORAGE_POOL_BUILD', 79, poolFlags, nothing],
  ['STORAGE_POOL_DESTROY', 80, poolOnly, nothing],
  ['STORAGE_POOL_DELETE', 81, poolFlags, nothing],
  ['STORAGE_POOL_UNDEFINE', 82, poolOnly, nothing],
  ['STORAGE_POOL_REFRESH', 83, poolFlags, nothing],
  ['STORAGE_POOL_LOOKUP_BY_NAME', 84, struct({ name: string }), poolResult],
  ['STORAGE_POOL_GET_INFO', 87, poolOnly, struct({
    state: uint, capacity: ucounter, allocation: ucounter, available: ucounter,
  })],
  ['STORAGE_POOL_GET_XML_DESC', 88, poolFlags, xmlResult],
  ['STORAGE_POOL_GET_AUTOSTART', 89, poolOnly, truth],
  ['STORAGE_POOL_SET_AUTOSTART', 90, struct({ pool: storagePool, autostart: bool }), nothing],
  ['STORAGE_VOL_CREATE_XML', 93, struct({ pool: storagePool, xml: string, flags }), volumeResult],
  ['STORAGE_VOL_DELETE', 94, struct({ volume: storageVolume, flags }), nothing],
  ['STORAGE_VOL_LOOKUP_BY_NAME', 95, struct({ pool: storagePool, name: string }), volumeResult],
  ['STORAGE_VOL_LOOKUP_BY_PATH', 97, struct({ path: string }), volumeResult],
  ['STORAGE_VOL_GET_INFO', 98, struct({ volume: storageVolume }), struct({
    type: int, capacity: ucounter, allocation: ucounter,
  })],
  ['STORAGE_VOL_GET_XML_DESC', 99, struct({ volume: storageVolume, flags }), xmlResult],
  ['STORAGE_VOL_GET_PATH', 100, struct({ volume: storageVolume }), struct({ path: string })],
  ['NODE_GET_FREE_MEMORY', 102, nothing, struct({ freeMemory: ucounter })],
  ['CONNECT_GET_URI', 110, nothing, struct({ uri: string })],
  ['NODE_DEVICE_LOOKUP_BY_NAME', 113, struct({ name: string }), struct({ device: nodeDevice })],
  ['NODE_DEVICE_GET_XML_DESC', 114, struct({ name: string, flags }), xmlResult],
  ['NODE_DEVICE_GET_PARENT', 115, struct({ name: string }), struct({ parentName: nullable(string) })],
  ['NODE_DEVICE_RE_ATTACH', 119, struct({ name: string }), nothing],
  ['STORAGE_VOL_CREATE_XML_FROM', 125, struct({
    pool: storagePool, xml: string, source: storageVolume, flags,
  }), volumeResult],
  ['CONNECT_DOMAIN_XML_TO_NATIVE', 136, struct({ nativeFormat: string, domainXml: string, flags }), struct({
    nativeConfig: string,
  })],
  ['DOMAIN_IS_ACTIVE', 150, domainOnly, truth],
  ['DOMAIN_IS_PERSISTENT', 151, domainOnly, truth],
  ['NETWORK_IS_ACTIVE', 152, networkOnly, truth],
  ['NETWORK_IS_PERSISTENT', 153, networkOnly, truth],
  ['STORAGE_POOL_IS_ACTIVE', 154, poolOnly, truth],
  ['CONNECT_GET_LIB_VERSION', 157, nothing, struct({ version: ucounter })],
  ['DOMAIN_MEMORY_STATS', 159, struct({ domain, maxStats: uint, flags }), struct({
    stats: array(struct({ tag: int, value: ucounter }), 1024),
  })],
  ['DOMAIN_ATTACH_DEVICE_FLAGS', 160, deviceXml, nothing],
  ['DOMAIN_DETACH_DEVICE_FLAGS', 161, deviceXml, nothing],
  ['DOMAIN_ABORT_JOB', 164, domainOnly, nothing],
  ['DOMAIN_UPDATE_DEVICE_FLAGS', 174, deviceXml, nothing],
  ['DOMAIN_MANAGED_SAVE', 182, domainFlags, nothing],
  ['DOMAIN_HAS_MANAGED_SAVE_IMAGE', 183, domainFlags, truth],
  ['DOMAIN_MANAGED_SAVE_REMOVE', 184, domainFlags, nothing],
  ['DOMAIN_SNAPSHOT_CREATE_XML', 185, struct({ domain, xml: string, flags }), snapshotResult],
  ['DOMAIN_SNAPSHOT_GET_XML_DESC', 186, snapshotFlags, xmlResult],
  ['DOMAIN_SNAPSHOT_LOOKUP_BY_NAME', 189, struct({ domain, name: string, flags }), snapshotResult],
  ['DOMAIN_HAS_CURRENT_SNAPSHOT', 190, domainFlags, truth],
  ['DOMAIN_SNAPSHOT_CURRENT', 191, domainFlags, snapshotResult],
  ['DOMAIN_REVERT_TO_SNAPSHOT', 192, snapshotFlags, nothing],
  ['DOMAIN_SNAPSHOT_DELETE', 193, snapshotFlags, nothing],
  ['DOMAIN_GET_BLOCK_INFO', 194, struct({ domain, path: string, flags }), struct({
    allocation: ucounter, capacity: ucounter, physical: ucounter,
  })],
  ['DOMAIN_CREATE_WITH_FLAGS', 196, domainFlags, domainResult],
  ['DOMAIN_SET_VCPUS_FLAGS', 199, struct({ domain, count: uint, flags }), nothing],
  ['DOMAIN_GET_VCPUS_FLAGS', 200, domainFlags, number],
  ['DOMAIN_OPEN_CONSOLE', 201, struct({ domain, device: nullable(string), flags }), nothing],
  ['DOMAIN_IS_UPDATED', 202, domainOnly, truth],
  ['CONNECT_GET_SYSINFO', 203, struct({ flags }), xmlResult],
  ['DOMAIN_SET_MEMORY_FLAGS', 204, struct({ domain, memory: ucounter, flags }), nothing],
  ['STORAGE_VOL_UPLOAD', 208, volumeRange, nothing],
  ['STORAGE_VOL_DOWNLOAD', 209, volumeRange, nothing],
  ['DOMAIN_INJECT_NMI', 210, domainFlags, nothing],
  ['DOMAIN_SCREENSHOT', 211, struct({ domain, screen: uint, flags }), struct({ mime: nullable(string) })],
  ['DOMAIN_GET_STATE', 212, domainFlags, struct({ state: int, reason: int })],
  ['DOMAIN_PIN_VCPU_FLAGS', 225, struct({ domain, vcpu: uint, cpuMap, flags }), nothing],
  ['DOMAIN_SEND_KEY', 226, struct({
    domain, codeSet: uint, holdTime: uint, keys: array(uint, 16), flags,
  }), nothing],
  ['DOMAIN_GET_CONTROL_INFO', 229, domainFlags, struct({ state: uint, details: uint, stateTime: ucounter })],
  ['DOMAIN_UNDEFINE_FLAGS', 231, domainFlags, nothing],
  ['DOMAIN_DESTROY_FLAGS', 234, domainFlags, nothing],
  ['DOMAIN_BLOCK_STATS_FLAGS', 243, struct({ domain, path: string, count: int, flags }), fewParameters],
  ['DOMAIN_SNAPSHOT_GET_PARENT', 244, snapshotFlags, snapshotResult],
  ['DOMAIN_RESET', 245, domainFlags, nothing],
  ['DOMAIN_BLOCK_RESIZE', 251, struct({ domain, disk: string, size: ucounter, flags }), nothing],
  ['DOMAIN_SET_INTERFACE_PARAMETERS', 256, struct({
    domain, device: string, parameters: array(typedParameter, 16), flags,
  }), nothing],
  ['DOMAIN_GET_INTERFACE_PARAMETERS', 257, struct({ domain, device: string, count: int, flags }), fewParameters],
  ['DOMAIN_SHUTDOWN_FLAGS', 258, domainFlags, nothing],
  ['STORAGE_VOL_RESIZE', 260, struct({ volume: storageVolume, capacity: ucounter, flags }), nothing],
  ['DOMAIN_GET_CPU_STATS', 262, struct({ domain, count: uint, startCpu: int, cpus: uint, flags }), struct({
    parameters: array(typedParameter, 2048), count: int,
  })],
  ['DOMAIN_GET_DISK_ERRORS', 263, struct({ domain, maxErrors: uint, flags }), struct({
    errors: array(struct({ disk: string, error: int }), 256), count: int,
  })],
  ['DOMAIN_SET_METADATA', 264, struct({
    domain, type: int, metadata: nullable(string), key: nullable(string), uri: nullable(string), flags,
  }), nothing],
  ['DOMAIN_GET_METADATA', 265, struct({ domain, type: int, uri: nullable(string), flags }), struct({
    metadata: string,
  })],
  ['CONNECT_LIST_ALL_DOMAINS', 273, listAll, struct({ domains: array(domain, 16_384), count: uint })],
  ['DOMAIN_LIST_ALL_SNAPSHOTS', 274, struct({ domain, needResults: bool, flags }), struct({
    snapshots: array(snapshot, 16_384), count: int,
  })],
  ['DOMAIN_GET_HOSTNAME', 277, domainFlags, struct({ hostname: string })],
  ['DOMAIN_PIN_EMULATOR', 279, struct({ domain, cpuMap, flags }), nothing],
  ['CONNECT_LIST_ALL_STORAGE_POOLS', 281, listAll, struct({ pools: array(storagePool, 16_384), count: uint })],
  ['STORAGE_POOL_LIST_ALL_VOLUMES', 282, struct({ pool: storagePool, needResults: bool, flags }), struct({
    volumes: array(storageVolume, 16_384), count: uint,
  })],
  ['CONNECT_LIST_ALL_NETWORKS', 283, listAll, struct({ networks: array(network, 16_384), count: uint })],
  ['CONNECT_LIST_ALL_NODE_DEVICES', 285, listAll, struct({ devices: array(nodeDevice, 65_536), count: uint })],
  ['NETWORK_UPDATE', 291, struct({
    network, command: uint, section: uint, parentIndex: int, xml: string, flags,
  }), nothing],
  ['DOMAIN_OPEN_CHANNEL', 296, struct({ domain, name: nullable(string), flags }), nothing],
  ['DOMAIN_GET_JOB_STATS', 298, domainFlags, struct({ type: int, parameters: array(typedParameter, 64) })],
  ['NODE_DEVICE_DETACH_FLAGS', 301, struct({ name: string, driver: nullable(string), flags }), nothing],
  ['CONNECT_GET_CPU_MODEL_NAMES', 312, struct({ arch: string, needResults: bool, flags }), struct({
    models: array(string, 8192), count: int,
  })],
  ['CONNECT_NETWORK_EVENT_REGISTER_ANY', 313, struct({ event: int, network: nullable(network) }), number],
  ['CONNECT_NETWORK_EVENT_DEREGISTER_ANY', 314, number, nothing],
  ['CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY', 316, struct({ event: int, domain: nullable(domain) }), number],
  ['CONNECT_DOMAIN_EVENT_CALLBACK_DEREGISTER_ANY', 317, number, nothing],
  ['DOMAIN_FSFREEZE', 335, struct({ domain, mountpoints: array(string, 256), flags }), number],
  ['DOMAIN_FSTHAW', 336, struct({ domain, mountpoints: array(string, 256), flags }), number],
  ['DOMAIN_GET_TIME', 337, domainFlags, struct({ seconds: counter, nanoseconds: uint })],
  ['DOMAIN_SET_TIME', 338, struct({ domain, seconds: counter, nanoseconds: uint, flags }), nothing],
  ['NETWORK_GET_DHCP_LEASES', 341, struct({ network, mac: nullable(string), needResults: bool, flags }), struct({
    leases: array(dhcpLease, 65_536), count: uint,
  })],
  ['CONNECT_GET_DOMAIN_CAPABILITIES', 342, struct({
    emulator: nullable(string), arch: nullable(string), machine: nullable(string), virtType: nullable(string), flags,
  }), xmlResult],
  ['CONNECT_GET_ALL_DOMAIN_STATS', 344, struct({ domains: array(domain, 16_384), stats: uint, flags }), struct({
    records: array(struct({ domain, parameters: array(typedParameter, 262_144) }), 16_384),
  })],
  ['DOMAIN_DEFINE_XML_FLAGS', 350, xmlFlags, domainResult],
  ['DOMAIN_INTERFACE_ADDRESSES', 353, struct({ domain, source: uint, flags }), struct({
    interfaces: array(domainInterface, 2048),
  })],
  ['DOMAIN_RENAME', 358, struct({ domain, newName: nullable(string), flags }), number],
  ['DOMAIN_DETACH_DEVICE_ALIAS', 392, struct({ domain, alias: string, flags }), nothing],
  ['DOMAIN_GET_GUEST_INFO', 418, struct({ domain, types: uint, flags }), struct({
    parameters: array(typedParameter, 2048),
  })],
  ['DOMAIN_GET_MESSAGES', 426, domainFlags, struct({ messages: array(string, 2048) })],
  ['NETWORK_DEFINE_XML_FLAGS', 432, xmlFlags, networkResult],
  ['QEMU_DOMAIN_MONITOR_COMMAND', 1, struct({ domain, command: string, flags }), struct({ result: string })],
  ['QEMU_DOMAIN_AGENT_COMMAND', 3, struct({ domain, command: string, timeout: int, flags }), struct({
    result: nullable(string),
  })],
  ['QEMU_CONNECT_DOMAIN_MONITOR_EVENT_REGISTER', 4, struct({
    domain: nullable(domain), event: nullable(string), flags,
  }), number],
  ['QEMU_CONNECT_DOMAIN_MONITOR_EVENT_DEREGISTER', 5, number, nothing],
] as const

type Row = (typeof rows)[number]
export type ProcedureName = Row[0]

/** One procedure: how to call it and what comes back. */
export interface Procedure<A, R> {
  readonly name: ProcedureName
  readonly program: number
  readonly number: number
  readonly args: Xdr<A>
  readonly result: Xdr<R>
}

type Procedures = { readonly [R in Row as R[0]]: Procedure<XdrValue<R[2]>, XdrValue<R[3]>> }

/** The table by name. */
export const procedures = Object.fromEntries(
  rows.map(([name, number, args, result]) => {
    const program = name.startsWith('QEMU_') ? programs.qemu : programs.remote
    return [name, { name, program, number, args, result }]
  }),
) as unknown as Procedures
