import { once } from 'node:events'
import { connect as connectTcp } from 'node:net'
import type { Duplex } from 'node:stream'
import ssh2, { type Client, type ConnectConfig, type ServerHostKeyAlgorithm } from 'ssh2'
import { isVmrError, VmrError } from '../../errors/vmr-error.ts'
import { abortError, throwIfAborted } from '../abort.ts'
import { checkHostKeys, type HostKey, hostKeyOf } from './host-key.ts'

/** How a host is reached by SSH. */
export interface SshTarget {
  /** For messages and hints: "r1". */
  readonly name: string
  readonly host: string
  /** Default 22. */
  readonly port?: number | undefined
  readonly user: string
  readonly password?: string | undefined
  /** Private keys in OpenSSH's or PEM's form; those with a passphrase are passed over: an agent has them. */
  readonly privateKeys?: readonly string[] | undefined
  /** Socket of an agent, as in SSH_AUTH_SOCK. */
  readonly agent?: string | undefined
  /** Any other key is refused. */
  readonly hostKeys: readonly HostKey[]
  /** The host that the way there leads through (ProxyJump of ssh_config(5)). */
  readonly jump?: SshTarget | undefined
  /** Opens the bytes' way there, where it is neither TCP from this host nor a jump. */
  readonly openStream?: (() => Promise<Duplex>) | undefined
}

export interface SshConnection {
  readonly description: string
  readonly client: Client
  /** Whether the host is gone, and why. */
  lost(): VmrError | undefined
  /** Never rejects. */
  close(): Promise<void>
}

export interface ConnectOptions {
  readonly signal?: AbortSignal | undefined
  /** Until the login is done, of each host on the way. Default 20 000 ms: a key exchange takes an emulated guest seconds. */
  readonly timeoutMs?: number | undefined
}

const defaultPort = 22
const defaultTimeoutMs = 20_000
/** A host that is silent for this long, three times, is gone. */
const keepaliveMs = 5000

/**
 * Connects and logs in: with the agent, then the keys, then the password.
 *
 * @throws VmrError GUEST_HOST_KEY_CHANGED, GUEST_LOGIN_FAILED, GUEST_SSH_UNREACHABLE, INTERRUPTED.
 */
export async function connectSsh(
  target: SshTarget,
  { signal, timeoutMs = defaultTimeoutMs }: ConnectOptions = {},
): Promise<SshConnection> {
  const { name, host, port = defaultPort } = target
  const description = `SSH of ${name}`
  throwIfAborted(signal, `connecting to the ${description}`)
  const jump = target.jump === undefined ? undefined : await connectSsh(target.jump, { signal, timeoutMs })
  const client = new ssh2.Client()
  let stream: Duplex | undefined
  let lost: VmrError | undefined
  const gone = (cause?: unknown) =>
    new VmrError('GUEST_SSH_LOST', `the connection to the ${description} was lost`, {
      hint: `Is it still there? vmr vm wait ${name} --for ssh`,
      cause,
    })
  try {
    stream =
      jump === undefined
        ? ((await target.openStream?.()) ?? connectTcp({ host, port }))
        : await forward(jump.client, { name, host, port })
    await logIn(client, target, { signal, timeoutMs, sock: stream })
  } catch (error) {
    stream?.destroy()
    await jump?.close()
    throw error
  }
  client.setNoDelay(true)
  client.on('error', (error) => {
    lost ??= gone(error)
  })
  client.once('close', () => {
    lost ??= gone()
    void jump?.close()
  })
  return {
    description,
    client,
    lost: () => lost,
    async close() {
      if (lost === undefined) {
        const closed = once(client, 'close').catch(() => undefined)
        client.end()
        // A host that does not answer the good-bye is left as it is.
        const timer = setTimeout(() => stream?.destroy(), 1000)
        await closed
        clearTimeout(timer)
      }
      await jump?.close()
    },
  }
}

