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
 * pcap-filter(7) for what belongs to the exchanges, with or without a VLAN tag: requests and answers of the neighbour
 * protocols for the addresses that are resolved, echo packets between the ends, and ICMP errors to the sender.
 */
export function exchangeFilter(exchanges: readonly Exchange[]): string {
  const terms = [...new Set(exchanges.flatMap((exchange) => termsOf(exchange)))].join(' or ')
  return `(${terms}) or (vlan and (${terms}))`
}

function termsOf({ family, from, to, resolved }: Exchange): readonly string[] {
  const neighbours = [...new Set(resolved.flatMap((pair) => [pair.from, pair.to]))]
  if (family === 'ipv4') {
    return [
      // RFC 826 over Ethernet: sender's protocol address at 14, the target's at 24.
      ...neighbours.map((address) => `(arp and (${words('arp', 14, address)} or ${words('arp', 24, address)}))`),
      `(icmp and ((src host ${from} and dst host ${to}) or (src host ${to} and dst host ${from})))`,
      // RFC 792: 3 unreachable, 5 redirect, 11 time exceeded.
      `(icmp and dst host ${from} and (icmp[0] == 3 or icmp[0] == 5 or icmp[0] == 11))`,
    ]
  }
  return [
    // RFC 4861 section 4.3, 4.4: 135 solicitation, 136 advertisement, the target behind 40 + 8 bytes.
    ...neighbours.map(
      (address) => `(icmp6 and (ip6[40] == 135 or ip6[40] == 136) and not ip6 src :: and ${words('ip6', 48, address)})`,
    ),
    // RFC 4443: 128 and 129 echo.
    `(icmp6 and (ip6[40] == 128 or ip6[40] == 129) and ((src host ${from} and dst host ${to}) or (src host ${to} and dst host ${from})))`,
    // RFC 4443: errors are below 128.
    `(icmp6 and dst host ${from} and ip6[40] < 5)`,
  ]
}

function words(protocol: string, offset: number, address: string): string {
  return `(${addressWords(address)
    .map((word, index) => `${protocol}[${offset + 4 * index}:4] == 0x${word}`)
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
