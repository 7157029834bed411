import { readFile, stat } from 'node:fs/promises'
import { homedir, userInfo } from 'node:os'
import { VmrError } from '../../errors/vmr-error.ts'
import type { Shell } from '../shell.ts'
import type { SshTarget } from './connect.ts'
import { type HostKey, parseHostKeys } from './host-key.ts'

/** A host of ssh_config(5), as far as connecting to it goes. */
export type ConfiguredTarget = Omit<SshTarget, 'user'> & {
  /** Undefined where ssh would take the local user's name. */
  readonly user: string | undefined
}

export interface SshConfigOptions {
  /** This host's, with OpenSSH's client. */
  readonly shell: Shell
  /** Instead of the user's configuration and the system's. */
  readonly file?: string | undefined
  /** Of the host itself, where they are known otherwise than from known_hosts. */
  readonly hostKeys?: readonly HostKey[] | undefined
  readonly signal?: AbortSignal | undefined
}

/** One hop: what was asked for. */
interface Hop {
  readonly host: string
  readonly user?: string | undefined
  readonly port?: string | undefined
}

type Settings = ReadonlyMap<string, readonly string[]>

const maxHops = 8
const maxKeyBytes = 64 * 1024
const hostName = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}$|^[0-9A-Fa-f:.]{2,45}(?:%[\w.-]{1,15})?$/

/**
 * How ssh_config(5) says that a host is reached: HostName, User, Port, IdentityFile, IdentityAgent, ProxyJump and the keys
 * in known_hosts. OpenSSH's own client reads the files (`ssh -G`), so that patterns, Match and Include mean what they mean to
 * it. A name that no file has is a host's name or address.
 *
 * @throws VmrError CONFIG_INVALID for a ProxyCommand, a chain of jumps without end, or what ssh cannot read;
 * GUEST_SSH_UNREACHABLE for a host on the way whose key nobody knows; HOST_TOOL_MISSING without OpenSSH's client.
 */
export function sshConfigTarget(host: string, options: SshConfigOptions): Promise<ConfiguredTarget> {
  return resolve({ host }, options, { left: maxHops })
}

async function resolve(
  hop: Hop,
  options: SshConfigOptions,
  way: { readonly left: number; readonly through?: readonly Hop[] },
): Promise<ConfiguredTarget> {
  const { host } = hop
  if (way.left === 0)
    throw new VmrError('CONFIG_INVALID', `ssh_config leads to ${host} through more than ${maxHops} hosts`, {
      hint: 'Does one ProxyJump lead to a host that jumps over the first? See: ssh -G',
    })
  const settings = await readSettings(hop, options)
  const one = (name: string) => settings.get(name)?.[0]
  const command = one('proxycommand')
  if (command !== undefined && command !== 'none')
    throw new VmrError('CONFIG_INVALID', `ssh_config reaches ${host} by a ProxyCommand, which vmr does not run`, {
      hint: `Say it by ProxyJump, or use OpenSSH’s client: vmr vm ssh`,
    })
  const address = one('hostname') ?? host
  const port = Number(one('port') ?? 22)
  const user = one('user')
  const through = way.through ?? jumpsOf(one('proxyjump'), host)
  const last = through.at(-1)
  const before = through.slice(0, -1)
  const hostKeys = way.left === maxHops && options.hostKeys !== undefined ? options.hostKeys : undefined
  return {
    name: host,
    host: address,
    port,
    user: user === userInfo().username ? undefined : user,
    privateKeys: await readKeys(settings, { address, user }),
    agent: agentOf(settings),
    hostKeys: hostKeys ?? (await knownKeys(host, one('hostkeyalias') ?? address, port, settings, options)),
    // As ssh does: only the first of several jumps goes the way that its own configuration says.
    ...(last === undefined
      ? {}
      : {
          jump: withUser(
            await resolve(last, options, {
              left: way.left - 1,
              ...(before.length === 0 ? {} : { through: before }),
            }),
          ),
        }),
  }
}

function withUser(target: ConfiguredTarget): SshTarget {
  return { ...target, user: target.user ?? userInfo().username }
}

