import { isVmrError, VmrError } from '../../errors/vmr-error.ts'
import { httpApiAccess } from '../../os/vyos/http-api.ts'
import type { VyosAccess } from '../../os/vyos/vyos-access.ts'
import { connectPinned, type HttpsTarget } from '../../shell/https/post-form.ts'
import { openRelay } from '../../shell/ssh/relay.ts'
import { loadTestbed } from '../../testbed/testbed.ts'
import type { Vm } from '../find-vm.ts'
import { sshRoutes } from '../ssh/route.ts'
import { keptApiKey, pinnedCertificate, readApiKey } from './api-credentials.ts'
import { hostUndoRecords } from './host-undo-records.ts'

export interface OpenGuestApiOptions {
  /** Default: the key that `vmr guest enable-api` gave it. */
  readonly keyFile?: string | undefined
  /** Where the guest is reached from this host; default: the testbed's addresses of it, from the PC on the same link. */
  readonly host?: string | undefined
  readonly signal?: AbortSignal | undefined
}

export interface OpenedGuestApi {
  readonly vyos: VyosAccess
  /** Of the guest, at which it answers. */
  readonly address: string
}

const httpsPort = 443

/**
 * The HTTP API of a running guest, at the first of its addresses at which it answers with its pinned certificate.
 *
 * @throws VmrError GUEST_NOT_READY without a key or a pinned certificate, GUEST_API_UNREACHABLE,
 *   GUEST_CERTIFICATE_CHANGED, CONFIG_NOT_FOUND, CONFIG_INVALID for a file that holds no key.
 */
export async function openGuestApi(
  { domain: { name }, metadata: { testbed } }: Vm,
  { keyFile, host, signal }: OpenGuestApiOptions,
): Promise<OpenedGuestApi> {
  const key = keyFile === undefined ? await keptApiKey(name) : await readApiKey(keyFile)
  const fingerprint = await pinnedCertificate(name)
  if (key === undefined || fingerprint === undefined)
    throw new VmrError(
      'GUEST_NOT_READY',
      `no ${key === undefined ? 'key' : 'certificate'} of ${name}’s HTTP API is known`,
      {
        hint: `Have it switched on over its console: vmr guest enable-api ${name}`,
      },
    )
  const routes = sshRoutes(testbed === undefined ? undefined : await loadTestbed(testbed), host)
  let refused: unknown
  for (const { address, through } of routes) {
    const target: HttpsTarget = {
      name,
      host: address,
      fingerprint,
      ...(through.length === 0 ? {} : { openStream: async () => openRelay(through, address, httpsPort) }),
    }
    try {
      const socket = await connectPinned(target, signal)
      socket.on('error', () => undefined)
      socket.destroy()
      return { vyos: httpApiAccess({ ...target, key, undoRecords: hostUndoRecords(name) }), address }
    } catch (error) {
      if (!isVmrError(error) || error.code !== 'GUEST_API_UNREACHABLE') throw error
      refused = error
    }
  }
  if (routes.length === 1 && refused !== undefined) throw refused
  const addresses = routes.map(({ address }) => address).join(', ')
  throw new VmrError(
    'GUEST_API_UNREACHABLE',
    routes.length === 0 ? `vmr knows no address of ${name}` : `no HTTPS service answers for ${name} at ${addresses}`,
    {
      hint:
        routes.length === 0
          ? 'Name the one of its management NIC: --host 192.0.2.1'
          : `Have it switched on over its console (vmr guest enable-api ${name}), or see why it is not reached: vmr diagnose ${name}`,
      cause: refused,
    },
  )
}
