import { BlockList, isIP, isIPv6 } from 'node:net'
import { runChecked, type Shell } from '../../shell/shell.ts'
import { normalizeAddress } from '../address-text.ts'
import { linuxOs } from '../linux/linux-os.ts'
import type { VyosCommand, VyosPath } from './path.ts'

/** Where the session that configures a guest comes in through the guest's own network. */
export interface WayIn {
  /** Who is connected; undefined where that is not known. */
  readonly client: string | undefined
  /** Undefined when no interface has the address any more that the session was opened to, or none that is configured. */
  readonly interfaceName: string | undefined
}

/** Undefined for a session that no configuration can cut: the serial console. */
export async function readWayIn(shell: Shell, signal?: AbortSignal): Promise<WayIn | undefined> {
  const options = signal === undefined ? {} : { signal }
  const told = await runChecked(shell, ['sh', '-c', 'echo "$SSH_CONNECTION"'], options)
  const [client = '', , server = ''] = told.trim().split(' ')
  const [address = '', zone] = server.split('%')
  if (isIP(address) === 0 || isIP(client.split('%')[0] ?? '') === 0) return undefined
  const { interfaces } = await linuxOs.observe(shell, options)
  const has = interfaces.filter(({ addresses }) =>
    addresses.some((each) => normalizeAddress(each.address) === normalizeAddress(address)),
  )
  const found = has.find(({ name }) => name === zone) ?? has[0]
  return { client: client.split('%')[0] ?? '', interfaceName: found?.name }
}

/** Where a connection to this address of the guest comes in, by its configuration. */
export function wayInTo(address: string, active: readonly VyosPath[]): WayIn {
  const holder = active.find(
    (path) =>
      path.at(-2) === 'address' && normalizeAddress(path.at(-1)?.split('/')[0] ?? '') === normalizeAddress(address),
  )
  const [section, , name, below, id] = holder ?? []
  const interfaceName = below === 'vif' ? `${name}.${id}` : name
  return { client: undefined, interfaceName: section === 'interfaces' ? interfaceName : undefined }
}

/** Parts of the configuration in which nothing decides who gets in. */
const elsewhere: readonly VyosPath[] = [
  ['system', 'host-name'],
  ['system', 'ip'],
  ['system', 'ipv6'],
  ['service', 'https'],
]

/**
 * Whether these commands could end the session. True too for what cannot be told from the commands alone: the serial
 * console, which takes them then, is slower and nothing worse.
 */
export function mayCutWayIn(commands: readonly VyosCommand[], wayIn: WayIn): boolean {
  return commands.some((command) => mayCut(command, wayIn))
}

function mayCut({ kind, path }: VyosCommand, { client, interfaceName }: WayIn): boolean {
  if (elsewhere.some((prefix) => prefix.every((word, index) => path[index] === word))) return false
  if (path[0] === 'protocols' && path[1] === 'static' && path[3] !== undefined) return leadsTo(path[3], client)
  if (path[0] !== 'interfaces' || path.length < 3 || interfaceName === undefined) return true
  const [, type = '', name = '', below, id] = path
  const [parent = '', vlan] = interfaceName.split('.')
  if (type === 'bridge' && below === 'member' && kind === 'set') return path[5] === parent || path[5] === interfaceName
  // What a bridge or a tunnel stands on are interfaces of other names.
  if (!parent.startsWith('eth')) return true
  if (type !== 'ethernet') return kind === 'delete' && name === parent
  if (name !== parent) return false
  if (below === 'vif' && id !== undefined && id !== vlan) return false
  const added = vlan !== undefined && below === 'vif' ? path[5] : below
  return kind === 'delete' || (added !== 'address' && added !== 'description')
}

/** Whether the route's destination holds the client's address; true too where either is not known. */
function leadsTo(prefix: string, client: string | undefined): boolean {
  if (client === undefined) return true
  const [network = '', length] = prefix.split('/')
  if (isIP(network) === 0 || length === undefined || !/^\d{1,3}$/.test(length)) return true
  const family = isIPv6(network) ? 'ipv6' : 'ipv4'
  if (Number(length) > (family === 'ipv6' ? 128 : 32)) return true
  const destination = new BlockList()
  destination.addSubnet(network, Number(length), family)
  return destination.check(client, isIPv6(client) ? 'ipv6' : 'ipv4')
}
