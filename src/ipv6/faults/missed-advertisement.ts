import type { PathEvidence, RouterMessages } from '../evidence/schema.ts'
import { guestKey } from '../evidence/topology.ts'
import { isOn, machineName, type Situation, stateOf } from './fault.ts'
import { withoutRoute } from './without-route.ts'

export interface MissedAdvertisement {
  readonly end: PathEvidence['from']
  readonly on: string
  readonly towards: string
  /** The VM's interface there. */
  readonly guestLink: string
  readonly sent: RouterMessages
  /** Of the machine without the route. */
  readonly seen: RouterMessages
  readonly acceptRa: string
  readonly forwards: boolean
}

const none: RouterMessages = {
  ...{ solicitationsSent: 0, solicitationsSeen: 0 },
  ...{ advertisementsSent: 0, advertisementsSeen: 0 },
}

/** A machine that has no route to the other end though the VM advertises itself as router on that machine's network. */
export function missedAdvertisement(situation: Situation): MissedAdvertisement | undefined {
  const { path, evidence } = situation
  if (path.family !== 'ipv6' || !path.routed) return undefined
  for (const { machine, towards } of withoutRoute(situation)) {
    const end = [path.from, path.to].find((each) => each.machine === machine)
    const state = stateOf(situation, machine)
    const acceptRa = state?.sysctls[`ipv6/conf/${end?.link}/accept_ra`]
    if (end === undefined || machine === guestKey || state === undefined || acceptRa === undefined) continue
    const segment = end === path.from ? 0 : path.resolved.length - 1
    const messages = stateOf(situation, guestKey)?.routerMessages ?? {}
    const guestLink = path.hops.find(
      (hop) => hop.machine === guestKey && hop.segment === segment && (messages[hop.link]?.advertisementsSent ?? 0) > 0,
    )?.link
    if (guestLink === undefined) continue
    return {
      ...{ end, towards, guestLink, acceptRa },
      on: machineName(evidence, machine),
      sent: messages[guestLink] ?? none,
      seen: state.routerMessages[end.link] ?? none,
      forwards: isOn(state, `ipv6/conf/${end.link}/forwarding`),
    }
  }
  return undefined
}

/** Whether the kernel takes advertisements in: 1 only on a host, 2 on a router too (ip-sysctl of the kernel). */
export function takesAdvertisements({ acceptRa, forwards }: MissedAdvertisement): boolean {
  return acceptRa === '2' || (acceptRa === '1' && !forwards)
}
