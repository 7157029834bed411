import { guestKey, lookUpRoute } from '../evidence/topology.ts'
import { type Fault, isOn, lostInside, machineName, type Situation, stateOf, sysctlChange } from './fault.ts'

/** The guest of a routed path, when it is where the packet is lost: it came in, and did not go on. */
function lostInRouter(situation: Situation) {
  const inside = lostInside(situation)
  const { path, problem } = situation
  if (problem !== 'lost' || !path.routed || inside?.machine !== guestKey) return undefined
  return inside.frame === 'echo' || inside.frame === 'reply' ? inside : undefined
}

export const forwardingOff: Fault = {
  id: 'forwarding-off',
  title: 'the VM does not forward',
  symptom: 'each PC reaches the VM, and no PC reaches one behind it',
  cause: 'Linux drops packets for others unless forwarding is on for the family.',
  provenBy: 'the packet arrives in the VM, does not leave it, and forwarding of that family is 0',
  refutedBy: 'forwarding = 1',
  verify: 'switch it on, ping from PC to PC',
  prove(situation) {
    const inside = lostInRouter(situation)
    if (inside === undefined) return undefined
    const { evidence, path } = situation
    const guest = stateOf(situation, guestKey)
    const keys =
      path.family === 'ipv6'
        ? ['ipv6/conf/all/forwarding']
        : ['ipv4/ip_forward', `ipv4/conf/${inside.hop.link}/forwarding`]
    const off = keys.find((key) => guest?.sysctls[key] === '0')
    if (off === undefined) return undefined
    return {
      hop: inside.hop.name,
      facts: [`net.${off.replaceAll('/', '.')} = 0 in ${evidence.vm.name}`],
      fixes: [
        {
          what: `switch ${path.family === 'ipv6' ? 'IPv6' : 'IPv4'} forwarding on`,
          price: 'the VM routes between its networks: that is what a router is for; filter what shall not pass',
          commands: [
            {
              on: evidence.vm.name,
              words: `configure; delete system ${path.family === 'ipv6' ? 'ipv6' : 'ip'} disable-forwarding; commit`,
            },
          ],
          change: sysctlChange(guestKey, off, '0', '1'),
        },
      ],
    }
  },
}

export const reversePathFilter: Fault = {
  id: 'reverse-path-filter',
  title: 'the reverse path filter drops the packet',
  symptom: 'IPv4 is lost one way though it arrives; IPv6 works',
  cause:
    'With rp_filter = 1 a packet is dropped when the way back to its source is not the interface it came by (RFC 3704).',
  provenBy: 'rp_filter of the interface is 1, the packet arrives there, and the route to its source leads elsewhere',
  refutedBy: 'a route back through that interface, or rp_filter = 0',
  verify: 'mend the route or set rp_filter = 2, ping',
  prove(situation) {
    const inside = lostInside(situation)
    const { path, problem, evidence } = situation
    if (problem !== 'lost' || path.family !== 'ipv4' || inside === undefined || situation.loss.kind === 'unsent')
      return undefined
    const state = stateOf(situation, inside.machine)
    if (state === undefined) return undefined
    const mode = Math.max(
      Number(state.sysctls['ipv4/conf/all/rp_filter'] ?? 0),
      Number(state.sysctls[`ipv4/conf/${inside.hop.link}/rp_filter`] ?? 0),
    )
    const source = inside.frame === 'echo' || inside.frame === 'request' ? path.from.address : path.to.address
    const back = lookUpRoute(state, 'ipv4', source)
    if (mode !== 1 && !(mode === 2 && back === undefined)) return undefined
    if (back !== undefined && (back.link === inside.hop.link || back.type !== 'unicast')) return undefined
    const on = machineName(evidence, inside.machine)
    return {
      hop: inside.hop.name,
      facts: [
        `rp_filter is ${mode} for ${inside.hop.link} of ${on}`,
        back === undefined
          ? `${on} has no route to ${source}`
          : `the route of ${on} to ${source} leads through ${back.link}`,
      ],
      fixes: [
        {
          what: 'give the machine a route to the source through that interface',
          price: 'none',
          commands: [{ on, words: `ip route get ${source}` }],
        },
        {
          what: 'accept packets whose source is reachable anywhere (loose mode)',
          price: 'spoofed sources of other networks get in',
          commands: [{ on, words: `sysctl -w net.ipv4.conf.${inside.hop.link}.rp_filter=2` }],
        },
      ],
    }
  },
}

/** Machines that had to send something on, and were where the exchange ended. */
function senders(
  situation: Situation,
): readonly { readonly machine: string; readonly towards: string; readonly hop: string }[] {
  const { path, loss, evidence } = situation
  const inside = lostInside(situation)
  const own = {
    machine: path.from.machine,
    towards: path.to.address,
    hop: `${machineName(evidence, path.from.machine)} ${path.from.link}`,
  }
  if (situation.problem !== 'lost') return []
  if (loss.kind === 'unsent' || (loss.kind === 'unwatched' && path.probe.sent === 0)) return [own]
  if (inside === undefined || situation.loss.kind === 'unsent') return []
  const towards = inside.frame === 'echo' && inside.machine !== path.to.machine ? path.to.address : path.from.address
  return inside.frame === 'echo' || inside.frame === 'reply'
    ? [{ machine: inside.machine, towards, hop: inside.hop.name }]
    : []
}

