/** Which packets a path carries, as far as the most that can go through it depends on that. */
export interface WirePath {
  /** Of the link, in bits per second. */
  readonly linkBitsPerSecond: number
  /** Family of the packets that the end points exchange (inside the tunnel, if there is one). */
  readonly family: 'ipv4' | 'ipv6'
  readonly protocol: 'tcp' | 'udp'
  /** Of the link, in bytes: the largest IP packet in one frame. */
  readonly mtu: number
  /** TCP timestamps (RFC 7323), on by default in every current system. Default true; without meaning for UDP. */
  readonly tcpTimestamps?: boolean
  /** IEEE 802.1Q tags in each frame. Default 0. */
  readonly vlanTags?: number
  readonly tunnel?: TunnelPath
  /** Largest TCP segment that the end points agreed on, where it is smaller than the path's own. */
  readonly mss?: number
  /** TCP runs both ways at once: each direction also carries the other's acknowledgements. Default false. */
  readonly bothWays?: boolean
}

/** RFC 2473 IPv4-in-IPv6 over the link. */
export interface TunnelPath {
  readonly kind: 'ipip6'
  /** Of the tunnel interface, in bytes. Default: what fits into the link's MTU without fragments. */
  readonly mtu?: number
  /** Whether packets carry the Tunnel Encapsulation Limit option, 8 bytes with its destination options header. */
  readonly encapsulationLimit: boolean
}

/** IEEE 802.3: 7 bytes preamble and 1 start of frame before a frame, 96 bit times of silence after it. */
const preambleBytes = 8
const interFrameGapBytes = 12
const ethernetHeaderBytes = 14
const frameCheckSequenceBytes = 4
/** IEEE 802.3: shorter frames are padded to this, header and frame check sequence included. */
const minFrameBytes = 64
/** IEEE 802.1Q */
const vlanTagBytes = 4

/** RFC 791 and RFC 8200, without options. */
const ipHeaderBytes = { ipv4: 20, ipv6: 40 } as const
/** RFC 9293 without options; RFC 7323: 10 bytes of timestamps, padded to 12; RFC 768. */
const tcpHeaderBytes = 20
const tcpTimestampBytes = 12
const udpHeaderBytes = 8
/** RFC 2473 section 4.1.1: destination options header with this option and its padding. */
const encapsulationLimitBytes = 8
/** RFC 8200 section 4.5; all fragments but the last carry a multiple of 8 bytes. */
const fragmentHeaderBytes = 8
const fragmentUnitBytes = 8
/** RFC 9293 section 3.8.6.3: at least every second full-sized segment is acknowledged. */
const segmentsPerAcknowledgement = 2

/**
 * The most payload that fits through the path, in bits per second: what iperf would show on a perfect machine.
 *
 * A packet of MTU size carries `MTU - headers` bytes of payload and occupies the wire for MTU + 38 bytes (preamble 8,
 * Ethernet header 14, frame check sequence 4, gap 12; 4 more for each VLAN tag). So the limit is
 * `rate × (MTU - headers) ÷ (MTU + 38)`. Within a tunnel the payload is smaller by the outer header (40 bytes, and 8
 * with the encapsulation limit); a tunnel packet larger than the link's MTU travels as fragments, each with all costs.
 */
export function wireLimitBitsPerSecond(path: WirePath): number {
  const payload = payloadBytes(path)
  const headers = ipHeaderBytes[path.family] + transportHeaderBytes(path)
  const data = wireBytesOfPacket(headers + payload, path)
  const acknowledgements =
    path.bothWays === true && path.protocol === 'tcp'
      ? wireBytesOfPacket(headers, path) / segmentsPerAcknowledgement
      : 0
  return (path.linkBitsPerSecond * payload) / (data + acknowledgements)
}

/** Payload of a full-sized packet in bytes: for TCP the effective segment size, options taken off. */
export function payloadBytes(path: WirePath): number {
  const innerMtu = path.tunnel === undefined ? path.mtu : (path.tunnel.mtu ?? path.mtu - tunnelOverhead(path.tunnel))
  const fitting = innerMtu - ipHeaderBytes[path.family] - transportHeaderBytes(path)
  if (path.protocol === 'udp' || path.mss === undefined) return fitting
  // The negotiated MSS does not count options (RFC 9293 section 3.7.1), which take their room from the payload.
  return Math.min(fitting, path.mss - (transportHeaderBytes(path) - tcpHeaderBytes))
}

function transportHeaderBytes({ protocol, tcpTimestamps = true }: WirePath): number {
  if (protocol === 'udp') return udpHeaderBytes
  return tcpHeaderBytes + (tcpTimestamps ? tcpTimestampBytes : 0)
}

function tunnelOverhead({ encapsulationLimit }: TunnelPath): number {
  return ipHeaderBytes.ipv6 + (encapsulationLimit ? encapsulationLimitBytes : 0)
}

function wireBytesOfPacket(packetBytes: number, { tunnel, mtu, vlanTags = 0 }: WirePath): number {
  const outer = tunnel === undefined ? [packetBytes] : tunnelPackets(packetBytes + tunnelOverhead(tunnel), mtu)
  return outer.reduce((sum, bytes) => sum + wireBytesOfFrame(bytes, vlanTags), 0)
}

/** An outer IPv6 packet as it leaves the tunnel's end: whole if it fits, else in fragments (RFC 2473 section 7.1). */
function tunnelPackets(outerBytes: number, mtu: number): readonly number[] {
  if (outerBytes <= mtu) return [outerBytes]
  const perFragment =
    Math.floor((mtu - ipHeaderBytes.ipv6 - fragmentHeaderBytes) / fragmentUnitBytes) * fragmentUnitBytes
  const fragmentable = outerBytes - ipHeaderBytes.ipv6
  const count = Math.ceil(fragmentable / perFragment)
  return Array.from({ length: count }, (_, index) => {
    const part = Math.min(perFragment, fragmentable - index * perFragment)
    return ipHeaderBytes.ipv6 + fragmentHeaderBytes + part
  })
}

function wireBytesOfFrame(packetBytes: number, vlanTags: number): number {
  const frame = ethernetHeaderBytes + vlanTags * vlanTagBytes + packetBytes + frameCheckSequenceBytes
  return preambleBytes + Math.max(minFrameBytes, frame) + interFrameGapBytes
}
