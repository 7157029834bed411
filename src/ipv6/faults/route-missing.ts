import { acceptRaForwarding } from './accept-ra-forwarding.ts'
import { type Fault, machineName } from './fault.ts'
import { raGuard } from './ra-guard.ts'
import { withoutRoute } from './without-route.ts'

export const routeMissing: Fault = {
  id: 'route-missing',
  title: 'a machine has no route to the other end',
  symptom: '"Network is unreachable", or the packet arrives and nothing comes back',
  cause: 'A packet needs a route there and one back. Often only one side was given one.',
  provenBy: 'the machine where the exchange ends has no route to where it had to send, or one that says unreachable',
  refutedBy: 'a route in `ip route get`, or advertisements of the VM that the machine does not get or take in',
  verify: 'add the route, ping',
  prove(situation) {
    const [found] = withoutRoute(situation)
    if (found === undefined || [acceptRaForwarding, raGuard].some((each) => each.prove(situation) !== undefined))
      return undefined
    const { machine, towards, hop, route } = found
    const on = machineName(situation.evidence, machine)
    const words = situation.path.family === 'ipv6' ? 'ip -6 route' : 'ip route'
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
  },
}
