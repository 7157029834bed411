import { ends, showsAt } from './ends-of-path.ts'
import { type Fault, isOn, machineName } from './fault.ts'

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
