import { type Fault, isOn, lostInside, machineName, stateOf, sysctlChange } from './fault.ts'

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
