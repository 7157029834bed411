import { guestKey, hostKey } from '../evidence/topology.ts'
import { type Fault, isOn, lostInside, machineName, type Proof, type Situation, stateOf } from './fault.ts'

/** An end of the path and what its machine says of the address there. */
function ends(situation: Situation) {
  const { path } = situation
  return [path.to, path.from].map((end) => {
    const state = stateOf(situation, end.machine)
    const link = state?.links.find(({ name }) => name === end.link)
    const entry = link?.addresses.find(({ address }) => address === end.address)
    return { end, state, link, entry }
  })
}

/** Whether the loss is where a wrong address of that end shows: it is asked and does not answer, or cannot send. */
function showsAt(situation: Situation, machine: string): boolean {
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

export const ipv6Disabled: Fault = {
  id: 'ipv6-disabled',
  title: 'IPv6 is switched off on the interface',
  symptom: 'the interface has no IPv6 address at all, not even fe80::; IPv4 works',
  cause: 'disable_ipv6 takes every IPv6 address from an interface and lets it take none.',
  provenBy: 'the sysctl disable_ipv6 of the interface is 1',
  refutedBy: 'disable_ipv6 = 0',
  verify: 'set it to 0, give the address again, ping',
  prove(situation) {
    if (situation.path.family !== 'ipv6') return undefined
    for (const { end, state, entry } of ends(situation)) {
      const key = `ipv6/conf/${end.link}/disable_ipv6`
      if (!isOn(state, key) || entry !== undefined || !showsAt(situation, end.machine)) continue
      const on = machineName(situation.evidence, end.machine)
      return {
        hop: `${on} ${end.link}`,
        facts: [`net.${key.replaceAll('/', '.')} = 1 on ${on}`],
        fixes: [
          {
            what: 'switch IPv6 on there, and give the address again',
            price: 'the interface then takes part in IPv6',
            commands: [{ on, words: `sysctl -w net.ipv6.conf.${end.link}.disable_ipv6=0` }],
          },
        ],
      }
    }
    return undefined
  },
}

export const addressDuplicate: Fault = {
  id: 'address-duplicate',
  title: 'duplicate address detection found another owner of the address',
  symptom: 'the address is there, marked dadfailed, and does not answer; IPv4 works',
  cause:
    'Before an interface uses an IPv6 address it asks whether anybody has it (RFC 4862 section 5.4). Somebody answered, so the address stays unusable until it is given again.',
  provenBy: 'the address is marked dadfailed',
  refutedBy: 'an address without that mark',
  verify: 'remove the other owner, give the address again, ping',
  prove(situation): Proof | undefined {
    for (const { end, entry } of ends(situation)) {
      if (entry?.duplicate !== true || !showsAt(situation, end.machine)) continue
      const on = machineName(situation.evidence, end.machine)
      const owner = Object.entries(situation.evidence.machines).flatMap(([key, { links }]) =>
        key === end.machine
          ? []
          : links.flatMap(({ name, addresses }) =>
              addresses.some(({ address }) => address === end.address)
                ? [`${machineName(situation.evidence, key)} ${name} has it too`]
                : [],
            ),
      )
      return {
        hop: `${on} ${end.link}`,
        facts: [`${end.address} is marked dadfailed on ${end.link} of ${on}`, ...owner],
        fixes: [
          {
            what: 'find the other owner, then give the address again',
            price: 'none',
            commands: [{ on, words: `ip -6 address show dev ${end.link} dadfailed` }],
          },
        ],
      }
    }
    return undefined
  },
}

export const addressTentative: Fault = {
  id: 'address-tentative',
  title: 'the address is still being checked for duplicates',
  symptom: 'the address does not answer for a second or two after it was given, or after the link came up',
  cause: 'Duplicate address detection takes a second or more, and without a carrier it waits (RFC 4862 section 5.4).',
  provenBy: 'the address is marked tentative',
  refutedBy: 'an address without that mark',
  verify: 'wait two seconds and diagnose again',
  prove(situation) {
    for (const { end, entry } of ends(situation)) {
      if (entry?.tentative !== true || entry.duplicate) continue
      if (situation.problem !== 'recovered' && lostInside(situation)?.machine !== end.machine) continue
      const on = machineName(situation.evidence, end.machine)
      return {
        hop: `${on} ${end.link}`,
        facts: [`${end.address} is tentative on ${end.link} of ${on}`],
        fixes: [{ what: 'wait a moment, then diagnose again', price: 'none', commands: [] }],
      }
    }
    return undefined
  },
}

export const addressMissing: Fault = {
  id: 'address-missing',
  title: 'the guest does not have the address that it is meant to have',
  symptom: 'nothing answers at the address',
  cause: 'The testbed says which addresses the VM has on this link, and the guest has none of that family there.',
  provenBy: 'no interface of the guest has the address, and IPv6 is not switched off',
  refutedBy: 'the address in `ip address` of the guest',
  verify: 'give the address, ping',
  prove(situation) {
    const { path, evidence } = situation
    if (path.form !== 'missing' || !showsAt(situation, guestKey)) return undefined
    const guest = stateOf(situation, guestKey)
    if (
      guest === undefined ||
      guest.links.some(({ addresses }) => addresses.some(({ address }) => address === path.to.address))
    )
      return undefined
    if (path.family === 'ipv6' && isOn(guest, `ipv6/conf/${path.to.link}/disable_ipv6`)) return undefined
    const link = guest.links.find(({ name }) => name === path.to.link)
    if (link !== undefined && !link.flags.includes('LOWER_UP')) return undefined
    return {
      hop: `${evidence.vm.name} ${path.to.link}`,
      facts: [`no interface of ${evidence.vm.name} has ${path.to.address}, which the testbed gives it`],
      fixes: [
        {
          what: 'configure the address in the guest',
          price: 'none',
          commands: [
            {
              on: evidence.vm.name,
              words: `configure; set interfaces ethernet ${path.to.link} address ${path.to.address}/${path.family === 'ipv4' ? 24 : 64}; commit`,
            },
          ],
        },
      ],
    }
  },
}

export const addressOnBridgePort: Fault = {
  id: 'address-on-bridge-port',
  title: 'the address is on an interface that a bridge holds',
  symptom:
    'what was established goes on for half a minute, then the neighbour goes FAILED; from cold caches nothing works',
  cause:
    'A port hands every frame to its bridge. Solicitations arrive at the bridge, where the address is not, so nobody answers; ARP is answered, and then the machine’s own entry for the sender fails.',
  provenBy: 'the interface with the address is a port of a bridge, and the frame is lost inside that machine',
  refutedBy: 'the address on the bridge itself',
  verify: 'move the address to the bridge, ping from cold caches',
  prove(situation) {
    for (const { end, link, state } of ends(situation)) {
      if (link?.master === undefined || situation.problem !== 'lost') continue
      const master = state?.links.find(({ name }) => name === link.master)
      if (master?.kind !== 'bridge' || lostInside(situation)?.machine !== end.machine) continue
      const on = machineName(situation.evidence, end.machine)
      return {
        hop: `${on} ${end.link}`,
        facts: [`${end.address} is on ${end.link} of ${on}, which is a port of ${master.name}`],
        fixes: [
          {
            what: 'move the address to the bridge',
            price: 'none',
            commands: [
              {
                on,
                words: `ip address delete ${end.address} dev ${end.link}; ip address add ${end.address} dev ${master.name}`,
              },
            ],
          },
        ],
      }
    }
    return undefined
  },
}

export const neighbourFixed: Fault = {
  id: 'neighbour-fixed',
  title: 'a neighbour entry set by hand has the wrong MAC address',
  symptom: 'one machine does not reach one address, everybody else does',
  cause: 'A permanent neighbour entry is never resolved anew: frames go to the MAC address that somebody wrote down.',
  provenBy: 'the entry is PERMANENT, and its MAC address is not the target’s',
  refutedBy: 'another state, or the right MAC address',
  verify: 'delete the entry, ping',
  prove(situation) {
    const { path, evidence, problem } = situation
    if (problem !== 'lost') return undefined
    for (const [end, other] of [
      [path.from, path.to],
      [path.to, path.from],
    ] as const) {
      if (path.routed || other.mac === undefined) continue
      const entry = stateOf(situation, end.machine)?.neighbours.find(
        ({ address, link, state }) => address === other.address && link === end.link && state === 'PERMANENT',
      )
      if (entry?.mac === undefined || entry.mac === other.mac) continue
      const on = machineName(evidence, end.machine)
      return {
        hop: `${on} ${end.link}`,
        facts: [`${on} has ${entry.mac} for ${other.address} set by hand; it is ${other.mac}`],
        fixes: [
          {
            what: 'delete the entry',
            price: 'none, unless it was set against spoofing: then correct it',
            commands: [{ on, words: `ip neighbour delete ${other.address} dev ${end.link}` }],
          },
        ],
      }
    }
    return undefined
  },
}

export const neighbourStale: Fault = {
  id: 'neighbour-stale',
  title: 'the sender still knew an old MAC address of the target',
  symptom: 'lost after a NIC was replaced or an address moved, until the neighbour entry is forgotten',
  cause:
    'A neighbour entry lives on until it is verified: until then frames go to the MAC address that had the address before.',
  provenBy: 'lost with the old entry, reached at once when it was forgotten',
  refutedBy: 'the right MAC address in the entry',
  verify: 'probing forgot the entry: it works now',
  prove(situation) {
    const { path, evidence, problem } = situation
    if (problem !== 'stale' || path.warm === undefined) return undefined
    const on = machineName(evidence, path.from.machine)
    return {
      hop: `${on} ${path.from.link}`,
      facts: [
        `${on} knew ${path.to.address} as ${path.warm.mac}, and it is ${path.to.mac}`,
        'with that entry nothing came back; without it the first packet did',
      ],
      fixes: [{ what: 'nothing: the probe made it forget the entry', price: 'none', commands: [] }],
    }
  },
}
