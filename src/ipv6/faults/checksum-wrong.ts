import { type Fault, lostInside, machineName } from './fault.ts'

/** One may be of somebody else’s packet. */
const certainly = 2

export const checksumWrong: Fault = {
  id: 'checksum-wrong',
  title: 'the packet arrives with a wrong checksum',
  symptom: 'captures show the packet at its target, and the target behaves as if it had never come',
  cause:
    'The sender leaves the checksum to a device that does not compute it (offloading: a driver or a NIC with a fault), or something on the way changes the packet and does not correct the checksum. IPv6 has no other check, and the receiver says nothing.',
  provenBy:
    'the frame arrives, nothing comes of it, and the machine has counted ICMP packets with a wrong checksum meanwhile',
  refutedBy: 'InCsumErrors that does not grow while it is probed',
  verify: 'switch the offload off, ping, and see that InCsumErrors stays as it is (`nstat -az`)',
  prove(situation) {
    const { path, problem, loss, evidence } = situation
    const inside = lostInside(situation)
    if (problem !== 'lost' || loss.kind !== 'unanswered' || inside === undefined) return undefined
    const errors = path.trace?.checksumErrors?.[inside.machine] ?? 0
    if (errors < certainly) return undefined
    const on = machineName(evidence, inside.machine)
    const sender = /^(request|echo|reverse-answer)$/.test(inside.frame) ? path.from : path.to
    const from = machineName(evidence, sender.machine)
    return {
      hop: inside.hop.name,
      facts: [
        `${on} threw away ${errors} ICMP packets with a wrong checksum while it was probed (${path.family === 'ipv6' ? 'Icmp6InCsumErrors' : 'InCsumErrors of Icmp'})`,
      ],
      fixes: [
        {
          what: `let the processor of ${from} compute the checksums`,
          price: 'processor time for each packet that is sent; nothing in security',
          commands: [{ on: from, words: `ethtool -K ${sender.link} tx off` }],
        },
        {
          what: 'look for what changes packets on the way: address translation, a tunnel, a rule that rewrites',
          price: 'none',
          commands: [{ on, words: `tcpdump -p -n -vv -i ${inside.hop.link} icmp6 or icmp` }],
        },
      ],
    }
  },
}
