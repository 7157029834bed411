import { guestKey } from '../evidence/topology.ts'
import { type Fault, stateOf, sysctlChange } from './fault.ts'
import { lostInRouter } from './lost-in-router.ts'

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
