import { type NicFacts, readDomainFacts } from '../../domain/domain-facts.ts'
import { VmrError } from '../../errors/vmr-error.ts'
import { type Connection, type Domain, isDomainNotFound, isNetworkNotFound } from '../../libvirt/index.ts'
import { readLinks } from '../../os/linux/ip-json.ts'
import { localShell } from '../../shell/local.ts'
import { checkUplink } from '../../testbed/uplink.ts'
import { withLibvirt } from '../libvirt-failure.ts'
import type { PlannedNic, SwitchPlan } from './plan-switch.ts'

interface Options {
  readonly signal?: AbortSignal | undefined
}

/**
 * Looks for what would stop the switch of a running VM half-way, while nothing is changed yet.
 *
 * @throws VmrError UPLINK_NOT_FOUND, UPLINK_BUSY, ADDRESS_DUPLICATE, LIBVIRT_FAILED.
 */
export async function checkSwitch(
  connection: Connection,
  domain: Domain,
  { nics }: SwitchPlan,
  options: Options,
): Promise<void> {
  await refuseForeignMacs(connection, domain, nics, options)
  for (const nic of nics) {
    const what = `${nic.name} of ${domain.name}`
    if (nic.uplink !== undefined) {
      await checkUplink(nic.uplink.name, nic.uplink.use, { leaving: nic.device, ...options })
      await refuseTwin(nic.uplink.name, nic, what, options)
    } else {
      await requireSource(connection, nic.defined, what, options)
    }
  }
}

/** libvirt accepts two NICs with one MAC address, and frames then reach the one or the other. */
async function refuseForeignMacs(
  connection: Connection,
  domain: Domain,
  nics: readonly PlannedNic[],
  { signal }: Options,
): Promise<void> {
  const others = await withLibvirt('listing domains', () => connection.listAllDomains({ active: true, signal }))
  for (const other of others) {
    if (other.uuid === domain.uuid) continue
    let xml: string
    try {
      xml = await connection.domainXml(other, { signal })
    } catch (error) {
      if (isDomainNotFound(error)) continue
      throw error
    }
    const macs = new Set(readDomainFacts(xml, `XML of ${other.name}`).nics.map(({ mac }) => mac))
    const taken = nics.find(({ mac }) => macs.has(mac))
    if (taken !== undefined)
      throw new VmrError(
        'ADDRESS_DUPLICATE',
        `the MAC address of ${taken.name} of ${domain.name}, ${taken.mac}, is also that of a NIC of ${other.name}`,
        { hint: `Stop ${other.name}, or give one of them another MAC address.` },
      )
  }
}

/** The kernel takes a MAC address once for all macvlans of a NIC (macvlan_addr_busy in drivers/net/macvlan.c). */
async function refuseTwin(uplink: string, { mac, device }: PlannedNic, what: string, options: Options): Promise<void> {
  const links = await readLinks(localShell, options.signal === undefined ? {} : { signal: options.signal })
  const twin = links.find(
    ({ link, address, ifname }) => link === uplink && address?.toLowerCase() === mac && ifname !== device,
  )
  if (twin === undefined) return
  throw new VmrError('UPLINK_BUSY', `${twin.ifname} on ${uplink} has the MAC address of ${what} already`, {
    hint: `If no VM uses it, it was left over: ip link delete ${twin.ifname}`,
  })
}

async function requireSource(connection: Connection, nic: NicFacts, what: string, { signal }: Options): Promise<void> {
  if (nic.source === undefined) return
  if (nic.type === 'network') {
    const name = nic.source
    const inactive = (state: string) =>
      new VmrError('LIBVIRT_FAILED', `the libvirt network ${name} that ${what} shall be attached to ${state}`, {
        hint: `See \`virsh net-list --all\`; start it: virsh net-start ${name}`,
      })
    try {
      const network = await connection.lookupNetworkByName(name, { signal })
      if (!(await connection.isNetworkActive(network, { signal }))) throw inactive('is not started')
    } catch (error) {
      throw isNetworkNotFound(error) ? inactive('does not exist') : error
    }
  } else if (nic.type === 'bridge' || nic.type === 'direct') {
    const links = await readLinks(localShell, { name: nic.source, ...(signal === undefined ? {} : { signal }) })
    if (links.length === 0)
      throw new VmrError('UPLINK_NOT_FOUND', `there is no ${nic.source} that ${what} could be attached to`, {
        hint: 'See `ip link`.',
      })
  }
}
