import type { LinkState, PathHop } from '../evidence/schema.ts'
import { hostKey } from '../evidence/topology.ts'
import { linkAt, type Situation } from './fault.ts'

interface MacvtapPair {
  readonly sender: LinkState
  readonly receiver: LinkState
  readonly receiverHop: PathHop
}

/** The macvtaps of one NIC by which a path leaves one VM of this host and enters another. */
export function macvtapsOfOneNic(situation: Situation): MacvtapPair | undefined {
  const hops = situation.path.hops.filter(({ machine }) => machine === hostKey)
  const [first, last] = [hops[0], hops.at(-1)]
  if (first === undefined || last === undefined || first.link === last.link) return undefined
  const [sender, receiver] = [linkAt(situation, first), linkAt(situation, last)]
  if (sender?.kind !== 'macvtap' || receiver?.kind !== 'macvtap' || sender.lower !== receiver.lower) return undefined
  return sender.lower === undefined ? undefined : { sender, receiver, receiverHop: last }
}

/** Whether the driver keeps the two apart: only what both ends have in mode bridge it passes on itself. */
export function keepsApart({ sender, receiver }: MacvtapPair): boolean {
  return [sender, receiver].some(({ macvtapMode }) => macvtapMode !== undefined && macvtapMode !== 'bridge')
}
