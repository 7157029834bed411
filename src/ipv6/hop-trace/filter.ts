import { normalizeAddress } from '../../os/address-text.ts'
import type { Family } from '../reachability.ts'

/** One exchange to be followed: who asks for whom on one network, and the packets between the ends. */
export interface Exchange {
  readonly family: Family
  /** Ends of the packets. */
  readonly from: string
  readonly to: string
  /** Neighbours that are resolved on the way, on each network of it. */
  readonly resolved: readonly { readonly from: string; readonly to: string }[]
}

/**
 * pcap-filter(7) for what belongs to the exchanges, in frames without a VLAN tag: requests and answers of the neighbour
 * protocols for the addresses that are resolved, echo packets between any of the ends, and ICMP errors to a sender. Each
 * address is in it once, since a guest's console takes its time for every character.
 */
export function exchangeFilter(exchanges: readonly Exchange[]): string {
  const terms = (['ipv4', 'ipv6'] as const).flatMap((family) =>
    termsOf(
      family,
      exchanges.filter((each) => each.family === family),
    ),
  )
  return terms.map((term) => `(${term})`).join(' or ')
}

function termsOf(family: Family, exchanges: readonly Exchange[]): readonly string[] {
  if (exchanges.length === 0) return []
  const neighbours = distinct(exchanges.flatMap(({ resolved }) => resolved.flatMap((pair) => [pair.from, pair.to])))
  const anyOf = (terms: readonly string[]) => `(${terms.join(' or ')})`
  const ends = anyOf(distinct(exchanges.flatMap(({ from, to }) => [from, to])))
  const senders = anyOf(distinct(exchanges.map(({ from }) => from)))
  const between = `src host ${ends} and dst host ${ends}`
  if (family === 'ipv4') {
    return [
      // RFC 826 over Ethernet: sender's protocol address at 14, the target's at 24.
      ...(neighbours.length === 0
        ? []
        : [`arp and ${anyOf(neighbours.flatMap((each) => [words('arp', 14, each), words('arp', 24, each)]))}`]),
      // RFC 792: 0 and 8 echo; 3 unreachable, 5 redirect, 11 time exceeded.
      `icmp and ${between}`,
      `icmp and dst host ${senders} and (icmp[0] = 3 or icmp[0] = 5 or icmp[0] = 11)`,
    ]
  }
  return [
    // RFC 4861 section 4.3, 4.4: 135 solicitation, 136 advertisement, the target behind 40 + 8 bytes.
    ...(neighbours.length === 0
      ? []
      : [
          `icmp6 and (ip6[40] = 135 or ip6[40] = 136) and not ip6 src :: and ${anyOf(neighbours.map((each) => words('ip6', 48, each)))}`,
        ]),
    // RFC 4443: 128 and 129 echo.
    `icmp6 and (ip6[40] = 128 or ip6[40] = 129) and ${between}`,
    // RFC 4443: errors are below 128.
    `icmp6 and dst host ${senders} and ip6[40] < 5`,
  ]
}

function distinct(texts: readonly string[]): readonly string[] {
  return [...new Set(texts)]
}

function words(protocol: string, offset: number, address: string): string {
  return `(${addressWords(address)
    .map((word, index) => `${protocol}[${offset + 4 * index}:4] = 0x${word}`)
    .join(' and ')})`
}

/** The address in groups of 32 bits, each as 8 hexadecimal digits. */
function addressWords(address: string): readonly string[] {
  const hex = (value: number) => value.toString(16).padStart(2, '0')
  if (address.includes('.') && !address.includes(':'))
    return [
      address
        .split('.')
        .map((part) => hex(Number(part)))
        .join(''),
    ]
  const [head = '', tail] = normalizeAddress(address).split('::')
  const groups = (text: string) => (text === '' ? [] : text.split(':').map((group) => group.padStart(4, '0')))
  const before = groups(head)
  const after = groups(tail ?? '')
  const all = [...before, ...Array<string>(8 - before.length - after.length).fill('0000'), ...after]
  return [0, 2, 4, 6].map((index) => `${all[index]}${all[index + 1]}`)
}