export const routeMissing: Fault = {
  id: 'route-missing',
  title: 'a machine has no route to the other end',
  symptom: '"Network is unreachable", or the packet arrives and nothing comes back',
  cause: 'A packet needs a route there and one back. Often only one side was given one.',
  provenBy: 'the machine where the exchange ends has no route to where it had to send, or one that says unreachable',
  refutedBy: 'a route in `ip route get`',
  verify: 'add the route, ping',
  prove(situation) {
    for (const { machine, towards, hop } of senders(situation)) {
      const state = stateOf(situation, machine)
      if (state === undefined || /^fe80:/i.test(towards)) continue
      const route = lookUpRoute(state, situation.path.family, towards)
      if (route !== undefined && route.type === 'unicast') continue
      const { path } = situation
      // A link that is down takes its routes along.
      const own = [path.from, path.to].find((end) => end.machine === machine)?.link
      if (state.links.some(({ name, flags }) => name === own && !flags.includes('LOWER_UP'))) continue
      // Without any address there are no routes either, and the address is what is missing.
      const family = path.family
      if (
        !state.links.some(({ addresses }) =>
          addresses.some((each) => each.family === family && each.scope === 'global'),
        )
      )
        continue
      const isRouter = machine === guestKey && path.routed
      const key = family === 'ipv6' ? 'ipv6/conf/all/forwarding' : 'ipv4/ip_forward'
      if (isRouter && !isOn(state, key)) continue
      const on = machineName(situation.evidence, machine)
      const words = family === 'ipv6' ? 'ip -6 route' : 'ip route'
      return {
        hop,
        facts: [
          route === undefined
            ? `${on} has no route to ${towards}`
            : `${on} has a route of type ${route.type} for ${towards}`,
        ],
        fixes: [
          {
            what: 'give it a route through the VM',
            price: 'none',
            commands: [{ on, words: `${words} add ${towards} via …` }],
          },
        ],
      }
    }
    return undefined
  },
}

export const routeElsewhere: Fault = {
  id: 'route-elsewhere',
  title: 'a machine sends the packet to another router',
  symptom: 'no router answers, or the packet takes a way that does not lead there',
  cause:
    'The route to the other end does not go through the VM. Where it came by router advertisement, somebody on that network advertises itself as router (RFC 6104).',
  provenBy: 'the next hop of the route is not an address of the VM, and it is where the exchange ends',
  refutedBy: 'a route through the VM',
  verify: 'correct the route, ping',
  prove(situation) {
    const { path, evidence, problem, loss } = situation
    if (problem !== 'lost' || !path.routed) return undefined
    const guest = stateOf(situation, guestKey)
    if (guest === undefined) return undefined
    const own = new Set(guest.links.flatMap(({ addresses }) => addresses.map(({ address }) => address)))
    for (const [end, other, frames] of [
      [path.from, path.to, ['request', 'answer', 'echo']],
      [path.to, path.from, ['echo', 'reverse-request', 'reverse-answer', 'reply']],
    ] as const) {
      const state = stateOf(situation, end.machine)
      const route = state === undefined ? undefined : lookUpRoute(state, path.family, other.address)
      if (route?.gateway === undefined || own.has(route.gateway)) continue
      const frame =
        loss.kind === 'between' || loss.kind === 'unanswered' || loss.kind === 'unsent' ? loss.frame : undefined
      if (frame === undefined || !frames.some((each) => each === frame)) continue
      // On the way there the loss must be on the first network, on the way back on the last.
      const segment =
        loss.kind === 'between'
          ? loss.last.segment
          : loss.kind === 'unanswered' || loss.kind === 'unsent'
            ? loss.at.segment
            : -1
      if (segment !== (end === path.from ? 0 : path.resolved.length - 1)) continue
      const on = machineName(evidence, end.machine)
      const advertised = route.protocol === 'ra'
      return {
        hop: `${on} ${end.link}`,
        facts: [
          `${on} sends packets for ${other.address} to ${route.gateway}, which is not an address of ${evidence.vm.name}`,
          ...(advertised ? ['that route came by router advertisement'] : []),
        ],
        fixes: [
          {
            what: advertised
              ? 'find who advertises itself as router there, and end it; or take no advertisements'
              : 'correct the route',
            price: 'none',
            commands: [{ on, words: `ip ${path.family === 'ipv6' ? '-6 ' : ''}route get ${other.address}` }],
          },
        ],
      }
    }
    return undefined
  },
}

