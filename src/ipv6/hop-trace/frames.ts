import { normalizeAddress } from '../../os/address-text.ts'
import type { FrameKind, PathEvidence, PathHop, Sighting } from '../evidence/schema.ts'

/** A frame as `tcpdump -e -n -t` prints it, as far as it matters here. */
export interface SeenFrame {
  readonly sourceMac: string
  readonly destinationMac: string
  readonly vlan: number
  readonly what:
    | { readonly kind: 'request'; readonly target: string; readonly asker: string }
    | { readonly kind: 'answer'; readonly target: string; readonly mac: string | undefined }
    | { readonly kind: 'echo' | 'reply'; readonly from: string; readonly to: string }
    | { readonly kind: 'error'; readonly from: string; readonly to: string; readonly says: string }
}

/** Reads one line; undefined for anything that is none of these. */
export function readFrame(line: string): SeenFrame | undefined {
  const ethernet = /^([0-9a-f:]{17})(?: \([^)]*\))? > ([0-9a-f:]{17}|Broadcast)(?: \([^)]*\))?, (.*)$/i.exec(
    line.trim(),
  )
  if (ethernet === null) return undefined
  const [, sourceMac = '', destination = '', rest = ''] = ethernet
  const tag = /ethertype 802\.1Q[^,]*, (?:length \d+: )?vlan (\d+)/.exec(rest)
  const what = whatOf(rest)
  if (what === undefined) return undefined
  return {
    sourceMac,
    destinationMac: destination === 'Broadcast' ? 'ff:ff:ff:ff:ff:ff' : destination,
    vlan: tag === null ? 0 : Number(tag[1]),
    what,
  }
}

function whatOf(text: string): SeenFrame['what'] | undefined {
  const arp = /Request who-has ([0-9.]+)(?: \([^)]*\))? tell ([0-9.]+)/.exec(text)
  if (arp !== null) return { kind: 'request', target: arp[1] ?? '', asker: arp[2] ?? '' }
  const arpReply = /Reply ([0-9.]+) is-at ([0-9a-f:]{17})/.exec(text)
  if (arpReply !== null) return { kind: 'answer', target: arpReply[1] ?? '', mac: arpReply[2] }
  const packet = /(?:^|[ :])([0-9a-f:.]+) > ([0-9a-f:.]+): (?:\[[^\]]*\] )?(ICMP6?,? .*)$/i.exec(text)
  if (packet === null) return undefined
  const [, from = '', to = '', says = ''] = packet
  const solicitation = /neighbor solicitation, (?:length \d+, )?who has ([0-9a-f:]+)/i.exec(says)
  if (solicitation !== null) return { kind: 'request', target: normalizeAddress(solicitation[1] ?? ''), asker: from }
  const advertisement = /neighbor advertisement, (?:length \d+, )?tgt is ([0-9a-f:]+)/i.exec(says)
  if (advertisement !== null)
    return { kind: 'answer', target: normalizeAddress(advertisement[1] ?? ''), mac: undefined }
  const ends = { from: normalizeAddress(from), to: normalizeAddress(to) }
  if (/echo request/.test(says)) return { kind: 'echo', ...ends }
  if (/echo reply/.test(says)) return { kind: 'reply', ...ends }
  const error = /^ICMP6?, (.*?)(?:, length \d+)?$/.exec(says)?.[1] ?? says
  return /unreachable|exceeded|too big|need to frag|redirect|parameter/i.test(error)
    ? { kind: 'error', ...ends, says: error.slice(0, 200) }
    : undefined
}

/** What of a path one hop saw, by kind. A neighbour's address counts only on the network where it is resolved. */
export function sightingsAt(
  hop: PathHop,
  path: Pick<PathEvidence, 'from' | 'to' | 'resolved'>,
  frames: readonly SeenFrame[],
): readonly Sighting[] {
  const found = new Map<FrameKind, SeenFrame[]>()
  const pair = path.resolved[hop.segment]
  const ends = { from: normalizeAddress(path.from.address), to: normalizeAddress(path.to.address) }
  for (const frame of frames) {
    const kind = kindOn(frame, ends, pair)
    if (kind !== undefined) found.set(kind, [...(found.get(kind) ?? []), frame])
  }
  return [...found].map(([kind, seen]) => ({
    hop: hop.name,
    segment: hop.segment,
    kind,
    count: seen.length,
    sourceMacs: distinct(seen.map(({ sourceMac }) => sourceMac)),
    destinationMacs: distinct(seen.map(({ destinationMac }) => destinationMac)),
    vlans: distinct(seen.map(({ vlan }) => vlan)),
    says: distinct(
      seen.flatMap(({ what, sourceMac }) => {
        if (what.kind === 'error') return [`${what.from}: ${what.says}`.slice(0, 300)]
        return what.kind === 'answer' ? [what.mac ?? sourceMac] : []
      }),
    ),
  }))
}

function kindOn(
  { what }: SeenFrame,
  ends: { readonly from: string; readonly to: string },
  pair: { readonly from: string; readonly to: string } | undefined,
): FrameKind | undefined {
  switch (what.kind) {
    case 'request':
    case 'answer': {
      if (pair === undefined) return undefined
      if (what.target === normalizeAddress(pair.to)) return what.kind
      return what.target === normalizeAddress(pair.from) ? `reverse-${what.kind}` : undefined
    }
    case 'echo':
      return what.from === ends.from && what.to === ends.to ? 'echo' : undefined
    case 'reply':
      return what.from === ends.to && what.to === ends.from ? 'reply' : undefined
    case 'error':
      return what.to === ends.from ? 'error' : undefined
  }
}

function distinct<T>(values: readonly T[]): T[] {
  return [...new Set(values)].slice(0, 8)
}
