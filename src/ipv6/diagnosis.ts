import { toldTooLarge } from './evidence/probes.ts'
import type { Evidence, PathEvidence } from './evidence/schema.ts'
import { guestKey, hostKey, linkOf } from './evidence/topology.ts'
import type { Fault, Proof, Situation } from './faults/fault.ts'
import { faults } from './faults/index.ts'
import { findLoss, type Loss, lossLine } from './hop-trace/loss.ts'

/** One cause, with every path that it breaks. */
export interface NamedFault extends Proof {
  readonly fault: Fault
  readonly paths: readonly string[]
}

/** A path that something is wrong with. */
export interface BrokenPath {
  readonly path: PathEvidence
  readonly problem: Situation['problem']
  readonly loss: Loss
  /** "neighbour solicitation last seen at host vmr-up1, not at host macvtap5" */
  readonly line: string
  /** Ids of the faults that are proven to break it; none: the cause is unknown. */
  readonly causes: readonly string[]
}

export interface Diagnosis {
  /**
   * `healthy`: every path that was probed works. `named`: every loss has a proven cause. `partly`: some have. `unknown`:
   * none has. `unprobed`: nothing could be probed, so nothing is known.
   */
  readonly verdict: 'healthy' | 'named' | 'partly' | 'unknown' | 'unprobed'
  readonly named: readonly NamedFault[]
  readonly broken: readonly BrokenPath[]
  /** Worth knowing, and no fault. */
  readonly notes: readonly string[]
}

/** What is wrong with a path; undefined for a path that works. */
export function problemOf(path: PathEvidence, { machines }: Evidence): Situation['problem'] | undefined {
  const { probe, trace, large, warm, resolvedMac, to, routed, tunnel } = path
  if (tunnel !== undefined) {
    // Whether the other end of a tunnel answers is its own affair; how large its packets may be is not.
    const lost = probe.received > 0 && large?.received === 0 && large.sent > 0
    return large !== undefined && large.received === 0 && (lost || toldTooLarge(large)) ? 'large' : undefined
  }
  if (probe.received === 0) return trace !== undefined && trace.probe.received > 0 ? 'recovered' : 'lost'
  // A machine may answer by another of its interfaces than the one that has the address (the weak host model).
  const isOwn = machines[to.machine]?.links.some(({ mac }) => mac === resolvedMac)
  if (!routed && resolvedMac !== undefined && to.mac !== undefined && isOwn === false) return 'misdirected'
  if (warm?.probe.received === 0) return 'stale'
  if (large !== undefined && large.received === 0 && large.sent > 0 && !toldTooLarge(large)) return 'large'
  return undefined
}

/**
 * Names what breaks each path, by what the evidence proves and nothing else: a cause is named only when the evidence
 * proves it and the frame is lost where that cause loses it. Pure, and never throws on evidence that its schema accepts.
 */
export function diagnose(evidence: Evidence): Diagnosis {
  const situations = evidence.paths.flatMap((path): readonly Situation[] => {
    const problem = problemOf(path, evidence)
    if (problem === undefined) return []
    return [{ evidence, path, problem, loss: problem === 'lost' ? findLoss(path) : { kind: 'unwatched' } }]
  })
  const named = new Map<string, NamedFault>()
  const broken = situations.flatMap((situation): readonly BrokenPath[] => {
    const { path, problem, loss } = situation
    const proofs = faults.flatMap((fault) => {
      const proof = fault.prove(situation)
      return proof === undefined ? [] : [{ fault, proof }]
    })
    // Lost once and found again, without a cause that passes by itself, is a busy machine.
    if (problem === 'recovered' && proofs.length === 0) return []
    for (const { fault, proof } of proofs) {
      const key = `${fault.id} ${proof.hop}`
      const before = named.get(key)
      named.set(key, {
        ...(before ?? { ...proof, fault }),
        facts: [...new Set([...(before?.facts ?? []), ...proof.facts])].slice(0, 12),
        paths: [...(before?.paths ?? []), path.id],
      })
    }
    return [{ path, problem, loss, line: lineOf(situation), causes: proofs.map(({ fault }) => fault.id) }]
  })
  const explained = broken.filter(({ causes }) => causes.length > 0).length
  return {
    verdict:
      evidence.paths.length === 0
        ? 'unprobed'
        : broken.length === 0
          ? 'healthy'
          : explained === broken.length
            ? 'named'
            : explained > 0
              ? 'partly'
              : 'unknown',
    named: [...named.values()],
    broken,
    notes: notesOf(evidence, situations),
  }
}

