import { isUnicastMac } from '../../domain/mac.ts'
import type { FrameKind, PathEvidence, PathHop, Sighting } from '../evidence/schema.ts'

/** Where the first thing goes missing of all that has to happen for an answer to come back. */
export type Loss =
  /** The sender did not put a frame on its link. */
  | { readonly kind: 'unsent'; readonly frame: FrameKind; readonly at: PathHop }
  /** A frame was seen at one hop and not at the next. */
  | { readonly kind: 'between'; readonly frame: FrameKind; readonly last: PathHop; readonly missing: PathHop }
  /** It arrived, and nothing came of it there: no answer, or not passed on. */
  | { readonly kind: 'unanswered'; readonly frame: FrameKind; readonly at: PathHop }
  /** Everything was seen to the end, and yet ping counted no answer. */
  | { readonly kind: 'arrived' }
  /** No hop was watched. */
  | { readonly kind: 'unwatched' }

interface Stage {
  readonly frame: FrameKind
  /** Hops in the order in which the frame travels. */
  readonly hops: readonly PathHop[]
}

const frameNames: Readonly<Record<'ipv4' | 'ipv6', Readonly<Record<FrameKind, string>>>> = {
  ipv4: {
    request: 'ARP request',
    answer: 'ARP reply',
    echo: 'echo request',
    'reverse-request': 'ARP request for the sender',
    'reverse-answer': 'ARP reply for the sender',
    reply: 'echo reply',
    error: 'ICMP error',
  },
  ipv6: {
    request: 'neighbour solicitation',
    answer: 'neighbour advertisement',
    echo: 'echo request',
    'reverse-request': 'neighbour solicitation for the sender',
    'reverse-answer': 'neighbour advertisement for the sender',
    reply: 'echo reply',
    error: 'ICMPv6 error',
  },
}

export function frameName(family: 'ipv4' | 'ipv6', frame: FrameKind): string {
  return frameNames[family][frame]
}

/**
 * All that has to happen, in order: on each network the next hop is asked for and answers, the echo goes on; then on
 * each network back, the router or sender is asked for where it is not known, and the reply goes on.
 */
function stages(path: PathEvidence): readonly Stage[] {
  const segments = [...new Set(path.hops.map(({ segment }) => segment))].sort((a, b) => a - b)
  const hopsOf = (segment: number) => path.hops.filter((hop) => hop.segment === segment)
  return [
    ...segments.flatMap((segment): readonly Stage[] => [
      { frame: 'request', hops: hopsOf(segment) },
      { frame: 'answer', hops: hopsOf(segment).toReversed() },
      { frame: 'echo', hops: hopsOf(segment) },
    ]),
    ...segments.toReversed().flatMap((segment): readonly Stage[] => [
      { frame: 'reverse-request', hops: hopsOf(segment).toReversed() },
      { frame: 'reverse-answer', hops: hopsOf(segment) },
      { frame: 'reply', hops: hopsOf(segment).toReversed() },
    ]),
  ]
}

/** Finds the first loss. Pure. */
export function findLoss(path: PathEvidence): Loss {
  const { trace } = path
  if (trace === undefined || path.hops.length === 0) return { kind: 'unwatched' }
  const seen = (hop: PathHop, frame: FrameKind) => sighting(path, hop, frame) !== undefined
  const all = stages(path)
    .map(({ frame, hops }) => ({ frame, hops: hops.filter(({ name }) => !trace.unwatched.includes(name)) }))
    .filter((stage) => stage.hops.length > 0 && !isAside(stage, path, seen))
  if (all.length === 0) return { kind: 'unwatched' }
  const started = all.map(({ frame, hops }) => hops.some((hop) => seen(hop, frame)))
  const lastStarted = started.lastIndexOf(true)
  const first = all[0]
  if (lastStarted === -1 || first === undefined) {
    const [at] = first?.hops ?? []
    return at === undefined ? { kind: 'unwatched' } : { kind: 'unsent', frame: 'request', at }
  }
  // What was begun last is what the exchange came to; who asks back before the answer is there begins two at once.
  const reached = earliestIncomplete(all, started, lastStarted, seen)
  const stage = all[reached]
  if (stage === undefined) return { kind: 'arrived' }
  const { frame, hops } = stage
  const last = hops.findLastIndex((hop) => seen(hop, frame))
  const lastHop = hops[last]
  const missing = hops[last + 1]
  if (lastHop !== undefined && missing !== undefined) return { kind: 'between', frame, last: lastHop, missing }
  if (frame === 'reply' && reached === all.length - 1) return { kind: 'arrived' }
  return lastHop === undefined ? { kind: 'unwatched' } : { kind: 'unanswered', frame, at: lastHop }
}