async function readSettings({ host, user, port }: Hop, { shell, file, signal }: SshConfigOptions): Promise<Settings> {
  if (!hostName.test(host))
    throw new VmrError('CONFIG_INVALID', `${JSON.stringify(host.slice(0, 80))} is no name or address of a host`)
  const given = [
    ...(file === undefined ? [] : ['-F', file]),
    ...(user === undefined ? [] : ['-l', user]),
    ...(port === undefined ? [] : ['-p', port]),
  ]
  const { stdout, stderr, exitCode } = await shell.run(['ssh', '-G', ...given, '--', host], {
    timeoutMs: 20_000,
    maxOutputBytes: 256 * 1024,
    ...(signal === undefined ? {} : { signal }),
  })
  if (exitCode !== 0)
    throw new VmrError('CONFIG_INVALID', `ssh cannot read its configuration: ${stderr.trim().slice(0, 500)}`, {
      hint: `See: ssh -G ${host}`,
    })
  const settings = new Map<string, string[]>()
  for (const line of stdout.split('\n')) {
    const [, name, value] = /^([a-z0-9]{1,64}) (.*)$/.exec(line) ?? []
    if (name === undefined || value === undefined) continue
    const values = settings.get(name)
    if (values === undefined) settings.set(name, [value])
    else values.push(value)
  }
  return settings
}

/** `[user@]host[:port]`, or the same as ssh://, with commas between. */
function jumpsOf(list: string | undefined, of: string): readonly Hop[] {
  if (list === undefined || list === 'none') return []
  return list.split(',').map((each) => {
    const [, user, bracketed, plain, port] =
      /^(?:ssh:\/\/)?(?:([^@\s]{1,64})@)?(?:\[([^\]]+)\]|([^:\s/]+))(?::(\d{1,5}))?\/?$/.exec(each.trim()) ?? []
    const host = bracketed ?? plain
    if (host === undefined || user?.startsWith('-'))
      throw new VmrError('CONFIG_INVALID', `the ProxyJump of ${of} has another form: ${each.slice(0, 80)}`)
    return { host, user, port }
  })
}

/** Those that can be read; the defaults are named whether or not they are there. */
async function readKeys(
  settings: Settings,
  { address, user }: { readonly address: string; readonly user: string | undefined },
): Promise<readonly string[]> {
  const tokens = { d: homedir(), h: address, r: user ?? '', u: userInfo().username, '%': '%' }
  const files = (settings.get('identityfile') ?? []).map((file) =>
    homePath(file.replace(/%([dhru%])/g, (_all, token: keyof typeof tokens) => tokens[token])),
  )
  const keys = await Promise.all(
    files.map(async (file) => {
      try {
        return (await stat(file)).size > maxKeyBytes ? [] : [await readFile(file, 'utf8')]
      } catch {
        return []
      }
    }),
  )
  return keys.flat()
}

function agentOf(settings: Settings): string | undefined {
  const own = process.env.SSH_AUTH_SOCK
  const named = settings.get('identityagent')?.[0]
  if (named === 'none' || settings.get('identitiesonly')?.[0] === 'yes') return undefined
  if (named === undefined || named === 'SSH_AUTH_SOCK') return own
  return named.startsWith('$') ? process.env[named.slice(1)] : homePath(named)
}

/** What known_hosts has under this name, hashed or not; ssh-keygen(1) reads it. */
async function knownKeys(
  host: string,
  name: string,
  port: number,
  settings: Settings,
  { shell, signal }: SshConfigOptions,
): Promise<readonly HostKey[]> {
  const files = ['userknownhostsfile', 'globalknownhostsfile'].flatMap(
    (kind) => settings.get(kind)?.[0]?.split(/\s+/) ?? [],
  )
  const entry = port === 22 ? name : `[${name}]:${port}`
  const found: HostKey[] = []
  const revoked: HostKey[] = []
  for (const file of files) {
    const { stdout } = await shell.run(['ssh-keygen', '-F', entry, '-f', homePath(file)], {
      timeoutMs: 20_000,
      ...(signal === undefined ? {} : { signal }),
    })
    const lines = stdout.split('\n')
    revoked.push(...parseHostKeys(lines.filter((line) => line.startsWith('@revoked ')).join('\n'), 2))
    // Another marker names an authority, which is no key of the host's.
    found.push(...parseHostKeys(lines.filter((line) => !line.startsWith('@')).join('\n'), 1))
  }
  const good = found.filter(({ blob }) => !revoked.some((key) => key.blob === blob))
  if (good.length > 0) return good
  throw new VmrError('GUEST_SSH_UNREACHABLE', `known_hosts has no key of ${host}, on the way there`, {
    hint: `Connect to it once and compare what it shows: ssh ${host}`,
  })
}

function homePath(path: string): string {
  return path.replace(/^~(?=\/|$)/, homedir())
}
