import { type Fault, machineName } from './fault.ts'

export const duplicateAddress: Fault = {
  id: 'duplicate-address',
  title: 'another machine answers for the address',
  symptom: 'the address answers, and it is somebody else; sessions break at random',
  cause: 'Two machines of one network have the same address: whoever answers last gets the frames.',
  provenBy: 'the sender resolved the address to a MAC address that the target does not have',
  refutedBy: 'the target’s own MAC address in the neighbour entry',
  verify: 'take the address from the other machine, flush the neighbour caches, ping',
  prove(situation) {
    const { path, evidence, problem } = situation
    const mac = path.resolvedMac
    if (problem !== 'misdirected' || mac === undefined) return undefined
    // A bridge shares its MAC address with one of its ports: the one with the address answers.
    const owners = Object.entries(evidence.machines)
      .flatMap(([key, { links }]) =>
        links.flatMap((link) =>
          link.mac === mac
            ? [
                {
                  name: `${machineName(evidence, key)} ${link.name}`,
                  has: link.addresses.some(({ address }) => address === path.to.address),
                },
              ]
            : [],
        ),
      )
      .toSorted((a, b) => Number(b.has) - Number(a.has))
      .map(({ name }) => name)
    const from = machineName(evidence, path.from.machine)
    return {
      hop: owners[0] ?? `${from} ${path.from.link}`,
      facts: [
        `${from} resolves ${path.to.address} to ${mac}; ${machineName(evidence, path.to.machine)} has ${path.to.mac}`,
        owners.length === 0 ? `no machine that was looked into has ${mac}` : `${mac} is ${owners.join(', ')}`,
      ],
      fixes: [
        {
          what: 'give one of the two another address',
          price: 'none',
          commands: [{ on: from, words: `ip neighbour show ${path.to.address}` }],
        },
      ],
    }
  },
}