/**
 * Frames that are no part of the exchange, whatever became of them: who knows a neighbour verifies it by unicast after
 * some seconds (RFC 4861 section 7.3.3), a router asks for the sender on its own account before the reply reaches it, and
 * the target may be asking for the sender since an earlier probe.
 */
function isAside(
  { frame, hops }: Stage,
  path: PathEvidence,
  seen: (hop: PathHop, frame: FrameKind) => boolean,
): boolean {
  if (frame !== 'reverse-request' && frame !== 'reverse-answer') return false
  const segment = hops[0]?.segment ?? 0
  const cameBackBefore = path.hops.find((hop) => hop.segment === segment + 1)
  if (cameBackBefore !== undefined && !seen(cameBackBefore, 'reply')) return true
  // Nor does a machine ask for a sender of which nothing has come to it.
  const target = frame === 'reverse-request' ? hops[0] : hops.at(-1)
  if (target !== undefined && !(['request', 'echo'] as const).some((each) => seen(target, each))) return true
  const asked =
    path.trace?.sightings.filter((each) => each.segment === segment && each.kind === 'reverse-request') ?? []
  return (
    asked.some(({ count }) => count > 0) && asked.every(({ destinationMacs }) => destinationMacs.every(isUnicastMac))
  )
}

/** Of the stages that were begun, the first that did not come to its end and that nothing later shows to have succeeded. */
function earliestIncomplete(
  all: readonly Stage[],
  started: readonly boolean[],
  lastStarted: number,
  seen: (hop: PathHop, frame: FrameKind) => boolean,
): number {
  for (let index = 0; index <= lastStarted; index++) {
    const stage = all[index]
    if (stage === undefined || !started[index]) continue
    const complete = stage.hops.every((hop, position) => position < stage.hops.length - 1 || seen(hop, stage.frame))
    if (complete) continue
    // An advertisement that a hop missed arrived all the same when its receiver went on to use it.
    const overtaken = all.slice(index + 1, lastStarted + 1).some((later, offset) => {
      const [origin] = later.hops
      return (
        started[index + 1 + offset] === true &&
        origin !== undefined &&
        dependsOn(stage.frame, later.frame) &&
        seen(origin, later.frame)
      )
    })
    if (!overtaken) return index
  }
  return lastStarted
}

/** Whether a frame of the second kind can only be there once one of the first has arrived. */
function dependsOn(first: FrameKind, second: FrameKind): boolean {
  const needs: Readonly<Partial<Record<FrameKind, readonly FrameKind[]>>> = {
    answer: ['request'],
    echo: ['request', 'answer'],
    reply: ['request', 'answer', 'echo', 'reverse-request', 'reverse-answer'],
    'reverse-answer': ['reverse-request'],
    'reverse-request': ['request'],
  }
  return needs[second]?.includes(first) === true
}

export function sighting(path: PathEvidence, hop: PathHop, frame: FrameKind): Sighting | undefined {
  return path.trace?.sightings.find(
    (each) => each.hop === hop.name && each.segment === hop.segment && each.kind === frame && each.count > 0,
  )
}

/** "neighbour solicitation last seen at host vmr-up1, not at host macvtap5" */
export function lossLine(path: PathEvidence, loss: Loss): string {
  switch (loss.kind) {
    case 'unsent':
      return `nothing was sent: not even seen at ${loss.at.name}`
    case 'between':
      return `${frameName(path.family, loss.frame)} last seen at ${loss.last.name}, not at ${loss.missing.name}`
    case 'unanswered':
      return `${frameName(path.family, loss.frame)} arrives at ${loss.at.name}, and nothing comes of it there`
    case 'arrived':
      return 'every frame was seen up to its end, and yet nothing was counted as an answer'
    case 'unwatched':
      return 'no hop could be watched'
  }
}
