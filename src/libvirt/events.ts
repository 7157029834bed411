import type { CallOptions } from './call-options.ts'
import { type EventQueue, type Events, eventQueue } from './event-queue.ts'
import {
  type DomainEvent,
  type DomainEventKind,
  domainEventKinds,
  type EventKind,
  type MonitorEvent,
  monitorEvent,
  type NetworkEvent,
  networkLifecycle,
} from './protocol/events.ts'
import { programs } from './protocol/message.ts'
import { type Procedure, procedures } from './protocol/procedures.ts'
import type { Domain, Network } from './protocol/types.ts'
import type { Rpc } from './rpc.ts'

/** How events are taken. The signal holds until the last event; aborting it throws its reason in the loop. */
export interface EventOptions extends CallOptions {
  /** How many events may wait for the reader before the loop fails with `VIR_ERR_OVERFLOW`; 1024 by default. */
  readonly queueLimit?: number
}

const defaultQueueLimit = 1024

/** One registration: the daemon's procedures for it, and what its messages are. */
interface Registration<A, E, T> {
  readonly program: number
  readonly register: Procedure<A, { value: number }>
  readonly deregister: Procedure<{ value: number }, void>
  readonly args: A
  readonly kind: EventKind<E>
  readonly toEvent: (event: E) => T
}

/** Events of domains, networks and QEMU's monitor. Each is registered with the daemon when the promise is fulfilled. */
export function eventCalls(rpc: Rpc) {
  const register = async <A, E, T>(
    registration: Registration<A, E, T>,
    queue: EventQueue<T>,
    stops: (() => Promise<void>)[],
    options: CallOptions,
  ): Promise<void> => {
    const forget = async (callbackId: number) => {
      // Whether the daemon still hears it does not matter: it forgets the registration with the connection anyway.
      await rpc.call(registration.deregister, { value: callbackId }).catch(() => {})
    }
    await rpc.call(registration.register, registration.args, options, {
      accepted: ({ value: callbackId }) => {
        const unsubscribe = rpc.subscribe(registration.program, registration.kind.procedure, callbackId, {
          read: registration.kind.read,
          deliver: (event) => queue.push(registration.toEvent(event as E)),
          lose: queue.finish,
        })
        stops.push(async () => {
          unsubscribe()
          await forget(callbackId)
        })
      },
      abandoned: ({ value }) => void forget(value),
    })
  }

  const open = async <A, E, T>(
    registrations: readonly Registration<A, E, T>[],
    { queueLimit = defaultQueueLimit, ...options }: EventOptions,
  ): Promise<Events<T>> => {
    options.signal?.throwIfAborted()
    const stops: (() => Promise<void>)[] = []
    const queue = eventQueue<T>(queueLimit, options.signal, async () => {
      await Promise.all(stops.map((stop) => stop()))
    })
    const results = await Promise.allSettled(registrations.map((each) => register(each, queue, stops, options)))
    const refused = results.find((result) => result.status === 'rejected')
    if (!refused) return queue.events
    await queue.events.return()
    throw refused.reason
  }

  return {
    /**
     * Events of all domains, or of one.
     *
     * ```ts
     * const events = await connection.domainEvents({ kinds: ['device-removed'], domain })
     * await connection.detachDevice(domain, xml, { live: true })
     * for await (const event of events) if (event.alias === 'net0') break
     * ```
     */
    domainEvents: <K extends DomainEventKind>(
      options: EventOptions & { readonly kinds: readonly K[]; readonly domain?: Domain },
    ): Promise<Events<Extract<DomainEvent, { kind: K }>>> => {
      const { kinds, domain = null, ...rest } = options
      const registrations = kinds.map((kind) => ({
        program: programs.remote,
        register: procedures.CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY,
        deregister: procedures.CONNECT_DOMAIN_EVENT_CALLBACK_DEREGISTER_ANY,
        args: { event: domainEventKinds[kind].id, domain },
        kind: domainEventKinds[kind] as EventKind<object>,
        toEvent: (event: object) => ({ kind, ...event }) as unknown as Extract<DomainEvent, { kind: K }>,
      }))
      return open(registrations, rest)
    },
    /** Networks defined, started, stopped and undefined: of all networks, or of one. */
    networkEvents: (options: EventOptions & { readonly network?: Network } = {}): Promise<Events<NetworkEvent>> => {
      const { network = null, ...rest } = options
      const registration = {
        program: programs.remote,
        register: procedures.CONNECT_NETWORK_EVENT_REGISTER_ANY,
        deregister: procedures.CONNECT_NETWORK_EVENT_DEREGISTER_ANY,
        args: { event: networkLifecycle.id, network },
        kind: networkLifecycle,
        toEvent: (event: NetworkEvent) => event,
      }
      return open([registration], rest)
    },
    /** Events of QEMU's monitor, as `NIC_RX_FILTER_CHANGED`; all when no name is given. */
    qemuMonitorEvents: (
      options: EventOptions & { readonly domain?: Domain; readonly event?: string } = {},
    ): Promise<Events<MonitorEvent>> => {
      const { domain = null, event = null, ...rest } = options
      const registration = {
        program: programs.qemu,
        register: procedures.QEMU_CONNECT_DOMAIN_MONITOR_EVENT_REGISTER,
        deregister: procedures.QEMU_CONNECT_DOMAIN_MONITOR_EVENT_DEREGISTER,
        args: { domain, event, flags: 0 },
        kind: monitorEvent,
        toEvent: (received: MonitorEvent) => received,
      }
      return open([registration], rest)
    },
  }
}
