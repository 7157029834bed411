import { hostKey } from '../evidence/topology.ts'
import { type Fault, linkAt, nicsOnPath } from './fault.ts'

export const macvtapHostIsolation: Fault = {
  id: 'macvtap-host-isolation',
  title: 'the host and a VM on a macvtap of its NIC do not reach each other',
  symptom: 'PCs reach the VM, and the very host that it runs on does not, in either family',
  cause:
    'A macvtap takes what its NIC receives, and sends by it. What the host itself sends by that NIC goes out to the wire, never to the macvtap, and what the guest sends to the host goes out too (drivers/net/macvlan.c). It is so in every mode.',
  provenBy:
    'the host’s address is on the NIC below the macvtap, the request leaves by that NIC and is not seen at the macvtap',
  refutedBy: 'the request at the macvtap, or an address of the host that is not on that NIC',
  verify: 'ping the VM from the host, from cold caches',
  prove(situation) {
    const { loss, problem, path, evidence } = situation
    if (problem !== 'lost' || loss.kind !== 'between' || loss.frame !== 'request') return undefined
    const nic = nicsOnPath(situation).find(({ target }) => target === loss.missing.link)
    const macvtap = linkAt(situation, loss.missing)
    if (nic === undefined || loss.missing.machine !== hostKey || macvtap?.kind !== 'macvtap') return undefined
    if (path.from.machine !== loss.last.machine || path.from.machine !== `pc:${hostKey}`) return undefined
    if (macvtap.lower !== path.from.link || loss.last.link !== path.from.link) return undefined
    const { name } = evidence.vm
    return {
      hop: loss.missing.name,
      facts: [
        `the host has ${path.from.address} on ${path.from.link}, and ${macvtap.name} of ${name} is a macvtap on it`,
        `what the host sends to ${path.to.address} leaves by ${path.from.link}, and ${macvtap.name} does not get it`,
      ],
      fixes: [
        {
          what: 'give the VM one more NIC, on a network of this host alone, for what host and VM have to say to each other',
          price: 'host and VM reach each other past whatever filters on the wire',
          commands: [{ on: 'host', words: 'vmr nic list' }],
        },
        {
          what: 'attach the VM to a Linux bridge of the host, and move the host’s address to that bridge',
          price: 'the host loses its network while the address moves; the NIC goes promiscuous',
          commands: [{ on: 'host', words: `vmr vm switch ${name} --nic bridge --only ${nic.name}` }],
        },
      ],
    }
  },
}
