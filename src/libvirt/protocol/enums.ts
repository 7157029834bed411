/**
 * The enums of libvirt's include/libvirt/*.h by name: a name's place in its list is its number. Numbers that a newer
 * libvirt may send have the name `unknown-<number>`.
 */

/** A name of one of the lists below. */
export type NameOf<N extends readonly string[]> = N[number] | `unknown-${number}`

export function nameOf<const N extends readonly string[]>(names: N, number: number): NameOf<N> {
  return names[number] ?? `unknown-${number}`
}

/** virDomainState */
export const domainStates = [
  'nostate',
  'running',
  'blocked',
  'paused',
  'shutdown',
  'shutoff',
  'crashed',
  'pmsuspended',
] as const

/** virDomain…Reason, by state. */
export const domainStateReasons = [
  ['unknown'],
  [
    'unknown',
    'booted',
    'migrated',
    'restored',
    'from-snapshot',
    'unpaused',
    'migration-cancelled',
    'save-cancelled',
    'wakeup',
    'crashed',
    'post-copy',
    'post-copy-failed',
  ],
  ['unknown'],
  [
    'unknown',
    'user',
    'migration',
    'save',
    'dump',
    'io-error',
    'watchdog',
    'from-snapshot',
    'shutting-down',
    'snapshot',
    'crashed',
    'starting-up',
    'post-copy',
    'post-copy-failed',
  ],
  ['unknown', 'user'],
  ['unknown', 'shutdown', 'destroyed', 'crashed', 'migrated', 'saved', 'failed', 'from-snapshot', 'daemon'],
  ['unknown', 'panicked'],
  ['unknown'],
] as const

/** virDomainEventType */
export const lifecycleEvents = [
  'defined',
  'undefined',
  'started',
  'suspended',
  'resumed',
  'stopped',
  'shutdown',
  'pmsuspended',
  'crashed',
] as const

/** virDomainEvent…DetailType, by event. */
export const lifecycleDetails = [
  ['added', 'updated', 'renamed', 'from-snapshot'],
  ['removed', 'renamed'],
  ['booted', 'migrated', 'restored', 'from-snapshot', 'wakeup'],
  [
    'paused',
    'migrated',
    'io-error',
    'watchdog',
    'restored',
    'from-snapshot',
    'api-error',
    'post-copy',
    'post-copy-failed',
  ],
  ['unpaused', 'migrated', 'from-snapshot', 'post-copy', 'post-copy-failed'],
  ['shutdown', 'destroyed', 'crashed', 'migrated', 'saved', 'failed', 'from-snapshot'],
  ['finished', 'guest', 'host'],
  ['memory', 'disk'],
  ['panicked', 'crash-loaded'],
] as const

/** virDomainEventWatchdogAction */
export const watchdogActions = ['none', 'pause', 'reset', 'poweroff', 'shutdown', 'debug', 'inject-nmi'] as const
/** virDomainEventIOErrorAction */
export const ioErrorActions = ['none', 'pause', 'report'] as const
/** virConnectDomainEventAgentLifecycleState; 0 is not used. */
export const agentStates = ['unknown', 'connected', 'disconnected'] as const
/** virConnectDomainEventAgentLifecycleReason */
export const agentReasons = ['unknown', 'domain-started', 'channel'] as const
/** virDomainMetadataType */
export const metadataTypes = ['description', 'title', 'element'] as const
/** virDomainBlockJobType */
export const blockJobTypes = ['unknown', 'pull', 'copy', 'commit', 'active-commit', 'backup'] as const
/** virConnectDomainEventBlockJobStatus */
export const blockJobStates = ['completed', 'failed', 'cancelled', 'ready'] as const
/** virConnectDomainEventDiskChangeReason */
export const diskChangeReasons = ['missing-on-start', 'dropped-missing-on-start'] as const
/** virDomainEventTrayChangeReason */
export const trayChangeReasons = ['open', 'close'] as const
/** virNetworkEventLifecycleType */
export const networkEvents = ['defined', 'undefined', 'started', 'stopped'] as const
/** virIPAddrType */
export const ipAddressTypes = ['ipv4', 'ipv6'] as const
/** virDomainInterfaceAddressesSource */
export const addressSources = ['lease', 'agent', 'arp'] as const
/** virDomainMemoryStatTags */
export const memoryStatTags = [
  'swapIn',
  'swapOut',
  'majorFault',
  'minorFault',
  'unused',
  'available',
  'actualBalloon',
  'rss',
  'usable',
  'lastUpdate',
  'diskCaches',
  'hugetlbPgAlloc',
  'hugetlbPgFail',
] as const
/** virVcpuState */
export const vcpuStates = ['offline', 'running', 'blocked'] as const
/** virDomainControlState */
export const controlStates = ['ok', 'job', 'occupied', 'error'] as const
/** virDomainJobType */
export const jobTypes = ['none', 'bounded', 'unbounded', 'completed', 'failed', 'cancelled'] as const
/** virStoragePoolState */
export const storagePoolStates = ['inactive', 'building', 'running', 'degraded', 'inaccessible'] as const
/** virStorageVolType */
export const storageVolumeTypes = ['file', 'block', 'dir', 'network', 'netdir', 'ploop'] as const
/** virDomainDiskErrorCode */
export const diskErrors = ['none', 'unspecified', 'no-space'] as const
/** virNetworkUpdateCommand; 0 is not used. */
export const networkUpdateCommands = ['none', 'modify', 'delete', 'add-last', 'add-first'] as const
/** virNetworkUpdateSection; 0 is not used. */
export const networkUpdateSections = [
  'none',
  'bridge',
  'domain',
  'ip',
  'ip-dhcp-host',
  'ip-dhcp-range',
  'forward',
  'forward-interface',
  'forward-pf',
  'portgroup',
  'dns-host',
  'dns-txt',
  'dns-srv',
] as const
/** virKeycodeSet */
export const keyCodeSets = [
  'linux',
  'xt',
  'atset1',
  'atset2',
  'atset3',
  'osx',
  'xt-kbd',
  'usb',
  'win32',
  'qnum',
] as const
