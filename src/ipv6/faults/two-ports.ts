import type { LinkState } from '../evidence/schema.ts'
import { isForThePath, linkAt, lostBetweenLinks, machineName, type Situation } from './fault.ts'

export type Port = NonNullable<LinkState['port']>

/** Two ports of one bridge, of the host or in the guest, between which a frame is lost, and what was seen of it at the first. */
export function portsOf(situation: Situation) {
  const lost = lostBetweenLinks(situation)
  if (lost === undefined || situation.problem !== 'lost') return undefined
  const [from, to] = [lost.last, lost.missing].map((hop) => linkAt(situation, hop))
  if (from?.port === undefined || to?.port === undefined || from.master !== to.master) return undefined
  const on = machineName(situation.evidence, lost.last.machine)
  const seen = situation.path.trace?.sightings.find(
    ({ hop, segment, kind }) => hop === lost.last.name && segment === lost.last.segment && kind === lost.frame,
  )
  if (seen !== undefined && !isForThePath(situation, seen)) return undefined
  return { lost, on, seen, from: { ...from, port: from.port }, to: { ...to, port: to.port } }
}
