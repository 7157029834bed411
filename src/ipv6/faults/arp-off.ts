import { type Fault, lostInside, machineName, stateOf } from './fault.ts'

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
