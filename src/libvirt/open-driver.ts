import type { CallOptions } from './call-options.ts'
import { ConnectError, ConnectionLostError, hasCode, isTimeout, LibvirtError } from './errors.ts'
import type { KeepAliveOptions } from './keep-alive.ts'
import { procedures } from './protocol/procedures.ts'
import type { Rpc } from './rpc.ts'

export interface OpenDriverOptions extends CallOptions {
  readonly timeoutMs: number
  readonly readOnly: boolean
  readonly keepAlive: KeepAliveOptions | false
}

/** remote_auth_type of libvirt's src/remote/remote_protocol.x */
const authentication = { none: 0, sasl: 1, polkit: 2 } as const
/** VIR_DRV_FEATURE_PROGRAM_KEEPALIVE of libvirt's src/libvirt_internal.h: asking for it also starts the daemon's pings. */
const keepAliveFeature = 10
/** virConnectFlags */
const readOnlyFlag = 1
/** A person may have to type a password. */
const polkitTimeoutMs = 60_000

/**
 * What libvirt's own client does on a new connection (doRemoteOpen in src/remote/remote_driver.c): authenticate, agree
 * on keep-alive, open the driver.
 *
 * @throws {ConnectError} with the reason; or the signal's reason.
 */
export async function openDriver(rpc: Rpc, driverUri: string, options: OpenDriverOptions): Promise<void> {
  try {
    await authenticate(rpc, options)
    if (options.keepAlive) {
      const supported = await rpc.call(procedures.CONNECT_SUPPORTS_FEATURE, { feature: keepAliveFeature }, options)
      if (supported.value) rpc.startKeepAlive(options.keepAlive)
    }
    await rpc.call(procedures.CONNECT_OPEN, { uri: driverUri, flags: options.readOnly ? readOnlyFlag : 0 }, options)
  } catch (error) {
    throw connectError(error, driverUri)
  }
}

async function authenticate(rpc: Rpc, options: OpenDriverOptions): Promise<void> {
  const { types } = await rpc.call(procedures.AUTH_LIST, undefined, options)
  if (types.length === 0 || types.includes(authentication.none)) return
  if (!types.includes(authentication.polkit)) {
    throw new ConnectError('authentication-refused', 'the daemon asks for SASL authentication, which is not supported')
  }
  const timeoutMs = Math.max(options.timeoutMs, polkitTimeoutMs)
  try {
    const { complete } = await rpc.call(procedures.AUTH_POLKIT, undefined, { signal: options.signal, timeoutMs })
    if (!complete) throw new ConnectError('authentication-refused', 'polkit authentication is not complete')
  } catch (error) {
    if (!(error instanceof LibvirtError) || isTimeout(error)) throw error
    throw new ConnectError('authentication-refused', `polkit authentication: ${error.message}`, { cause: error })
  }
}

function connectError(error: unknown, driverUri: string): unknown {
  const cause = { cause: error }
  if (error instanceof ConnectionLostError) {
    const reason = error.reason === 'daemon-silent' ? 'daemon-silent' : 'connection-failed'
    return new ConnectError(reason, `${driverUri}: ${error.message}`, cause)
  }
  if (isTimeout(error)) return new ConnectError('daemon-silent', `${driverUri}: ${error.message}`, cause)
  if (!(error instanceof LibvirtError)) return error
  const refused =
    hasCode(error, 'VIR_ERR_AUTH_FAILED') ||
    hasCode(error, 'VIR_ERR_ACCESS_DENIED') ||
    error.message === 'authentication required'
  return new ConnectError(refused ? 'authentication-refused' : 'open-refused', `${driverUri}: ${error.message}`, cause)
}
