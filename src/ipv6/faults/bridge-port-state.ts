import { type Fault, linkAt, machineName } from './fault.ts'
import { type Port, portsOf } from './two-ports.ts'

const notForwarding = (port: Port) => /listening|learning|blocking|disabled/.test(port.state)

export const bridgePortState: Fault = {
  id: 'bridge-port-state',
  title: 'a port of the bridge does not forward yet, or not at all',
  symptom: 'everything is lost for up to half a minute after the VM starts, or for good where there is a loop',
  cause:
    'With spanning tree a new port listens and learns for twice the forward delay (2 x 15 s by default) before it forwards (IEEE 802.1D); a port that would close a loop stays blocked.',
  provenBy: 'the frame is seen on one port and not on the other while one of them is not in state forwarding',
  refutedBy: 'state forwarding in `bridge link show`',
  verify: 'wait for the forward delay, or switch spanning tree off, and ping again',
  prove(situation) {
    const { path, problem, evidence } = situation
    const ports =
      problem === 'recovered'
        ? path.hops.flatMap((hop) => {
            const link = linkAt(situation, hop)
            return link?.port !== undefined && /listening|learning/.test(link.port.state)
              ? [{ hop, link, port: link.port }]
              : []
          })
        : [portsOf(situation)].flatMap((found) =>
            found === undefined
              ? []
              : [found.from, found.to].flatMap((link) =>
                  notForwarding(link.port)
                    ? [{ hop: link === found.from ? found.lost.last : found.lost.missing, link, port: link.port }]
                    : [],
                ),
          )
    const [first] = ports
    if (first === undefined) return undefined
    const bridge = first.link.master ?? ''
    const runsStp = evidence.machines[first.hop.machine]?.links.find(({ name }) => name === bridge)?.bridge?.stp
    return {
      hop: first.hop.name,
      facts: [
        `${first.link.name} is in state ${first.port.state} on ${bridge}`,
        `spanning tree is ${runsStp ? 'on' : 'off'} there`,
      ],
      fixes: [
        {
          what: 'wait until the port forwards; to start without delay, switch spanning tree off',
          price: 'without spanning tree a loop is not broken: make sure that there is none',
          commands: [
            {
              on: machineName(evidence, first.hop.machine),
              words: `ip link set dev ${bridge} type bridge stp_state 0`,
            },
          ],
        },
      ],
    }
  },
}
