import { guestKey } from '../evidence/topology.ts'
import { showsAt } from './ends-of-path.ts'
import { type Fault, isOn, stateOf } from './fault.ts'

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
