import type { Connection } from '../libvirt/index.ts'
import { uncut, uncutAccess } from '../os/vyos/uncut-access.ts'
import { shellAccess, type VyosAccess } from '../os/vyos/vyos-access.ts'
import { wayInTo } from '../os/vyos/way-in.ts'
import { hostUndoRecords, withOtherRecords } from './api/host-undo-records.ts'
import { openGuestApi } from './api/open-guest-api.ts'
import type { Vm } from './find-vm.ts'
import { type GuestChannel, type OpenedGuest, type OpenGuestOptions, openGuestShell } from './ssh/open-guest-shell.ts'

export interface OpenVyosOptions extends Omit<OpenGuestOptions, 'via'> {
  readonly via: GuestChannel | 'api'
  /** The key of its HTTP API; default: the one that vmr gave it. */
  readonly apiKeyFile?: string | undefined
}

export interface OpenedVyos {
  readonly vyos: VyosAccess
  /** Never rejects. */
  close(): Promise<void>
}

/** The VyOS in a running VM, by the way that was asked for. Errors as of openGuestShell and openGuestApi. */
export async function openVyos(
  connection: Connection,
  vm: Vm,
  { via, apiKeyFile, ...options }: OpenVyosOptions,
): Promise<OpenedVyos> {
  const { name } = vm.domain
  if (via === 'api') {
    const { vyos, address } = await openGuestApi(vm, { keyFile: apiKeyFile, ...options })
    let console: Promise<OpenedGuest> | undefined
    const own = uncut(vyos, {
      wayIn: async (before) => wayInTo(address, before),
      async console() {
        console ??= openGuestShell(connection, vm, { via: 'console', signal: options.signal })
        return { ...shellAccess((await console).shell), undoRecords: vyos.undoRecords }
      },
    })
    const close = async () => {
      await console?.then(
        (opened) => opened.close(),
        () => undefined,
      )
    }
    return { vyos: own, close }
  }
  const opened = await openGuestShell(connection, vm, { via, ...options })
  const own = opened.via === 'ssh' ? uncutAccess(opened.shell, opened.console) : shellAccess(opened.shell)
  // What came by the HTTP API is noted on this host, since no file gets into the guest by it.
  const undoRecords = withOtherRecords(own.undoRecords, hostUndoRecords(name))
  return { vyos: { ...own, undoRecords }, close: opened.close }
}
