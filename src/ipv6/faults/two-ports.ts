import type { LinkState } from '../evidence/schema.ts'
import { linkAt, lostOnHost, type Situation } from './fault.ts'

export type Port = NonNullable<LinkState['port']>

/** Two ports of one bridge on the host between which a frame is lost. */
export function portsOf(situation: Situation) {
  const lost = lostOnHost(situation)
  if (lost === undefined || situation.problem !== 'lost') return undefined
  const [from, to] = [lost.last, lost.missing].map((hop) => linkAt(situation, hop))
  if (from?.port === undefined || to?.port === undefined || from.master !== to.master) return undefined
  return { lost, from: { ...from, port: from.port }, to: { ...to, port: to.port } }
}
