import { type Fault, type LinkAttribute, type Proof, stateOf } from './fault.ts'
import { portsOf } from './two-ports.ts'

const isBroadcastFrame = (frame: string, family: string) => family === 'ipv4' && /request/.test(frame)

const isMulticastFrame = (frame: string, family: string) => family === 'ipv6' && /request/.test(frame)

/** A port's flag that stops a frame, by bridge(8). */
export const bridgePortFlag: Fault = {
  id: 'bridge-port-flag',
  title: 'a flag of the bridge port stops the frame',
  symptom:
    'depends on the flag: isolated ports do not reach each other, a port without flooding misses multicast or broadcast',
  cause:
    'Ports of a bridge carry flags: isolated ports exchange nothing with each other, and without mcast_flood, bcast_flood or flood a port gets no multicast, no broadcast, no frame for an unknown address (bridge(8)).',
  provenBy: 'the frame is seen on one port and not on the other, whose flag stops exactly this kind of frame',
  refutedBy: 'the flags in `bridge -details link show`',
  verify: 'set the flag back and ping from cold caches',
  prove(situation): Proof | undefined {
    const ports = portsOf(situation)
    if (ports === undefined) return undefined
    const { lost, on, seen, from, to } = ports
    // A locked port passes on only what comes from a MAC address with an entry of the forwarding database there.
    const known = stateOf(situation, lost.last.machine)?.forwardingDatabase.some(
      ({ mac, link }) => link === from.name && seen?.sourceMacs.includes(mac) === true,
    )
    const { family } = situation.path
    const flags: readonly (readonly [boolean, string, LinkAttribute, 'on' | 'off'])[] = [
      [
        from.port.isolated && to.port.isolated,
        `${from.name} and ${to.name} are both isolated`,
        'type bridge_slave isolated',
        'off',
      ],
      [
        isMulticastFrame(lost.frame, family) && !to.port.multicastFlood,
        `${to.name} has mcast_flood off`,
        'type bridge_slave mcast_flood',
        'on',
      ],
      [
        isBroadcastFrame(lost.frame, family) && !to.port.broadcastFlood,
        `${to.name} has bcast_flood off`,
        'type bridge_slave bcast_flood',
        'on',
      ],
      [
        from.port.locked && known === false,
        `${from.name} is locked, and has no entry for ${seen?.sourceMacs.join(', ')}`,
        'type bridge_slave locked',
        'off',
      ],
    ]
    const found = flags.filter(([holds]) => holds)
    const [first] = found
    if (first === undefined) return undefined
    const [, , attribute, value] = first
    const link = attribute.endsWith('locked') ? from.name : to.name
    return {
      hop: `${on} ${link}`,
      facts: found.map(([, fact]) => fact),
      fixes: [
        {
          what: 'set the flag back',
          price: 'the port gets what the flag kept from it: ask who set it, and why',
          commands: [{ on, words: `ip link set dev ${link} ${attribute} ${value}` }],
          change: {
            kind: 'link',
            machine: lost.missing.machine,
            link,
            attribute,
            before: value === 'on' ? 'off' : 'on',
            value,
          },
        },
      ],
    }
  },
}
