import { isIPv6 } from 'node:net'

/**
 * An IPv4 or IPv6 address, with or without prefix length, in the one form in which the kernel's tools print it
 * (RFC 5952), so that texts can be compared.
 */
export function normalizeAddress(text: string): string {
  const [address = '', prefixLength] = text.split('/')
  // The URL parser is the one in the platform that shortens IPv6 addresses as RFC 5952 says.
  const canonical = isIPv6(address) ? new URL(`http://[${address}]`).hostname.slice(1, -1) : address
  return prefixLength === undefined ? canonical : `${canonical}/${Number(prefixLength)}`
}
