import { stringify } from 'yaml'
import type { NetworkConfig } from '../../config/network-config.ts'
import { VmrError } from '../../errors/vmr-error.ts'
import type { VyosCommand, VyosPath } from './path.ts'
import { renderNetworkConfig } from './render.ts'
import type { VyosTrain } from './version.ts'

/** A public key that a user may log in with by SSH. */
export interface LoginKey {
  readonly type: string
  /** Base64, as in authorized_keys(5). */
  readonly blob: string
}

/** What a VyOS with cloud-init is given at its first boot. */
export interface FirstConfiguration {
  readonly network: NetworkConfig
  readonly user: string
  /** The user is locked in an image with cloud-init until it has one. */
  readonly password: string
  readonly key?: LoginKey | undefined
}

/** Under which the key stands in VyOS's configuration. */
const keyName = 'vmr'
/** Words of a path have no quotes there, and are told apart by blanks. */
const bareWord = /^[A-Za-z0-9][A-Za-z0-9_.:/@+-]{0,252}$/
const maxValue = 4000

/** What lets a user in by SSH with this key. */
export function loginKeyCommands(user: string, { type, blob }: LoginKey): readonly VyosCommand[] {
  const at = ['system', 'login', 'user', user, 'authentication', 'public-keys', keyName]
  return [
    { kind: 'set', path: ['service', 'ssh'] },
    { kind: 'set', path: [...at, 'type', type] },
    { kind: 'set', path: [...at, 'key', blob] },
  ]
}

/**
 * The lines of `vyos_config_commands`. VyOS's cloud-init edits config.boot by them before VyOS loads it: what is in quotes
 * at the end of a line is a node's value, every word before it a node, and it knows no other quotes
 * (string_to_command in vyos-cloud-init's cc_vyos_userdata.py). A line that fails is logged there, and the others go on.
 *
 * @throws VmrError CONFIG_INVALID for what has no place in such a line
 */
export function cloudInitCommands(first: FirstConfiguration, train: VyosTrain): readonly string[] {
  const { network, user, password, key } = first
  const { present, absent } = renderNetworkConfig(network, train)
  const login = ['system', 'login', 'user', user, 'authentication', 'plaintext-password', password]
  return [
    ...staticallyAddressed(network).flatMap((name) => {
      const path = ['interfaces', 'ethernet', name, 'address']
      // An image may come with it, and VyOS refuses it beside an address of that family.
      return ['dhcp', 'dhcpv6'].map((client) => withValue('delete', [...path, client]))
    }),
    ...absent.map((path) => nodes('delete', path)),
    ...present.map(({ path, single }) =>
      single || path.at(-2) === 'address' ? withValue('set', path) : nodes('set', path),
    ),
    withValue('set', login),
    ...(key === undefined
      ? []
      : loginKeyCommands(user, key).map(({ kind, path }) =>
          path.includes(keyName) ? withValue(kind, path) : nodes(kind, path),
        )),
  ]
}

/** A cloud-config with these commands; every text in it is quoted. */
export function cloudConfig(commands: readonly string[]): string {
  return `#cloud-config\n${yaml({ vyos_config_commands: commands })}`
}

/**
 * The seed's network-config (version 2): without one, VyOS's cloud-init puts DHCP on eth0; with one that has no
 * addresses, it leaves them to the commands.
 */
export function cloudNetworkConfig(nics: number): string {
  const names = Array.from({ length: nics }, (_, position) => `eth${position}`)
  return yaml({
    version: 2,
    ethernets: Object.fromEntries(names.map((name) => [name, { dhcp4: false, dhcp6: false }])),
  })
}

function yaml(value: unknown): string {
  return stringify(value, { defaultStringType: 'QUOTE_DOUBLE', defaultKeyType: 'PLAIN', lineWidth: 0 })
}

function staticallyAddressed({ ethernets }: NetworkConfig): readonly string[] {
  return Object.entries(ethernets).flatMap(([name, { addresses }]) => (addresses.length > 0 ? [name] : []))
}

function nodes(kind: VyosCommand['kind'], path: VyosPath): string {
  const bad = path.find((word) => !bareWord.test(word))
  if (bad !== undefined) throw unwritable(bad)
  return `${kind} ${path.join(' ')}`
}

function withValue(kind: VyosCommand['kind'], path: VyosPath): string {
  const value = path.at(-1) ?? ''
  if (value === '' || value.length > maxValue || !/^[ !#-&(-[\]-_a-~]*$/.test(value)) throw unwritable(value)
  return `${nodes(kind, path.slice(0, -1))} '${value}'`
}

function unwritable(word: string): VmrError {
  return new VmrError('CONFIG_INVALID', `VyOS’s cloud-init cannot be given ${JSON.stringify(word.slice(0, 80))}`, {
    hint: 'Values must be of printable ASCII without quotes and backslashes, names without blanks too.',
  })
}
