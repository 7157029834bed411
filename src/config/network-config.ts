import { isIPv4, isIPv6 } from 'node:net'
import { z } from 'zod'

/** Linux interface name: 1-15 bytes, no slash, blank or colon (kernel dev_valid_name), and tame enough for every CLI. */
export const interfaceNameSchema = z
  .string()
  .regex(/^[A-Za-z][A-Za-z0-9_.-]{0,14}$/, 'must be an interface name: a letter, then up to 14 of A-Z a-z 0-9 _ . -')

const prefixed = (isAddress: (text: string) => boolean, maxLength: number) => (text: string) => {
  const [address, length, ...rest] = text.split('/')
  if (address === undefined || length === undefined || rest.length > 0 || !/^\d{1,3}$/.test(length)) return false
  return isAddress(address) && Number(length) <= maxLength
}
const isIPv4Prefixed = prefixed(isIPv4, 32)
// A zone (fe80::1%eth0) is valid for node:net but names a link of one machine: it has no place in a declared address.
const isIPv6Prefixed = prefixed((text) => isIPv6(text) && !text.includes('%'), 128)

export const addressWithPrefixSchema = z
  .string()
  .refine(
    (text) => isIPv4Prefixed(text) || isIPv6Prefixed(text),
    'must be an IPv4 or IPv6 address with a prefix length, such as 192.0.2.1/24',
  )
export const ipAddressSchema = z
  .string()
  .refine((text) => isIPv4(text) || (isIPv6(text) && !text.includes('%')), 'must be an IPv4 or IPv6 address')
export const ipv6AddressSchema = z
  .string()
  .refine((text) => isIPv6(text) && !text.includes('%'), 'must be an IPv6 address')

/** Smallest MTU that IPv6 allows (RFC 8200 section 5) up to the largest that virtio-net takes. */
export const mtuSchema = z.number().int().min(1280).max(65535)

const offloadsSchema = z.strictObject({
  gro: z.boolean().optional(),
  gso: z.boolean().optional(),
  sg: z.boolean().optional(),
  tso: z.boolean().optional(),
})

export const vlanIdSchema = z
  .string()
  .regex(/^([1-9]\d{0,2}|[1-3]\d{3}|40[0-8]\d|409[0-4])$/, 'must be a VLAN id, 1 to 4094')

export const hostNameSchema = z
  .string()
  .regex(/^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/, 'must be a host name of letters, digits and hyphens')

const ethernetSchema = z.strictObject({
  addresses: z.array(addressWithPrefixSchema).default([]),
  mtu: mtuSchema.optional(),
  offloads: offloadsSchema.optional(),
  /** IEEE 802.1Q VLAN id -> what the VLAN interface carries. */
  vlans: z
    .record(
      vlanIdSchema,
      z.strictObject({ addresses: z.array(addressWithPrefixSchema).default([]), mtu: mtuSchema.optional() }),
    )
    .default({}),
})

const bridgeSchema = z.strictObject({
  members: z.array(interfaceNameSchema).min(1),
  addresses: z.array(addressWithPrefixSchema).default([]),
  mtu: mtuSchema.optional(),
})

/** RFC 2473 IPv4-in-IPv6. `encapsulationLimit: 'none'` leaves the 8-byte destination option out. */
const tunnelSchema = z.strictObject({
  kind: z.literal('ipip6'),
  local: ipv6AddressSchema,
  remote: ipv6AddressSchema,
  addresses: z.array(addressWithPrefixSchema).default([]),
  mtu: mtuSchema.optional(),
  encapsulationLimit: z.union([z.literal('none'), z.number().int().min(0).max(255)]).optional(),
})

const routeSchema = z
  .strictObject({
    to: addressWithPrefixSchema,
    via: ipAddressSchema.optional(),
    device: interfaceNameSchema.optional(),
  })
  .refine((route) => route.via !== undefined || route.device !== undefined, 'needs via, device or both')

/**
 * What a machine's network shall be, in no system's own words. Names are the machine's: the first NIC of a guest is
 * eth0 whatever the host calls its tap.
 */
export const networkConfigSchema = z.strictObject({
  hostName: hostNameSchema.optional(),
  ethernets: z.record(interfaceNameSchema, ethernetSchema).default({}),
  bridges: z.record(interfaceNameSchema, bridgeSchema).default({}),
  tunnels: z.record(interfaceNameSchema, tunnelSchema).default({}),
  routes: z.array(routeSchema).default([]),
  forwarding: z.strictObject({ ipv4: z.boolean().optional(), ipv6: z.boolean().optional() }).optional(),
})

export type NetworkConfig = z.infer<typeof networkConfigSchema>
/** The same before defaults are filled in: what a person writes, or a case builds. */
export type NetworkConfigInput = z.input<typeof networkConfigSchema>
