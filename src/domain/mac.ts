import { createHash } from 'node:crypto'
import { isIPv6 } from 'node:net'
import { VmrError } from '../errors/vmr-error.ts'

/**
 * QEMU's prefix. It has the locally-administered bit (0x02), and VyOS binds interface names (`hw-id`) only to globally
 * administered addresses and to a short list of prefixes that has this one (vyos-1x, vyos_net_name).
 */
export const macPrefix = '52:54:00'

export interface MacRequest {
  readonly vmName: string
  /** One entry a NIC in guest order: its MAC if the definition sets one. */
  readonly nics: readonly { readonly mac?: string | undefined }[]
  /** Every IPv4 and IPv6 address of the configuration, with or without prefix length. */
  readonly addresses: readonly string[]
}

/**
 * A MAC for every NIC: those set are kept, the others are derived from VM name and position, so that the same VM gets
 * the same ones again, ascending in guest order: a bridge in the guest takes its lowest port's MAC (Linux,
 * br_stp_recalculate_bridge_id), and which of its neighbours a macvtap then cuts off must not hang on the VM's name.
 *
 * A derived MAC never ends in the same 24 bits as an address of the configuration: an IPv6 address joins the
 * solicited-node group of its low 24 bits (RFC 4291 section 2.7.1), the host's own link-local address on a macvtap
 * joins that of the MAC's, and where the two agree a group that should be lost is received by luck.
 *
 * @throws VmrError CONFIG_INVALID when two NICs are given the same MAC.
 */
export function assignMacs({ vmName, nics, addresses }: MacRequest): readonly string[] {
  const given = nics.flatMap(({ mac }) => (mac === undefined ? [] : [mac.toLowerCase()]))
  const twice = given.find((mac, index) => given.indexOf(mac) !== index)
  if (twice !== undefined)
    throw new VmrError('CONFIG_INVALID', `two NICs of ${vmName} have the MAC address ${twice}`, {
      hint: 'Give each NIC its own MAC address, or leave mac out to have one derived.',
    })
  const taken = new Set([...given.map(macLow24), ...addresses.map(low24)])
  let next = firstLow24(vmName)
  return nics.map(({ mac }) => {
    while (taken.has(next)) next += 1
    const derived = next
    next += 1
    return mac?.toLowerCase() ?? macOf(derived)
  })
}

/** Room above it for every NIC and every address in its way. */
function firstLow24(vmName: string): number {
  const hash = createHash('sha256').update(vmName).digest()
  return hash.readUIntBE(0, 3) % (0x1000000 - 0x10000)
}

function macOf(low: number): string {
  return [macPrefix, ...[16, 8, 0].map((shift) => hex((low >> shift) & 0xff))].join(':')
}

function hex(byte: number): string {
  return byte.toString(16).padStart(2, '0')
}

export function macLow24(mac: string): number {
  return Number.parseInt(mac.split(':').slice(3).join(''), 16)
}

/** The last 24 bits of an IPv4 or IPv6 address, whose prefix length or zone, if any, is left aside. */
export function low24(address: string): number {
  const bare = address.replace(/[/%].*$/, '')
  const dotted = /(?:^|:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(bare)
  if (dotted !== null) return (Number(dotted[2]) << 16) | (Number(dotted[3]) << 8) | Number(dotted[4])
  if (!isIPv6(bare)) throw new VmrError('INTERNAL', `${JSON.stringify(address)} is no IP address`)
  const [head = '', tail] = bare.split('::')
  const before = head === '' ? [] : head.split(':')
  const after = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = tail === undefined ? [] : Array<string>(8 - before.length - after.length).fill('0')
  const [high = 0, low = 0] = [...before, ...zeros, ...after].slice(-2).map((group) => Number.parseInt(group, 16))
  return ((high & 0xff) << 16) | low
}

/** Whether a frame for it is for one machine alone (IEEE 802, the individual/group bit). */
export function isUnicastMac(mac: string): boolean {
  return (Number.parseInt(mac.slice(0, 2), 16) & 1) === 0
}
