/** Node bindings for libvirt: its RPC protocol in TypeScript, without native code. See README.md. */
export type { CallOptions } from './call-options.ts'
export type { BandwidthLimit, DeviceOptions, InterfaceBandwidth } from './calls/devices.ts'
export type {
  DomainJob,
  DomainState,
  DomainStateReason,
  DomainXmlOptions,
  InterfaceAddresses,
  MetadataKind,
} from './calls/domain-facts.ts'
export type {
  CreateDomainOptions,
  ListDomainsOptions,
  ManagedSaveOptions,
  ShutdownOptions,
  UndefineOptions,
} from './calls/domains.ts'
export type { AffectOptions } from './calls/flags.ts'
export type { GuestInfoOptions, OpenConsoleOptions, Screenshot } from './calls/guest.ts'
export type { DomainCapabilitiesOptions, NodeInfo } from './calls/host.ts'
export type { DhcpLease, ListNetworksOptions, NetworkChange } from './calls/networks.ts'
export type { ListNodeDevicesOptions } from './calls/node-devices.ts'
export type { CreateSnapshotOptions, DeleteSnapshotOptions, RevertOptions } from './calls/snapshots.ts'
export type { BlockInfo, BlockStats, DomainStats, DomainStatsOptions, InterfaceStats } from './calls/statistics.ts'
export type { BuildPoolOptions, CreateVolumeOptions, ResizeVolumeOptions, VolumeRange } from './calls/storage.ts'
export { type Connection, type ConnectOptions, connect, connectOver } from './connection.ts'
export {
  ConnectError,
  type ConnectFailure,
  type ConnectionLoss,
  ConnectionLostError,
  type ErrorCode,
  type ErrorDomain,
  type ErrorLevel,
  type ErrorWith,
  hasCode,
  isDeviceNotFound,
  isDomainNotFound,
  isMetadataNotFound,
  isNetworkNotFound,
  isOperationInvalid,
  isSnapshotNotFound,
  isStoragePoolNotFound,
  isStorageVolumeNotFound,
  isTimeout,
  isUnsupported,
  isXmlInvalid,
  LibvirtError,
} from './errors.ts'
export type { Events } from './event-queue.ts'
export type { EventOptions } from './events.ts'
export type { KeepAliveOptions } from './keep-alive.ts'
export type { DomainEvent, DomainEventKind, MonitorEvent, NetworkEvent } from './protocol/events.ts'
export type { Domain, DomainSnapshot, Network, NodeDevice, StoragePool, StorageVolume } from './protocol/types.ts'
export type { TypedRecord, TypedValue } from './typed-parameters.ts'
