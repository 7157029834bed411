import type { FrameKind } from '../evidence/schema.ts'
import { type Drop, type FilteredFrame, findDrop } from '../firewall.ts'
import { frameName } from '../hop-trace/loss.ts'
import { type Fault, isOn, linkAt, lostInside, lostOnHost, machineName, type Situation, stateOf } from './fault.ts'
import { portsOf } from './two-ports.ts'

interface Place {
  readonly machine: string
  readonly hop: string
  readonly hook: string
  readonly families: readonly string[]
  readonly device?: string
  readonly frame: FilteredFrame & { readonly kind: FrameKind }
}

/** Hooks at which the frame, or the one that was to come of it, can have been dropped so that it is lost where it is. */
function placesOf(situation: Situation): readonly Place[] {
  const { path, evidence } = situation
  const { family } = path
  const inet = ['inet', family === 'ipv4' ? 'ip' : 'ip6']
  const filtered = (kind: FrameKind): Place['frame'] => {
    const back = kind === 'reply'
    const isEcho = kind === 'echo' || kind === 'reply'
    return {
      ...{ family, kind },
      ...(isEcho
        ? { source: (back ? path.to : path.from).address, destination: (back ? path.from : path.to).address }
        : {}),
    }
  }
  const isArp = (kind: FrameKind) => family === 'ipv4' && /request|answer/.test(kind)
  // What a bridge passes on, in the guest too, is neither taken in nor sent by its machine.
  const between = lostOnHost(situation) ?? portsOf(situation)?.lost
  if (between !== undefined) {
    const { last, missing, frame } = between
    const state = stateOf(situation, last.machine)
    const [from, to] = [last, missing].map((hop) => linkAt(situation, hop))
    const on = machineName(evidence, last.machine)
    const at = { machine: last.machine, hop: `${on}, between ${last.link} and ${missing.link}` }
    const ports = { inbound: last.link, outbound: missing.link }
    const bridge = from?.master !== undefined && from.master === to?.master ? from.master : undefined
    const settings = state?.links.find(({ name }) => name === bridge)?.bridge
    const word = isArp(frame) ? 'arptables' : family === 'ipv4' ? 'iptables' : 'ip6tables'
    const called =
      isOn(state, `bridge/bridge-nf-call-${word}`) ||
      (family === 'ipv4' ? settings?.callIptables : settings?.callIp6tables) === true
    const netfilter = isArp(frame) ? ['arp'] : inet
    return [
      {
        ...at,
        hook: 'ingress',
        families: ['netdev', 'inet'],
        device: last.link,
        frame: { ...filtered(frame), inbound: last.link },
      },
      {
        ...at,
        hook: 'egress',
        families: ['netdev'],
        device: missing.link,
        frame: { ...filtered(frame), outbound: missing.link },
      },
      ...(bridge === undefined
        ? []
        : [
            { ...at, hook: 'prerouting', families: ['bridge'], frame: { ...filtered(frame), inbound: last.link } },
            { ...at, hook: 'forward', families: ['bridge'], frame: { ...filtered(frame), ...ports } },
            { ...at, hook: 'postrouting', families: ['bridge'], frame: { ...filtered(frame), outbound: missing.link } },
            // To the hooks of IP the ports are one: the bridge (net/bridge/br_netfilter_hooks.c).
            ...(called
              ? [
                  { ...at, hook: 'prerouting', families: netfilter, frame: { ...filtered(frame), inbound: bridge } },
                  {
                    ...at,
                    hook: 'forward',
                    families: netfilter,
                    frame: { ...filtered(frame), inbound: bridge, outbound: bridge },
                  },
                  { ...at, hook: 'postrouting', families: netfilter, frame: { ...filtered(frame), outbound: bridge } },
                ]
              : []),
          ]),
    ]
  }
  const inside = lostInside(situation)
  if (inside === undefined) return []
  const { machine, hop, frame } = inside
  const at = { machine, hop: machineName(evidence, machine) }
  const families = (kind: FrameKind) => (isArp(kind) ? ['arp'] : inet)
  const isUnsent = situation.loss.kind === 'unsent'
  const receives: readonly Place[] = isUnsent
    ? []
    : [
        {
          ...at,
          hook: 'ingress',
          families: ['netdev', 'inet'],
          device: hop.link,
          frame: { ...filtered(frame), inbound: hop.link },
        },
        { ...at, hook: 'prerouting', families: families(frame), frame: { ...filtered(frame), inbound: hop.link } },
        ...(isForwarded(situation, machine, frame)
          ? [{ ...at, hook: 'forward', families: families(frame), frame: { ...filtered(frame), inbound: hop.link } }]
          : [{ ...at, hook: 'input', families: families(frame), frame: { ...filtered(frame), inbound: hop.link } }]),
      ]
  const next = isUnsent ? [frame] : nextOf(frame)
  return [
    ...receives,
    ...next.flatMap((kind): readonly Place[] => [
      { ...at, hook: 'output', families: families(kind), frame: { ...filtered(kind), outbound: hop.link } },
      {
        ...at,
        hook: 'egress',
        families: ['netdev'],
        device: hop.link,
        frame: { ...filtered(kind), outbound: hop.link },
      },
    ]),
  ]
}

