import { toldTooLarge } from '../evidence/probes.ts'
import { type Fault, linkAt, machineName } from './fault.ts'

export const pathMtu: Fault = {
  id: 'path-mtu',
  title: 'large packets vanish on the way, and nobody says so',
  symptom: 'ping works, connections open and then hang',
  cause:
    'A link on the way carries less than the sender’s. A router would say "packet too big" (RFC 8201); a bridge or tap just drops, and a filter may swallow the message.',
  provenBy:
    'a small packet is answered, one as large as the sender’s MTU is not, nobody says "too big", and a link on the way has a smaller MTU',
  refutedBy: 'one MTU on the whole way',
  verify: 'use one MTU everywhere, or lower the sender’s, ping with `-M do -s`',
  prove(situation) {
    const { path, problem, evidence } = situation
    if (problem !== 'large' || path.large === undefined || toldTooLarge(path.large)) return undefined
    const { bytes } = path.large
    const narrow = path.hops.flatMap((hop) => {
      const link = linkAt(situation, hop)
      return link !== undefined && link.mtu < bytes ? [{ hop, mtu: link.mtu }] : []
    })
    const smallest = narrow.toSorted((a, b) => a.mtu - b.mtu)[0]
    if (smallest === undefined) return undefined
    const from = machineName(evidence, path.from.machine)
    return {
      hop: smallest.hop.name,
      facts: [
        `a packet of ${bytes} bytes from ${from} is lost, a small one is answered`,
        `${smallest.hop.name} has an MTU of ${smallest.mtu}`,
      ],
      fixes: [
        {
          what: 'use one MTU on the whole network',
          price: 'none',
          commands: [
            {
              on: machineName(evidence, smallest.hop.machine),
              words: `ip link set dev ${smallest.hop.link} mtu ${bytes}`,
            },
          ],
        },
      ],
    }
  },
}
