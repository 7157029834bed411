import { isIPv4 } from 'node:net'
import { normalizeAddress } from '../../os/address-text.ts'

/** "192.168.1.1/24" without its prefix length. */
export function withoutPrefixLength(address: string): string {
  return address.replace(/\/\d+$/, '')
}

/** The network that an address with prefix length is in: "192.168.1.0/24" of "192.168.1.1/24". */
export function networkOf(address: string): string {
  const { bits, value, prefixLength } = parse(address)
  const hostBits = BigInt(bits - prefixLength)
  return `${format((value >> hostBits) << hostBits, bits)}/${prefixLength}`
}

/** The first address after `address` in the same network that nobody has; all with prefix length. */
export function nextFreeAddress(address: string, taken: readonly string[]): string {
  const { bits, value, prefixLength } = parse(address)
  const used = new Set(taken.map((each) => normalizeAddress(withoutPrefixLength(each))))
  for (let next = value + 1n; ; next++) {
    const text = format(next, bits)
    if (networkOf(`${text}/${prefixLength}`) !== networkOf(address))
      throw new RangeError(`the network of ${address} is full`)
    if (!used.has(text)) return `${text}/${prefixLength}`
  }
}

/** The address with an interface identifier made of the MAC (RFC 4291 appendix A), in the network of `address`. */
export function eui64Address(address: string, mac: string): string {
  const { value, bits, prefixLength } = parse(address)
  if (bits !== 128 || prefixLength !== 64) throw new RangeError(`${address} is not in an IPv6 network of 64 bits`)
  const octets = mac.split(':').map((octet) => BigInt(`0x${octet}`))
  const [first = 0n, second = 0n, third = 0n, ...rest] = octets
  const identifier = [first ^ 0x02n, second, third, 0xffn, 0xfen, ...rest].reduce(
    (sum, octet) => (sum << 8n) | octet,
    0n,
  )
  return `${format(((value >> 64n) << 64n) | identifier, 128)}/64`
}

function parse(address: string): { readonly bits: 32 | 128; readonly value: bigint; readonly prefixLength: number } {
  const bare = withoutPrefixLength(address)
  const prefixLength = Number(address.slice(bare.length + 1))
  if (isIPv4(bare)) {
    const value = bare.split('.').reduce((sum, part) => (sum << 8n) | BigInt(part), 0n)
    return { bits: 32, value, prefixLength }
  }
  const [head = '', tail] = normalizeAddress(bare).split('::')
  const groups = (text: string) => (text === '' ? [] : text.split(':'))
  const before = groups(head)
  const after = groups(tail ?? '')
  const zeros = Array<string>(8 - before.length - after.length).fill('0')
  const all = tail === undefined ? before : [...before, ...zeros, ...after]
  return { bits: 128, value: all.reduce((sum, group) => (sum << 16n) | BigInt(`0x${group}`), 0n), prefixLength }
}

function format(value: bigint, bits: 32 | 128): string {
  if (bits === 32) return [24n, 16n, 8n, 0n].map((shift) => String((value >> shift) & 0xffn)).join('.')
  const groups = [112n, 96n, 80n, 64n, 48n, 32n, 16n, 0n].map((shift) => ((value >> shift) & 0xffffn).toString(16))
  return normalizeAddress(groups.join(':'))
}
