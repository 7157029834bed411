import type { Duplex } from 'node:stream'
import type { CallOptions } from '../call-options.ts'
import { keyCodeSets } from '../protocol/enums.ts'
import { procedures } from '../protocol/procedures.ts'
import type { Domain } from '../protocol/types.ts'
import type { Rpc } from '../rpc.ts'
import { type TypedRecord, typedRecord } from '../typed-parameters.ts'
import { flagBits } from './flags.ts'

/** Which console, and what to do if somebody else has it. */
export interface OpenConsoleOptions extends CallOptions {
  /** Alias of the device, as `serial0`; the first console by default. */
  readonly deviceName?: string
  /** Disconnect whoever has the console now; without it, the call fails. */
  readonly force?: boolean
  /** Refuse where the driver cannot lock the console against a second user. */
  readonly safe?: boolean
}

/** A picture of the screen and its format, as `image/x-portable-pixmap`. */
export interface Screenshot {
  readonly mime: string
  readonly stream: Duplex
}

/** virDomainGuestInfoTypes: what to ask the agent; all it knows when none is chosen. */
export interface GuestInfoOptions extends CallOptions {
  readonly users?: boolean
  readonly os?: boolean
  readonly timezone?: boolean
  readonly hostname?: boolean
  readonly filesystem?: boolean
  readonly disks?: boolean
  readonly interfaces?: boolean
}
const guestInfoBits = { users: 1, os: 2, timezone: 4, hostname: 8, filesystem: 16, disks: 32, interfaces: 64 }

/** Dealing with the guest itself: its console, screen, keyboard, agent, and QEMU behind it. */
export function guestCalls({ call, openStream }: Rpc) {
  return {
    /**
     * Opens a serial console (of type pty) as a stream in both directions. It ends when the guest stops; `end()` or
     * `destroy()` leaves it.
     */
    openConsole: async (domain: Domain, options: OpenConsoleOptions = {}): Promise<Duplex> => {
      const args = { domain, device: options.deviceName ?? null, flags: flagBits(options, { force: 1, safe: 2 }) }
      return (await openStream(procedures.DOMAIN_OPEN_CONSOLE, args, 'both', options)).stream
    },
    /** Opens a virtio channel by its target name; the first one by default. */
    openChannel: async (
      domain: Domain,
      options: CallOptions & { readonly name?: string; readonly force?: boolean } = {},
    ): Promise<Duplex> => {
      const args = { domain, name: options.name ?? null, flags: flagBits(options, { force: 1 }) }
      return (await openStream(procedures.DOMAIN_OPEN_CHANNEL, args, 'both', options)).stream
    },
    screenshot: async (domain: Domain, options?: CallOptions & { readonly screen?: number }): Promise<Screenshot> => {
      const args = { domain, screen: options?.screen ?? 0, flags: 0 }
      const { stream, result } = await openStream(procedures.DOMAIN_SCREENSHOT, args, 'read', options)
      return { mime: result.mime ?? 'application/octet-stream', stream }
    },
    /** Presses keys together. @param keys their codes. @param options.holdTime ms. */
    sendKeys: async (
      domain: Domain,
      keys: readonly number[],
      options?: CallOptions & { readonly codeSet?: (typeof keyCodeSets)[number]; readonly holdTime?: number },
    ): Promise<void> => {
      const codeSet = keyCodeSets.indexOf(options?.codeSet ?? 'linux')
      const args = { domain, codeSet, holdTime: options?.holdTime ?? 0, keys, flags: 0 }
      return call(procedures.DOMAIN_SEND_KEY, args, options)
    },
    /** Sends a non-maskable interrupt, which makes most guests panic or dump. */
    injectNmi: async (domain: Domain, options?: CallOptions): Promise<void> =>
      call(procedures.DOMAIN_INJECT_NMI, { domain, flags: 0 }, options),
    /** The guest's clock, from the agent, in ms since the epoch. */
    guestTime: async (domain: Domain, options?: CallOptions): Promise<number> => {
      const { seconds, nanoseconds } = await call(procedures.DOMAIN_GET_TIME, { domain, flags: 0 }, options)
      return seconds * 1000 + nanoseconds / 1e6
    },
    /** Sets the guest's clock through the agent. @param time ms since the epoch. */
    setGuestTime: async (domain: Domain, time: number, options?: CallOptions): Promise<void> => {
      const seconds = Math.floor(time / 1000)
      const args = { domain, seconds, nanoseconds: Math.round((time - seconds * 1000) * 1e6), flags: 0 }
      return call(procedures.DOMAIN_SET_TIME, args, options)
    },
    /** What the agent knows of its guest, as `os.pretty-name`. */
    guestInfo: async (domain: Domain, options: GuestInfoOptions = {}): Promise<TypedRecord> => {
      const args = { domain, types: flagBits(options, guestInfoBits), flags: 0 }
      return typedRecord((await call(procedures.DOMAIN_GET_GUEST_INFO, args, options)).parameters)
    },
    /** Has the agent freeze file systems; all when none are named. Returns how many. */
    freezeFilesystems: async (
      domain: Domain,
      mountpoints: readonly string[] = [],
      options?: CallOptions,
    ): Promise<number> => (await call(procedures.DOMAIN_FSFREEZE, { domain, mountpoints, flags: 0 }, options)).value,
    /** Has the agent thaw frozen file systems. Returns how many. */
    thawFilesystems: async (
      domain: Domain,
      mountpoints: readonly string[] = [],
      options?: CallOptions,
    ): Promise<number> => (await call(procedures.DOMAIN_FSTHAW, { domain, mountpoints, flags: 0 }, options)).value,
    /**
     * Speaks to QEMU's monitor directly; libvirt marks the domain as tainted.
     *
     * @param command JSON, as `{"execute":"query-rx-filter"}`; with `human`, a command of the human monitor.
     * @returns the answer as text.
     */
    qemuMonitorCommand: async (
      domain: Domain,
      command: string,
      options?: CallOptions & { readonly human?: boolean },
    ): Promise<string> => {
      const args = { domain, command, flags: flagBits(options, { human: 1 }) }
      return (await call(procedures.QEMU_DOMAIN_MONITOR_COMMAND, args, options)).result
    },
    /**
     * Speaks to the guest agent directly.
     *
     * @param options.agentTimeout s that libvirt waits for the agent; its default of 5 s by default.
     * @returns the answer as JSON; null where a command has none.
     */
    qemuAgentCommand: async (
      domain: Domain,
      command: string,
      options?: CallOptions & { readonly agentTimeout?: number },
    ): Promise<string | null> => {
      const defaultTimeout = -1
      const args = { domain, command, timeout: options?.agentTimeout ?? defaultTimeout, flags: 0 }
      return (await call(procedures.QEMU_DOMAIN_AGENT_COMMAND, args, options)).result
    },
  }
}
