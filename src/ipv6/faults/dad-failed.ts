import { ends, showsAt } from './ends-of-path.ts'
import { type Fault, machineName, type Proof } from './fault.ts'

export const dadFailed: Fault = {
  id: 'dad-failed',
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
