import type { LinkState } from '../evidence/schema.ts'
import { type Fault, type LinkAttribute, linkAt, lostOnHost, type Proof, type Situation } from './fault.ts'

type Port = NonNullable<LinkState['port']>

/** Two ports of one bridge on the host between which a frame is lost. */
function portsOf(situation: Situation) {
  const lost = lostOnHost(situation)
  if (lost === undefined || situation.problem !== 'lost') return undefined
  const [from, to] = [lost.last, lost.missing].map((hop) => linkAt(situation, hop))
  if (from?.port === undefined || to?.port === undefined || from.master !== to.master) return undefined
  return { lost, from: { ...from, port: from.port }, to: { ...to, port: to.port } }
}

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
    const { lost, from, to } = ports
    const { family } = situation.path
    const flags: readonly (readonly [boolean, string, LinkAttribute, '0' | '1'])[] = [
      [
        from.port.isolated && to.port.isolated,
        `${from.name} and ${to.name} are both isolated`,
        'type bridge_slave isolated',
        '0',
      ],
      [
        isMulticastFrame(lost.frame, family) && !to.port.multicastFlood,
        `${to.name} has mcast_flood off`,
        'type bridge_slave mcast_flood',
        '1',
      ],
      [
        isBroadcastFrame(lost.frame, family) && !to.port.broadcastFlood,
        `${to.name} has bcast_flood off`,
        'type bridge_slave bcast_flood',
        '1',
      ],
      [from.port.locked, `${from.name} is locked, and its neighbour has no entry`, 'type bridge_slave locked', '0'],
    ]
    const found = flags.filter(([holds]) => holds)
    const [first] = found
    if (first === undefined) return undefined
    const [, , attribute, value] = first
    const link = attribute.endsWith('locked') ? from.name : to.name
    return {
      hop: `host ${link}`,
      facts: found.map(([, fact]) => fact),
      fixes: [
        {
          what: 'set the flag back',
          price: 'the port gets what the flag kept from it: ask who set it, and why',
          commands: [{ on: 'host', words: `ip link set dev ${link} ${attribute} ${value}` }],
          change: {
            kind: 'link',
            machine: lost.missing.machine,
            link,
            attribute,
            before: value === '1' ? '0' : '1',
            value,
          },
        },
      ],
    }
  },
}

const notForwarding = (port: Port) => /listening|learning|blocking|disabled/.test(port.state)

export const bridgePortState: Fault = {
  id: 'bridge-port-state',
  title: 'a port of the bridge does not forward yet, or not at all',
  symptom: 'everything is lost for up to half a minute after the VM starts, or for good where there is a loop',
  cause:
    'With spanning tree a new port listens and learns for twice the forward delay (2 x 15 s by default) before it forwards (IEEE 802.1D); a port that would close a loop stays blocked.',
  provenBy: 'the frame is seen on one port and not on the other while one of them is not in state forwarding',
  refutedBy: 'state forwarding in `bridge link show`',
  verify: 'wait for the forward delay, or switch spanning tree off, and ping again',
  prove(situation) {
    const { path, problem, evidence } = situation
    const ports =
      problem === 'recovered'
        ? path.hops.flatMap((hop) => {
            const link = linkAt(situation, hop)
            return link?.port !== undefined && /listening|learning/.test(link.port.state)
              ? [{ hop, link, port: link.port }]
              : []
          })
        : [portsOf(situation)].flatMap((found) =>
            found === undefined
              ? []
              : [found.from, found.to].flatMap((link) =>
                  notForwarding(link.port)
                    ? [{ hop: link === found.from ? found.lost.last : found.lost.missing, link, port: link.port }]
                    : [],
                ),
          )
    const [first] = ports
    if (first === undefined) return undefined
    const bridge = first.link.master ?? ''
    const runsStp = evidence.machines[first.hop.machine]?.links.find(({ name }) => name === bridge)?.bridge?.stp
    return {
      hop: first.hop.name,
      facts: [
        `${first.link.name} is in state ${first.port.state} on ${bridge}`,
        `spanning tree is ${runsStp ? 'on' : 'off'} there`,
      ],
      fixes: [
        {
          what: 'wait until the port forwards; to start without delay, switch spanning tree off',
          price: 'without spanning tree a loop is not broken: make sure that there is none',
          commands: [{ on: 'host', words: `ip link set dev ${bridge} type bridge stp_state 0` }],
        },
      ],
    }
  },
}

