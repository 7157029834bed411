import { guestKey } from '../evidence/topology.ts'
import { lostInside, type Situation } from './fault.ts'

/** The guest of a routed path, when it is where the packet is lost: it came in, and did not go on. */
export function lostInRouter(situation: Situation) {
  const inside = lostInside(situation)
  const { path, problem } = situation
  if (problem !== 'lost' || !path.routed || inside?.machine !== guestKey) return undefined
  return inside.frame === 'echo' || inside.frame === 'reply' ? inside : undefined
}
