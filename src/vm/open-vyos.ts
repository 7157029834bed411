import type { Connection } from '../libvirt/index.ts'
import { uncutAccess } from '../os/vyos/uncut-access.ts'
import { shellAccess, type VyosAccess } from '../os/vyos/vyos-access.ts'
import { hostUndoRecords, withOtherRecords } from './api/host-undo-records.ts'
import { openGuestApi } from './api/open-guest-api.ts'
import type { Vm } from './find-vm.ts'
import { type GuestChannel, type OpenGuestOptions, openGuestShell } from './ssh/open-guest-shell.ts'

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
  if (via === 'api')
    return { vyos: await openGuestApi(vm, { keyFile: apiKeyFile, ...options }), close: async () => undefined }
  const opened = await openGuestShell(connection, vm, { via, ...options })
  const own = opened.via === 'ssh' ? uncutAccess(opened.shell, opened.console) : shellAccess(opened.shell)
  // What came by the HTTP API is noted on this host, since no file gets into the guest by it.
  const undoRecords = withOtherRecords(own.undoRecords, hostUndoRecords(vm.domain.name))
  return { vyos: { ...own, undoRecords }, close: opened.close }
}