export const hopLimit: Fault = {
  id: 'hop-limit',
  title: 'packets leave with a hop limit that is too small',
  symptom: 'neighbours answer, and nothing behind a router does: "Time exceeded"',
  cause:
    'Every router takes one from the hop limit and drops the packet at zero. A router advertisement can set it too (RFC 4861 section 4.2).',
  provenBy:
    'the sender’s hop limit does not reach over the routers on the way, and a router says so or the packet ends there',
  refutedBy: 'a hop limit of 64',
  verify: 'set it back, ping',
  prove(situation) {
    const { path, evidence, problem } = situation
    if (problem !== 'lost' || !path.routed) return undefined
    const inside = lostInRouter(situation)
    if (inside === undefined) return undefined
    const sender = inside.frame === 'echo' ? path.from : path.to
    const state = stateOf(situation, sender.machine)
    const key = path.family === 'ipv6' ? `ipv6/conf/${sender.link}/hop_limit` : 'ipv4/ip_default_ttl'
    const value = state?.sysctls[key]
    if (value === undefined || Number(value) > 1) return undefined
    const on = machineName(evidence, sender.machine)
    return {
      hop: `${on} ${sender.link}`,
      facts: [
        `net.${key.replaceAll('/', '.')} = ${value} on ${on}`,
        ...(/exceeded/i.test(path.probe.said ?? '') ? [`ping was told: ${path.probe.said}`] : []),
      ],
      fixes: [
        {
          what: 'set it to 64',
          price: 'none',
          commands: [{ on, words: `sysctl -w net.${key.replaceAll('/', '.')}=64` }],
          change: sysctlChange(sender.machine, key, value, '64'),
        },
      ],
    }
  },
}

export const echoIgnored: Fault = {
  id: 'echo-ignored',
  title: 'the machine is told not to answer pings',
  symptom: 'neighbour discovery works, connections may too, and ping gets no answer',
  cause: 'icmp_echo_ignore_all: the kernel drops echo requests. The path itself is whole.',
  provenBy: 'the echo request arrives, nothing comes back, and the sysctl is 1',
  refutedBy: 'the sysctl = 0',
  verify: 'set it to 0, ping',
  prove(situation) {
    const { path, evidence, problem } = situation
    const inside = lostInside(situation)
    if (problem !== 'lost' || inside?.frame !== 'echo' || inside.machine !== path.to.machine) return undefined
    const key = path.family === 'ipv6' ? 'ipv6/icmp/echo_ignore_all' : 'ipv4/icmp_echo_ignore_all'
    if (!isOn(stateOf(situation, path.to.machine), key)) return undefined
    const on = machineName(evidence, path.to.machine)
    return {
      hop: inside.hop.name,
      facts: [`net.${key.replaceAll('/', '.')} = 1 on ${on}`],
      fixes: [
        {
          what: 'let it answer',
          price: 'the machine can be pinged',
          commands: [{ on, words: `sysctl -w net.${key.replaceAll('/', '.')}=0` }],
          change: sysctlChange(path.to.machine, key, '1', '0'),
        },
      ],
    }
  },
}

export const arpOff: Fault = {
  id: 'arp-off',
  title: 'the interface does not take part in ARP or multicast',
  symptom: 'the machine sends no requests, or does not answer them',
  cause: 'An interface set to `arp off`, or a kernel told by arp_ignore = 8, takes no part in address resolution.',
  provenBy: 'the interface has the flag NOARP, or arp_ignore is 8, and requests end there',
  refutedBy: 'no such flag',
  verify: 'set it back, ping from cold caches',
  prove(situation) {
    const { path, evidence, problem, loss } = situation
    if (problem !== 'lost') return undefined
    const inside = lostInside(situation)
    for (const end of [path.from, path.to]) {
      const state = stateOf(situation, end.machine)
      const link = state?.links.find(({ name }) => name === end.link)
      if (link === undefined || inside?.machine !== end.machine) continue
      const on = machineName(evidence, end.machine)
      if (link.flags.includes('NOARP')) {
        return {
          hop: `${on} ${end.link}`,
          facts: [`${end.link} of ${on} has the flag NOARP`],
          fixes: [
            {
              what: 'let it resolve addresses again',
              price: 'none',
              commands: [{ on, words: `ip link set dev ${end.link} arp on` }],
              change: {
                kind: 'link',
                machine: end.machine,
                link: end.link,
                attribute: 'arp',
                before: 'off',
                value: 'on',
              },
            },
          ],
        }
      }
      const ignore = Math.max(
        Number(state?.sysctls['ipv4/conf/all/arp_ignore'] ?? 0),
        Number(state?.sysctls[`ipv4/conf/${end.link}/arp_ignore`] ?? 0),
      )
      if (path.family === 'ipv4' && ignore === 8 && loss.kind === 'unanswered' && /request/.test(loss.frame)) {
        return {
          hop: `${on} ${end.link}`,
          facts: [`arp_ignore is 8 for ${end.link} of ${on}: it answers no ARP request`],
          fixes: [
            {
              what: 'let it answer',
              price: 'none',
              commands: [{ on, words: `sysctl -w net.ipv4.conf.${end.link}.arp_ignore=0` }],
            },
          ],
        }
      }
    }
    return undefined
  },
}
