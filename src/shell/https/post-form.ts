import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { type ClientRequest, type IncomingMessage, request } from 'node:http'
import { connect as connectTcp } from 'node:net'
import type { Duplex } from 'node:stream'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { isVmrError, VmrError } from '../../errors/vmr-error.ts'
import { abortError, throwIfAborted } from '../abort.ts'

/** How a host's HTTPS service is reached. */
export interface HttpsTarget {
  /** For messages and hints: "r1". */
  readonly name: string
  readonly host: string
  /** Default 443. */
  readonly port?: number | undefined
  /** SHA-256 of the one certificate that is taken, as {@link fingerprintOfPem} has it. Nothing else of it counts. */
  readonly fingerprint: string
  /** Opens the bytes' way there, where it is not TCP from this host. */
  readonly openStream?: (() => Promise<Duplex>) | undefined
}

export interface HttpsAnswer {
  readonly status: number
  readonly body: string
}

export interface PostOptions {
  readonly signal?: AbortSignal | undefined
  /** From the connection to the last byte of the answer. */
  readonly timeoutMs: number
  readonly maxBytes: number
}

const defaultPort = 443
/** A handshake costs an emulated guest seconds. */
const handshakeLimitMs = 20_000

/** Of the first certificate of a PEM text; undefined where there is none. */
export function fingerprintOfPem(text: string): string | undefined {
  const [pem] = /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]{1,20000}-----END CERTIFICATE-----/.exec(text) ?? []
  if (pem === undefined) return undefined
  try {
    return new X509Certificate(pem).fingerprint256
  } catch {
    return undefined
  }
}

/**
 * Connects, and takes no certificate but the pinned one: like a host key it needs no authority, name or date. The other
 * side has proven by then that it holds the certificate's key.
 *
 * @throws VmrError GUEST_API_UNREACHABLE, GUEST_CERTIFICATE_CHANGED, INTERRUPTED, TIMED_OUT.
 */
export async function connectPinned(target: HttpsTarget, signal?: AbortSignal): Promise<TLSSocket> {
  const { name, host, port = defaultPort } = target
  const doing = `connecting to the HTTPS service of ${name}`
  throwIfAborted(signal, doing)
  const limit = AbortSignal.timeout(handshakeLimitMs)
  const ended = signal === undefined ? limit : AbortSignal.any([signal, limit])
  const stream = target.openStream === undefined ? connectTcp({ host, port, noDelay: true }) : await target.openStream()
  // The certificate is checked below, before a byte is sent.
  const socket = connectTls({ socket: stream, rejectUnauthorized: false, minVersion: 'TLSv1.2' })
  const give = (error: unknown): VmrError => {
    socket.on('error', () => undefined)
    stream.on('error', () => undefined)
    socket.destroy()
    stream.destroy()
    if (isVmrError(error)) return error
    if (signal?.aborted) return abortError(signal, doing)
    const words = limit.aborted ? 'it does not answer' : error instanceof Error ? error.message : String(error)
    return new VmrError('GUEST_API_UNREACHABLE', `no HTTPS session with ${name} at ${host}: ${words}`, {
      hint: `Switch its HTTP API on over its console (vmr guest enable-api ${name}), or see why it is not reached: vmr diagnose ${name}`,
      cause: error,
    })
  }
  try {
    const closed = once(socket, 'close', { signal: ended }).then(() => {
      throw new Error('the connection was closed')
    })
    const failed = once(stream, 'error', { signal: ended }).then(([error]) => {
      throw error
    })
    for (const never of [closed, failed]) never.catch(() => undefined)
    await Promise.race([once(socket, 'secureConnect', { signal: ended }), closed, failed])
    const shown = socket.getPeerX509Certificate()?.fingerprint256
    if (shown !== target.fingerprint)
      throw new VmrError(
        'GUEST_CERTIFICATE_CHANGED',
        `what answers at the address of ${name} shows the certificate ${shown ?? 'of nobody'}, and not the pinned ${target.fingerprint}`,
        {
          hint: `Was the guest installed anew, or given another certificate? Then pin it again, over its console: vmr guest enable-api ${name}. Else somebody is in between.`,
        },
      )
    return socket
  } catch (error) {
    throw give(error)
  }
}

/**
 * Posts the fields of a form over a connection of its own. The answer's status is data; what is longer than `maxBytes`, or
 * ends early, is an error.
 *
 * @throws VmrError as connectPinned; GUEST_API_LOST, INTERRUPTED, TIMED_OUT.
 */
export async function postForm(
  target: HttpsTarget,
  path: string,
  fields: Readonly<Record<string, string>>,
  { signal, timeoutMs, maxBytes }: PostOptions,
): Promise<HttpsAnswer> {
  const { name, host } = target
  const doing = `${path} of the HTTP API of ${name}`
  const limit = AbortSignal.timeout(timeoutMs)
  const ended = signal === undefined ? limit : AbortSignal.any([signal, limit])
  const socket = await connectPinned(target, ended)
  const body = new URLSearchParams({ ...fields }).toString()
  const asked = request({
    createConnection: () => socket,
    method: 'POST',
    path,
    headers: {
      host: host.includes(':') ? `[${host}]` : host,
      'content-type': 'application/x-www-form-urlencoded',
      'content-length': Buffer.byteLength(body),
      connection: 'close',
    },
    signal: ended,
  })
  try {
    const answered = answerOf(asked)
    asked.end(body)
    const answer = await answered
    return { status: answer.statusCode ?? 0, body: await bodyOf(answer, maxBytes) }
  } catch (error) {
    if (isVmrError(error)) throw error
    if (ended.aborted) throw abortError(ended, doing)
    throw new VmrError('GUEST_API_LOST', `${doing}: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    })
  } finally {
    asked.on('error', () => undefined)
    asked.destroy()
    socket.destroy()
  }
}

function answerOf(asked: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    asked.once('response', resolve)
    asked.once('error', reject)
  })
}

async function bodyOf(answer: IncomingMessage, maxBytes: number): Promise<string> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    length += chunk.length
    if (length > maxBytes) throw new Error(`its answer is longer than ${maxBytes} bytes`)
    chunks.push(chunk)
  }
  if (!answer.complete) throw new Error('its answer ended early')
  return Buffer.concat(chunks).toString('utf8')
}
