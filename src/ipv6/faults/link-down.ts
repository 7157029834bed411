import { guestKey } from '../evidence/topology.ts'
import { type Fault, linkAt, machineName, nicsOnPath } from './fault.ts'

export const linkDown: Fault = {
  id: 'link-down',
  title: 'a link on the way is down',
  symptom: 'nothing passes, in either family',
  cause: 'An interface is switched off, or its other end is: it carries nothing.',
  provenBy: 'an interface at the hop where the frame is lost is not up, or has no carrier',
  refutedBy: 'UP and LOWER_UP in `ip link` of each interface on the way',
  verify: 'set it up and ping again',
  prove(situation) {
    const { path, problem, loss, evidence } = situation
    if (problem !== 'lost') return undefined
    const at = ((): readonly string[] => {
      switch (loss.kind) {
        case 'between': {
          // At what is down nothing can be watched: it may be any of those between.
          const places = [loss.last, loss.missing].map((each) => path.hops.findIndex(({ name }) => name === each.name))
          return path.hops.slice(Math.min(...places), Math.max(...places) + 1).map(({ name }) => name)
        }
        case 'unsent':
          return path.hops
            .slice(0, path.hops.findIndex(({ name }) => name === loss.at.name) + 1)
            .map(({ name }) => name)
        case 'unanswered':
          return [loss.at.name]
        case 'unwatched':
          return path.hops.map(({ name }) => name)
        default:
          return []
      }
    })()
    const unplugged = nicsOnPath(situation).find(({ linkState }) => linkState === 'down')
    const near = path.hops.filter(({ name, machine, link }) => {
      if (at.includes(name)) return true
      // What is above a link that is down, on the same machine, sends nothing either.
      return (
        (loss.kind === 'unsent' && machine === loss.at.machine) ||
        (unplugged !== undefined && machine === guestKey && link === unplugged.name && loss.kind === 'unsent')
      )
    })
    const dead = near.flatMap((hop) => {
      const link = linkAt(situation, hop)
      if (link === undefined) return []
      const isUp = link.flags.includes('UP')
      const hasCarrier = link.flags.includes('LOWER_UP')
      return isUp && hasCarrier ? [] : [{ hop, link, why: isUp ? 'has no carrier' : 'is switched off' }]
    })
    // The one that is switched off is the cause of those that have no carrier.
    const first = dead.find(({ why }) => why === 'is switched off') ?? dead[0]
    if (first === undefined) return undefined
    const facts = dead.map(({ hop, why }) => `${hop.name} ${why}`)
    if (unplugged !== undefined) {
      return {
        hop: first.hop.name,
        facts: [...facts, `libvirt has the link of ${unplugged.name} down`],
        fixes: [
          {
            what: 'plug the virtual cable in again',
            price: 'none',
            commands: [{ on: 'host', words: `virsh domif-setlink ${evidence.vm.name} ${unplugged.mac} up` }],
          },
        ],
      }
    }
    const { hop } = first
    const on = machineName(evidence, hop.machine)
    return {
      hop: hop.name,
      facts,
      fixes: [
        first.why === 'is switched off'
          ? {
              what: 'switch it on',
              price: 'none, unless somebody switched it off for a reason',
              commands: [{ on, words: `ip link set dev ${hop.link} up` }],
            }
          : {
              what: 'look at its other end: the cable, or the interface there',
              price: 'none',
              commands: [{ on, words: `ip -details link show dev ${hop.link}` }],
            },
      ],
    }
  },
}