function lineOf({ path, problem, loss }: Situation): string {
  switch (problem) {
    case 'lost': {
      const said = path.trace?.probe.said ?? path.probe.said
      return `${lossLine(path, loss)}${said === undefined ? '' : ` (ping: ${said})`}`
    }
    case 'recovered':
      return 'lost at first, and reached seconds later'
    case 'large':
      return path.tunnel === undefined
        ? `packets of ${path.large?.bytes} bytes are lost, small ones are answered`
        : `packets of ${path.large?.bytes} bytes, the largest that ${path.tunnel.link} makes, do not go through`
    case 'misdirected':
      return `${path.resolvedMac} answers for ${path.to.address}, which belongs to ${path.to.mac}`
    case 'stale':
      return `lost while the sender knew ${path.to.address} as ${path.warm?.mac}`
  }
}

/** Macvtaps whose multicast filter is open now: a fault that it would make does not show. */
function openFilters({ nics, machines }: Evidence): readonly string[] {
  return nics.flatMap(({ type, target, trust }) => {
    const macvtap = type === 'direct' ? linkOf(machines[hostKey], target ?? '') : undefined
    if (macvtap === undefined) return []
    if (macvtap.promiscuity > 0)
      return [
        trust
          ? `${macvtap.name} is promiscuous: the guest has a VLAN table or captures, and libvirt opens the filter for that`
          : `${macvtap.name} is promiscuous, by a capture on the host or by hand: what its multicast filter drops does not show as long as that lasts`,
      ]
    if (macvtap.allMulticast > 0)
      return [
        trust
          ? `${macvtap.name} takes in all multicast: the guest is in more groups than QEMU passes on (64), or asks for all`
          : `${macvtap.name} takes in all multicast, set by hand: that ends with the VM`,
      ]
    return []
  })
}

/** Addresses that end like their MAC address, as SLAAC makes them, hide what a macvtap's filter does to others. */
function hiddenByMac({ paths, nics }: Evidence): readonly string[] {
  return nics.flatMap(({ type, trust, name }) => {
    const inward = paths.filter(({ to, family }) => to.link === name && to.machine === guestKey && family === 'ipv6')
    const proving = inward.some(({ form }) => form === 'static' || form === 'missing')
    return type === 'direct' && !trust && inward.length > 0 && !proving
      ? [
          `every address that was probed on ${name} ends like its MAC address, or is link-local: the host joined that group by itself, and another address may be lost`,
        ]
      : []
  })
}

function notesOf(evidence: Evidence, situations: readonly Situation[]): readonly string[] {
  const { paths, nics } = evidence
  const recovered = situations.filter(({ problem }) => problem === 'recovered').map(({ path }) => path.id)
  const lost = new Set(situations.filter(({ problem }) => problem === 'lost').map(({ path }) => path.direction))
  const lucky = paths.filter(
    (path) =>
      path.family === 'ipv6' &&
      path.probe.received > 0 &&
      path.form === 'static' &&
      lost.has(path.direction) &&
      nics.some(({ type, trust, name }) => type === 'direct' && !trust && path.to.link === name),
  )
  return [
    ...openFilters(evidence),
    ...hiddenByMac(evidence),
    ...recovered.map((id) => `${id} was lost once and reached at the second try: the machine may be busy`),
    ...lucky.map(
      ({ to }) =>
        `${to.address} is reached though its siblings are not: a macvtap’s filter is a hash of 256 values, and lets some groups in by luck`,
    ),
  ]
}
