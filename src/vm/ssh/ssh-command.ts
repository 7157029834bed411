import { quoteForScript } from '../../shell/serial/quote.ts'
import { knownHostsFile } from './host-keys.ts'
import type { SshRoute } from './route.ts'

export interface SshSession {
  readonly name: string
  /** Under which its host keys are pinned. */
  readonly uuid: string
  readonly user: string
  readonly route: SshRoute
  /** None for a session at a terminal. */
  readonly command: readonly string[]
  /** Whether the command is one of VyOS's operational mode, or of Linux. */
  readonly kind: 'operational' | 'linux'
  /** Let ssh ask for the password instead of giving it the factory's. */
  readonly askPassword: boolean
}

/** A command that comes by SSH is not run in VyOS's own shell, where `show` is a command (vyatta-op). */
const operationalWrapper = '/opt/vyatta/bin/vyatta-op-cmd-wrapper'

/**
 * The command line of OpenSSH's client for a session. It reads the user's ssh_config, keys and agent as ever; only the
 * host keys are vmr's: those that were pinned over the console, and no other.
 */
export function sshArgv({ name, uuid, user, route, command, kind, askPassword }: SshSession): readonly string[] {
  const options = {
    HostKeyAlias: uuid,
    UserKnownHostsFile: `"${knownHostsFile(name)}"`,
    GlobalKnownHostsFile: '/dev/null',
    StrictHostKeyChecking: 'yes',
    UpdateHostKeys: 'no',
    CheckHostIP: 'no',
    ConnectTimeout: '10',
    TCPKeepAlive: 'yes',
    ServerAliveInterval: '15',
    LogLevel: 'ERROR',
    ...(askPassword ? {} : { NumberOfPasswordPrompts: '1' }),
  }
  const words = kind === 'operational' && command.length > 0 ? [operationalWrapper, ...command] : command
  return [
    ...route.through,
    'ssh',
    ...Object.entries(options).flatMap(([option, value]) => ['-o', `${option}=${value}`]),
    ...['-l', user, '--', route.address],
    // ssh joins its words with blanks, and the guest's shell reads them again.
    ...(words.length === 0 ? [] : [words.map(quoteForScript).join(' ')]),
  ]
}
