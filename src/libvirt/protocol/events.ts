import { type TypedRecord, typedRecord } from '../typed-parameters.ts'
import {
  agentReasons,
  agentStates,
  blockJobStates,
  blockJobTypes,
  diskChangeReasons,
  ioErrorActions,
  lifecycleDetails,
  lifecycleEvents,
  metadataTypes,
  nameOf,
  networkEvents,
  trayChangeReasons,
  watchdogActions,
} from './enums.ts'
import { type Domain, domain, type Network, network, typedParameter } from './types.ts'
import { array, counter, int, nullable, string, struct, ucounter, uint, type Xdr, type XdrReader } from './xdr.ts'

/** One kind of event: the number to register it with, the procedure that carries it, and how to read that. */
export interface EventKind<T> {
  readonly id: number
  readonly procedure: number
  readonly read: (reader: XdrReader) => { readonly callbackId: number; readonly event: T }
}

/** An event's message as the protocol has it, made what a caller sees. */
function kind<M extends { callbackId: number }, T>(
  id: number,
  procedure: number,
  message: Xdr<M>,
  toEvent: (message: M) => T,
): EventKind<T> {
  return {
    id,
    procedure,
    read: (reader) => {
      const read = message.read(reader)
      return { callbackId: read.callbackId, event: toEvent(read) }
    },
  }
}

const bare = struct({ callbackId: int, domain })
const withReason = struct({ callbackId: int, reason: int, domain })
const withAlias = struct({ callbackId: int, domain, alias: string })
const onlyDomain = (message: { domain: Domain }) => ({ domain: message.domain })
const domainAndAlias = (message: { domain: Domain; alias: string }) => ({
  domain: message.domain,
  alias: message.alias,
})

/** virDomainEventID and the REMOTE_PROC_DOMAIN_EVENT_… that carries each. */
export const domainEventKinds = {
  lifecycle: kind(0, 318, struct({ callbackId: int, domain, event: int, detail: int }), (message) => ({
    domain: message.domain,
    event: nameOf(lifecycleEvents, message.event),
    detail: nameOf<readonly string[]>(lifecycleDetails[message.event] ?? [], message.detail),
  })),
  reboot: kind(1, 319, bare, onlyDomain),
  /** `offset`: seconds from UTC. */
  'rtc-change': kind(2, 320, struct({ callbackId: int, domain, offset: counter }), (message) => ({
    domain: message.domain,
    offset: message.offset,
  })),
  watchdog: kind(3, 321, struct({ callbackId: int, domain, action: int }), (message) => ({
    domain: message.domain,
    action: nameOf(watchdogActions, message.action),
  })),
  'io-error': kind(
    6,
    324,
    struct({ callbackId: int, domain, path: string, alias: string, action: int, reason: string }),
    (message) => ({
      domain: message.domain,
      path: message.path,
      alias: message.alias,
      action: nameOf(ioErrorActions, message.action),
      reason: message.reason,
    }),
  ),
  'control-error': kind(7, 325, bare, onlyDomain),
  'disk-change': kind(
    9,
    327,
    struct({
      callbackId: int,
      domain,
      oldPath: nullable(string),
      newPath: nullable(string),
      alias: string,
      reason: int,
    }),
    (message) => ({
      domain: message.domain,
      oldPath: message.oldPath,
      newPath: message.newPath,
      alias: message.alias,
      reason: nameOf(diskChangeReasons, message.reason),
    }),
  ),
  'tray-change': kind(10, 328, struct({ callbackId: int, domain, alias: string, reason: int }), (message) => ({
    domain: message.domain,
    alias: message.alias,
    reason: nameOf(trayChangeReasons, message.reason),
  })),
  'pm-wakeup': kind(11, 329, withReason, onlyDomain),
  'pm-suspend': kind(12, 330, withReason, onlyDomain),
  /** `actual`: the balloon's size in KiB. */
  'balloon-change': kind(13, 331, struct({ callbackId: int, domain, actual: ucounter }), (message) => ({
    domain: message.domain,
    actual: message.actual,
  })),
  'pm-suspend-disk': kind(14, 332, withReason, onlyDomain),
  /** The guest has let go of the device: only now is it really detached. */
  'device-removed': kind(15, 333, withAlias, domainAndAlias),
  'block-job': kind(16, 339, struct({ callbackId: int, domain, disk: string, type: int, status: int }), (message) => ({
    domain: message.domain,
    disk: message.disk,
    type: nameOf(blockJobTypes, message.type),
    status: nameOf(blockJobStates, message.status),
  })),
  tunable: kind(17, 346, struct({ callbackId: int, domain, parameters: array(typedParameter, 2048) }), (message) => ({
    domain: message.domain,
    parameters: typedRecord(message.parameters) satisfies TypedRecord,
  })),
  'agent-lifecycle': kind(18, 348, struct({ callbackId: int, domain, state: int, reason: int }), (message) => ({
    domain: message.domain,
    state: nameOf(agentStates, message.state),
    reason: nameOf(agentReasons, message.reason),
  })),
  'device-added': kind(19, 354, withAlias, domainAndAlias),
  'job-completed': kind(
    21,
    363,
    struct({ callbackId: int, domain, parameters: array(typedParameter, 64) }),
    (message) => ({ domain: message.domain, parameters: typedRecord(message.parameters) }),
  ),
  'device-removal-failed': kind(22, 367, withAlias, domainAndAlias),
  'metadata-change': kind(
    23,
    379,
    struct({ callbackId: int, domain, type: int, uri: nullable(string) }),
    (message) => ({ domain: message.domain, type: nameOf(metadataTypes, message.type), uri: message.uri }),
  ),
  /** `threshold` and `excess`: bytes. */
  'block-threshold': kind(
    24,
    385,
    struct({ callbackId: int, domain, device: string, path: nullable(string), threshold: ucounter, excess: ucounter }),
    (message) => ({
      domain: message.domain,
      device: message.device,
      path: message.path,
      threshold: message.threshold,
      excess: message.excess,
    }),
  ),
} as const

type DomainEventKinds = typeof domainEventKinds
export type DomainEventKind = keyof DomainEventKinds

type EventOf<K> = K extends EventKind<infer T> ? T : never

/** What happened to a domain: `kind` says which fields there are. */
export type DomainEvent = {
  [K in DomainEventKind]: { readonly kind: K } & Readonly<EventOf<DomainEventKinds[K]>>
}[DomainEventKind]

/** What happened to a network. */
export interface NetworkEvent {
  readonly network: Network
  readonly event: ReturnType<typeof nameOf<typeof networkEvents>>
}

/** virNetworkEventID: lifecycle is the only one. */
export const networkLifecycle: EventKind<NetworkEvent> = kind(
  0,
  315,
  struct({ callbackId: int, network, event: int, detail: int }),
  (message) => ({ network: message.network, event: nameOf(networkEvents, message.event) }),
)

/** An event of QEMU's monitor (QMP): `details` is its JSON, times are since the epoch. */
export interface MonitorEvent {
  readonly domain: Domain
  readonly event: string
  readonly seconds: number
  readonly microseconds: number
  readonly details: string | null
}

export const monitorEvent: EventKind<MonitorEvent> = kind(
  0,
  6,
  struct({
    callbackId: int,
    domain,
    event: string,
    seconds: counter,
    microseconds: uint,
    details: nullable(string),
  }),
  ({ domain: of, event, seconds, microseconds, details }) => ({ domain: of, event, seconds, microseconds, details }),
)
