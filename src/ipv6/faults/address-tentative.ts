import { ends } from './ends-of-path.ts'
import { type Fault, lostInside, machineName } from './fault.ts'

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
