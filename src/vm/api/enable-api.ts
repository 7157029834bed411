import { isVmrError, VmrError } from '../../errors/vmr-error.ts'
import type { VyosPath } from '../../os/vyos/path.ts'
import { planChange } from '../../os/vyos/plan.ts'
import { shellAccess } from '../../os/vyos/vyos-access.ts'
import type { Shell } from '../../shell/shell.ts'
import { makeApiKey, pinCertificate } from './api-credentials.ts'

const api: VyosPath = ['service', 'https', 'api']
const keyName = 'vmr'

export interface EnabledApi {
  /** False: it was switched on with this key already. */
  readonly changed: boolean
  /** SHA-256 of the certificate that is pinned now. */
  readonly fingerprint: string
}

/**
 * Switches the guest's HTTP API on, over its console, with a key of its own that nobody else is told, and pins its
 * certificate.
 *
 * @throws VmrError GUEST_CONFIG_REFUSED, GUEST_NOT_READY. The key is in no message.
 */
export async function enableApi(
  name: string,
  console: Shell,
  { signal, save }: { readonly signal: AbortSignal; readonly save: boolean },
): Promise<EnabledApi> {
  const vyos = shellAccess(console)
  const { train } = await vyos.readVersion(signal)
  const key = await makeApiKey(name)
  const running = await vyos.readConfiguration(signal)
  const changes = planChange(running, {
    present: [
      { path: [...api, 'keys', 'id', keyName, 'key', key], single: true, objects: [6] },
      // The other half of it, GraphQL, stays off.
      ...(train === '1.5' ? [{ path: [...api, 'rest'], single: false, objects: [] }] : []),
    ],
    absent: [],
    devices: [],
  })
  try {
    await vyos.changeConfiguration(running, changes, { signal, save })
  } catch (error) {
    throw without(key, error)
  }
  return { changed: changes.length > 0, fingerprint: await pinCertificate(name, console, { signal }) }
}

/** VyOS quotes the command that it refuses. */
function without(secret: string, error: unknown): unknown {
  if (!isVmrError(error) || !error.message.includes(secret)) return error
  const { code, message, hint } = error
  return new VmrError(code, message.replaceAll(secret, '********'), hint === undefined ? {} : { hint })
}