async function logIn(
  client: Client,
  target: SshTarget,
  { signal, timeoutMs, sock }: { signal: AbortSignal | undefined; timeoutMs: number; sock: Duplex },
): Promise<void> {
  const { name, host, port = defaultPort, user, hostKeys } = target
  let refused: VmrError | undefined
  const config: ConnectConfig = {
    host,
    port,
    username: user,
    readyTimeout: timeoutMs,
    keepaliveInterval: keepaliveMs,
    keepaliveCountMax: 3,
    // What is pinned comes first, or a host known by one key shows another of its own.
    algorithms: { serverHostKey: { prepend: algorithmsOf(hostKeys), append: [], remove: [] } },
    hostVerifier: (bytes: Buffer) => {
      try {
        checkHostKeys(name, hostKeys, [hostKeyOf(bytes)])
        return true
      } catch (error) {
        if (isVmrError(error)) refused = error
        return false
      }
    },
    authHandler: waysIn(target),
    sock,
  }
  await new Promise<void>((resolve, reject) => {
    const onAbort = () => {
      if (signal !== undefined) fail(abortError(signal, `connecting to the SSH of ${name}`))
    }
    const done = () => {
      signal?.removeEventListener('abort', onAbort)
      client.removeListener('error', onError)
      client.removeListener('close', onClose)
      client.removeListener('ready', onReady)
    }
    const fail = (error: VmrError) => {
      done()
      // A connection that is being given up may still fail in its own way.
      client.on('error', () => undefined)
      sock.destroy()
      reject(error)
    }
    const onReady = () => {
      done()
      resolve()
    }
    const onError = (error: Error & { readonly level?: string }) => {
      if (refused !== undefined) fail(refused)
      else if (error.level === 'client-authentication')
        fail(
          new VmrError('GUEST_LOGIN_FAILED', `the SSH of ${name} refused to let ${user} in`, {
            hint: 'Correct the user or the password, or have your agent hold a key that it knows.',
            cause: error,
          }),
        )
      else fail(unreachable(name, host, error))
    }
    const onClose = () => onError(new Error('the connection was closed'))
    signal?.addEventListener('abort', onAbort, { once: true })
    client.once('ready', onReady)
    client.once('error', onError)
    client.once('close', onClose)
    client.connect(config)
  })
}

function unreachable(name: string, host: string, cause: Error): VmrError {
  return new VmrError('GUEST_SSH_UNREACHABLE', `no SSH session with ${name} at ${host}: ${cause.message}`, {
    hint: `Configure \`set service ssh\` and an address over its console (vmr vm console ${name}), or see why it is not reached: vmr diagnose ${name}`,
    cause,
  })
}

function forward(
  client: Client,
  { name, host, port }: { readonly name: string; readonly host: string; readonly port: number },
): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    client.forwardOut('127.0.0.1', 0, host, port, (error, stream) =>
      error === undefined ? resolve(stream) : reject(unreachable(name, host, error)),
    )
  })
}

/** What a key of a type signs with (RFC 8332 for RSA). */
function algorithmsOf(keys: readonly HostKey[]): ServerHostKeyAlgorithm[] {
  const known = ['ssh-ed25519', 'ecdsa-sha2-nistp256', 'ecdsa-sha2-nistp384', 'ecdsa-sha2-nistp521'] as const
  const types = new Set(keys.map(({ type }) => type))
  return [
    ...known.filter((type) => types.has(type)),
    ...(types.has('ssh-rsa') ? (['rsa-sha2-512', 'rsa-sha2-256'] as const) : []),
  ]
}

function waysIn({ user, password, privateKeys = [], agent }: SshTarget) {
  const username = user
  const usable = privateKeys.filter((text) => !(ssh2.utils.parseKey(text) instanceof Error))
  return [
    ...(agent === undefined ? [] : [{ type: 'agent' as const, username, agent }]),
    ...usable.map((key) => ({ type: 'publickey' as const, username, key })),
    ...(password === undefined ? [] : [{ type: 'password' as const, username, password }]),
  ]
}
