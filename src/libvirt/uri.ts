import { join } from 'node:path'
import { ConnectError } from './errors.ts'

/** What a libvirt URI asks for, once understood. */
export interface ConnectionTarget {
  /** The URI that the daemon is told: without the transport and what only concerns this side. */
  readonly driverUri: string
  /** Sockets to try, in this order, until one exists. */
  readonly sockets: readonly string[]
}

/** What decides where a daemon's socket is. */
export interface SocketEnvironment {
  readonly isRoot: boolean
  /** The user's runtime folder, else their cache folder: $XDG_RUNTIME_DIR or $XDG_CACHE_HOME, or ~/.cache. */
  readonly userDirectory: string
  readonly readOnly: boolean
}

/** The folder of a system daemon's sockets. libvirt uses /var/run, not /run, as every system has the former. */
const systemDirectory = '/var/run/libvirt'

/** Drivers that a daemon on this host may serve, with the modular daemon of each; the test driver has none. */
const modularDaemons = new Map<string, string | undefined>([
  ['qemu', 'virtqemud'],
  ['test', undefined],
])

/**
 * Understands `qemu:///system`, `qemu:///session` and `test:///default`, each also with `+unix` after the driver, and
 * the parameters `socket` (path of the daemon's socket) and `mode` (`auto`, `direct`: the modular daemon, `legacy`:
 * libvirtd). Sockets are found as libvirt's src/remote/remote_sockets.c does.
 *
 * @throws {ConnectError} `uri-unsupported` for any other URI.
 */
export function parseUri(uri: string, environment: SocketEnvironment): ConnectionTarget {
  const refuse = (why: string) => new ConnectError('uri-unsupported', `${JSON.stringify(uri)}: ${why}`)
  if (!URL.canParse(uri)) throw refuse('not a URI; one is qemu:///system')
  const url = new URL(uri)
  const [driver = '', transport = 'unix'] = url.protocol.slice(0, -1).split('+')
  if (transport !== 'unix') throw refuse(`the transport ${transport} is not supported, only unix sockets are`)
  if (!modularDaemons.has(driver)) throw refuse(`the driver ${driver} is not supported, only qemu and test are`)
  if (url.host !== '' || url.username !== '') throw refuse(`a remote host (${url.host}) is not supported`)
  const isSession = url.pathname === '/session'
  if (driver === 'qemu' && !isSession && url.pathname !== '/system') {
    throw refuse(`the path is ${url.pathname || 'missing'}, possible are /system and /session`)
  }
  if (driver === 'test' && url.pathname.length < 2) throw refuse('the path is missing, as /default')

  for (const name of url.searchParams.keys()) {
    if (name !== 'socket' && name !== 'mode') throw refuse(`the parameter ${name} is not supported`)
  }
  const mode = url.searchParams.get('mode') ?? 'auto'
  if (mode !== 'auto' && mode !== 'direct' && mode !== 'legacy')
    throw refuse(`mode is ${mode}, not auto, direct or legacy`)
  const driverUri = `${driver}://${url.pathname}`
  const socket = url.searchParams.get('socket')
  if (socket !== null) {
    if (!socket.startsWith('/')) throw refuse('socket is no absolute path')
    return { driverUri, sockets: [socket] }
  }

  const ofUser = isSession && !environment.isRoot
  const directory = ofUser ? join(environment.userDirectory, 'libvirt') : systemDirectory
  const suffix = environment.readOnly && !ofUser ? 'sock-ro' : 'sock'
  const modular = modularDaemons.get(driver)
  if (mode === 'direct' && modular === undefined) throw refuse(`the driver ${driver} has no modular daemon`)
  const sockets = []
  if (modular !== undefined && mode !== 'legacy') sockets.push(`${directory}/${modular}-${suffix}`)
  if (mode !== 'direct') sockets.push(`${directory}/libvirt-${suffix}`)
  return { driverUri, sockets }
}
