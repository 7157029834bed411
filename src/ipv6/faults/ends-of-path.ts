import { hostKey } from '../evidence/topology.ts'
import { lostInside, type Situation, stateOf } from './fault.ts'

/** An end of the path and what its machine says of the address there. */
export function ends(situation: Situation) {
  const { path } = situation
  return [path.to, path.from].map((end) => {
    const state = stateOf(situation, end.machine)
    const link = state?.links.find(({ name }) => name === end.link)
    const entry = link?.addresses.find(({ address }) => address === end.address)
    return { end, state, link, entry }
  })
}

/** Whether the loss is where a wrong address of that end shows: it is asked and does not answer, or cannot send. */
export function showsAt(situation: Situation, machine: string): boolean {
  const { loss, path } = situation
  if (situation.problem !== 'lost') return false
  const inside = lostInside(situation)
  if (inside !== undefined) return inside.machine === machine
  // A filter on the way, of a macvtap or of the virtual NIC, has no group for an address that is not in use.
  if (loss.kind === 'between')
    return (
      machine === path.to.machine &&
      loss.frame === 'request' &&
      (loss.missing.machine === hostKey || loss.missing.machine === machine)
    )
  return loss.kind === 'unwatched' && path.from.address === ''
}