export const bridgeVlanFilter: Fault = {
  id: 'bridge-vlan-filter',
  title: 'the bridge’s VLAN table does not let the frame through',
  symptom: 'both families are lost between two ports of one bridge',
  cause:
    'A bridge with VLAN filtering puts untagged frames into the VLAN of the port they came by (its PVID) and passes a frame only to ports that are members of its VLAN (bridge(8)).',
  provenBy: 'VLAN filtering is on, and the port that misses the frame is not a member of the frame’s VLAN',
  refutedBy: 'the VLAN in `bridge vlan show` of both ports',
  verify: '`bridge vlan show`, then ping from cold caches',
  prove(situation) {
    const ports = portsOf(situation)
    if (ports === undefined) return undefined
    const { lost, from, to } = ports
    const host = situation.evidence.machines[lost.last.machine]
    const bridge = host?.links.find(({ name }) => name === from.master)
    if (host === undefined || bridge?.bridge?.vlanFiltering !== true) return undefined
    const tags = situation.path.trace?.sightings.find(
      (each) => each.hop === lost.last.name && each.segment === lost.last.segment && each.kind === lost.frame,
    )?.vlans
    const [tag] = tags ?? []
    if (tag === undefined || tags?.length !== 1) return undefined
    const vlan = tag === 0 ? host.portVlans.find(({ link, pvid }) => link === from.name && pvid)?.vlan : tag
    const isMember = (link: string) => host.portVlans.some((each) => each.link === link && each.vlan === vlan)
    const outside = vlan === undefined ? from.name : [from.name, to.name].find((link) => !isMember(link))
    if (outside === undefined) return undefined
    return {
      hop: `host ${outside}`,
      facts: [
        `${bridge.name} filters VLANs`,
        vlan === undefined
          ? `${from.name} has no VLAN for untagged frames`
          : `the frame is in VLAN ${vlan}, and ${outside} is not a member of it`,
      ],
      fixes: [
        {
          what: 'make the port a member of the VLAN',
          price: 'it then gets the traffic of that VLAN',
          commands: [
            {
              on: 'host',
              words: `bridge vlan add dev ${outside} vid ${vlan ?? 1}${tag === 0 ? ' pvid untagged' : ''}`,
            },
          ],
        },
      ],
    }
  },
}

export const bridgeForwardingEntry: Fault = {
  id: 'bridge-forwarding-entry',
  title: 'a fixed entry of the bridge sends the frame to another port',
  symptom: 'requests pass, and unicast to one MAC address is lost; both families',
  cause:
    'A static or local entry of the forwarding database decides where frames for a MAC address go, whatever was learned.',
  provenBy: 'the lost frames are unicast, and the bridge has a fixed entry for their MAC address on another port',
  refutedBy: '`bridge fdb show`',
  verify: 'remove the entry and ping from cold caches',
  prove(situation) {
    const ports = portsOf(situation)
    if (ports === undefined) return undefined
    const { lost, from, to } = ports
    const destinations = situation.path.trace?.sightings.find(
      (each) => each.hop === lost.last.name && each.segment === lost.last.segment && each.kind === lost.frame,
    )?.destinationMacs
    const entry = situation.evidence.machines[lost.last.machine]?.forwardingDatabase.find(
      ({ mac, link, master, state }) =>
        destinations?.length === 1 &&
        destinations[0] === mac &&
        link !== to.name &&
        (master === from.master || link === from.master) &&
        /static|permanent|noarp/.test(state),
    )
    if (entry === undefined) return undefined
    const whose = entry.state === 'permanent' ? 'it is the host’s own address' : 'it was set by hand'
    return {
      hop: `host ${from.master}`,
      facts: [
        `${from.master} has an entry for ${entry.mac} at ${entry.link} (${entry.state}: ${whose}), not at ${to.name}`,
      ],
      fixes: [
        {
          what: entry.state === 'permanent' ? 'give one of the two another MAC address' : 'remove the entry',
          price: 'none',
          commands: [
            {
              on: 'host',
              words:
                entry.state === 'permanent'
                  ? `ip link set dev ${entry.link} address …`
                  : `bridge fdb delete ${entry.mac} dev ${entry.link} master`,
            },
          ],
        },
      ],
    }
  },
}

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