const isForwarded = ({ path }: Situation, machine: string, frame: FrameKind) =>
  (frame === 'echo' && machine !== path.to.machine) || (frame === 'reply' && machine !== path.from.machine)

/** What a machine sends because it got a frame. */
function nextOf(frame: FrameKind): readonly FrameKind[] {
  switch (frame) {
    case 'request':
      return ['answer']
    case 'reverse-request':
      return ['reverse-answer']
    case 'answer':
      return ['echo']
    case 'echo':
      return ['reverse-request', 'reply']
    case 'reverse-answer':
      return ['reply']
    default:
      return []
  }
}

export const firewallDrop: Fault = {
  id: 'firewall-drop',
  title: 'a firewall rule drops the frame',
  symptom: 'one family or one direction is lost though addresses and routes are right',
  cause:
    'A packet filter drops what IPv6 needs: neighbour solicitations and advertisements are ICMPv6 (types 135 and 136, RFC 4890 section 4.4). On a host with br_netfilter the rules for forwarded packets see the frames of bridges too, so that a FORWARD policy of drop, as Docker sets it, cuts VMs off.',
  provenBy: 'the ruleset, followed rule by rule for exactly this frame at the place where it is lost, ends in a drop',
  refutedBy: 'a ruleset that accepts it, or hangs on what the listing does not tell',
  verify: 'add the accept rule, ping from cold caches',
  prove(situation) {
    if (situation.problem !== 'lost') return undefined
    const { evidence } = situation
    const found = placesOf(situation).flatMap((place): readonly { readonly place: Place; readonly drop: Drop }[] => {
      const firewall = stateOf(situation, place.machine)?.firewall
      if (firewall === undefined) return []
      const drop = findDrop(
        firewall,
        { hook: place.hook, families: place.families, ...(place.device === undefined ? {} : { device: place.device }) },
        place.frame,
      )
      return drop === undefined ? [] : [{ place, drop }]
    })
    const [first] = found
    if (first === undefined) return undefined
    const { place, drop } = first
    const { chain, rule } = drop
    const what = frameName(situation.path.family, place.frame.kind)
    const name = `${chain.family} ${chain.table} ${chain.name}`
    const bridged = chain.hook === 'forward' && chain.family !== 'bridge' && place.hop.includes(', between ')
    const match =
      situation.path.family === 'ipv6'
        ? 'icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, echo-request, echo-reply } accept'
        : 'icmp type { echo-request, echo-reply } accept'
    return {
      hop: place.hop,
      facts: [
        `the chain ${name} (hook ${chain.hook}) drops the ${what}${rule === undefined ? ' by its policy' : `: ${rule}`}`,
        ...(bridged ? ['bridge-nf-call hands the frames of bridges to these rules'] : []),
      ],
      fixes: [
        {
          what: `let the ${what} through`,
          price: 'neighbour discovery and ping of this link, no more',
          commands: [{ on: machineName(evidence, place.machine), words: `nft insert rule ${name} ${match}` }],
        },
      ],
    }
  },
}
