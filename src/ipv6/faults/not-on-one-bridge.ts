import type { LinkState } from '../evidence/schema.ts'
import { type Fault, linkAt, lostOnHost } from './fault.ts'

export const notOnOneBridge: Fault = {
  id: 'not-on-one-bridge',
  title: 'the VM is not attached to the network of the uplink',
  symptom: 'nothing passes in either direction and family',
  cause: 'The uplink and the VM’s tap are not ports of the same bridge, so nothing connects them.',
  provenBy: 'the frame is seen on one, not on the other, and they have no bridge in common',
  refutedBy: 'the same master of both in `ip link`',
  verify: 'ping from cold caches',
  prove(situation) {
    const lost = lostOnHost(situation)
    if (lost === undefined || situation.problem !== 'lost') return undefined
    const [from, to] = [lost.last, lost.missing].map((hop) => linkAt(situation, hop))
    const taps = situation.evidence.nics.flatMap(({ type, target }) =>
      type === 'bridge' && target !== undefined ? [target] : [],
    )
    if (from === undefined || to === undefined || from.master === to.master) return undefined
    const tap = [from, to].find(({ name }) => taps.includes(name))
    const uplink = [from, to].find((link) => link !== tap)
    if (tap === undefined || uplink === undefined || tap.kind === 'macvtap') return undefined
    const where = (link: LinkState) => (link.master === undefined ? 'on no bridge' : `on ${link.master}`)
    return {
      hop: `host ${tap.master === undefined ? tap.name : uplink.name}`,
      facts: [`${tap.name}, the VM’s end, is ${where(tap)}; ${uplink.name} is ${where(uplink)}`],
      fixes: [
        {
          what: 'put both on one bridge',
          price: 'none for a NIC that is only the VM’s',
          commands: [
            tap.master === undefined
              ? { on: 'host', words: `ip link set dev ${tap.name} master ${uplink.master ?? 'BRIDGE'}` }
              : { on: 'host', words: `ip link set dev ${uplink.name} master ${tap.master}` },
          ],
        },
      ],
    }
  },
}
