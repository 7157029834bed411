import { isIPv4, isIPv6 } from 'node:net'
import type { z } from 'zod'
import {
  addressWithPrefixSchema,
  hostNameSchema,
  interfaceNameSchema,
  ipv6AddressSchema,
  mtuSchema,
  vlanIdSchema,
} from '../../../config/network-config.ts'

/** What a template's variable may hold. */
export interface VariableType {
  /** What a value must be, for messages: "an IPv4 address, such as 192.0.2.1". */
  readonly wanted: string
  accepts(value: string): boolean
  /** Whether the value itself can be a word; else only its parts can. */
  readonly whole: boolean
  /** What `{{name.part}}` takes out of a value that is accepted. */
  readonly parts: Readonly<Record<string, (value: string) => string>>
}

const plain = (wanted: string, accepts: (value: string) => boolean): VariableType => ({
  wanted,
  accepts,
  whole: true,
  parts: {},
})

const fits =
  (schema: z.ZodType<string>) =>
  (value: string): boolean =>
    schema.safeParse(value).success

/** A whole number without leading zeros, so that VyOS shows it as it was given. */
const isNumber = (value: string, accepts: (number: number) => boolean) =>
  /^(?:0|[1-9]\d{0,9})$/.test(value) && accepts(Number(value))

const addressOf = (value: string) => value.split('/')[0] ?? ''
const isCidr = (value: string, isAddress: (text: string) => boolean) =>
  fits(addressWithPrefixSchema)(value) && isAddress(addressOf(value)) && !/\/0\d/.test(value)
const cidr = (wanted: string, isAddress: (text: string) => boolean): VariableType => ({
  ...plain(wanted, (value) => isCidr(value, isAddress)),
  parts: { address: addressOf },
})

const keyPattern =
  /^(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(?:256|384|521)) +([A-Za-z0-9+/]{16,3900}={0,2})(?: [^\u0000-\u001f\u007f]*)?$/

/** RFC 4253 section 6.6: the blob begins with the name of its kind, which tells a key from any base64. */
function isPublicKey(value: string): boolean {
  const [, kind, blob] = keyPattern.exec(value.trim()) ?? []
  if (kind === undefined || blob === undefined) return false
  const bytes = Buffer.from(blob, 'base64')
  return bytes.readUInt32BE(0) === kind.length && bytes.subarray(4, 4 + kind.length).toString('latin1') === kind
}

const types: Readonly<Record<string, VariableType>> = {
  ipv4: plain('an IPv4 address, such as 192.0.2.1', isIPv4),
  ipv6: plain('an IPv6 address, such as 2001:db8::1', fits(ipv6AddressSchema)),
  'ipv4-cidr': cidr('an IPv4 address with its prefix length, such as 192.0.2.1/24', isIPv4),
  'ipv6-cidr': cidr('an IPv6 address with its prefix length, such as 2001:db8::1/64', isIPv6),
  interface: plain('an interface name, such as eth1', fits(interfaceNameSchema)),
  'vlan-id': plain('a VLAN ID, 1 to 4094', fits(vlanIdSchema)),
  mtu: plain('an MTU, 1280 to 65535', (value) => isNumber(value, (number) => mtuSchema.safeParse(number).success)),
  port: plain('a port, 1 to 65535', (value) => isNumber(value, (number) => number >= 1 && number <= 65_535)),
  number: plain('a whole number, 0 to 4294967295', (value) => isNumber(value, (number) => number < 2 ** 32)),
  'host-name': plain('a host name, such as r1', fits(hostNameSchema)),
  'ssh-public-key': {
    wanted: 'a public key of SSH, as in a file .pub: ssh-ed25519 AAAA…',
    accepts: isPublicKey,
    whole: false,
    parts: {
      type: (value) => keyPattern.exec(value.trim())?.[1] ?? '',
      key: (value) => keyPattern.exec(value.trim())?.[2] ?? '',
    },
  },
}

const defaultLength = 255
const maxLength = 1000

/** Words that VyOS takes in quotes, see renderCommand. */
function text(length: number): VariableType {
  return plain(
    `1 to ${length} characters without quotes, backslashes, backquotes and control characters`,
    (value) => value.length >= 1 && value.length <= length && !/[\u0000-\u001f\u007f-\u009f'"\\`]/.test(value),
  )
}

export const variableTypeNames: readonly string[] = [...Object.keys(types), 'string', 'string(LENGTH)']

/** @returns undefined for what is no type. */
export function findVariableType(name: string, length: string | undefined): VariableType | undefined {
  if (name !== 'string') return length === undefined && Object.hasOwn(types, name) ? types[name] : undefined
  const limit = length === undefined ? defaultLength : Number(length)
  return limit >= 1 && limit <= maxLength ? text(limit) : undefined
}
