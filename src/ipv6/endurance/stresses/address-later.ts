import { VmrError } from '../../../errors/vmr-error.ts'
import { runChecked } from '../../../shell/shell.ts'
import type { Evidence } from '../../evidence/schema.ts'
import { guestKey, linkOf } from '../../evidence/topology.ts'
import type { Stress } from '../stress.ts'

/** Should vmr be killed, the guest's kernel removes them by itself then. */
const lifetimeSeconds = 300

/**
 * Two of each network: the multicast filter of a macvtap is a hash, and now and then lets a group in by luck. In the form
 * of privacy addresses, whose last 24 bits are those of no MAC address here.
 */
const identifiers = ['7d5e:91c3:e8a4:b6f1', 'a29b:4f07:c65d:38e2'] as const

interface LaterAddress {
  readonly link: string
  readonly address: string
}

function laterAddresses({ machines, paths }: Evidence): readonly LaterAddress[] {
  const targets = paths.filter(
    ({ family, to, form, routed }) =>
      family === 'ipv6' && to.machine === guestKey && !routed && (form === 'static' || form === 'eui64'),
  )
  const networks = new Map(
    targets.flatMap(({ to: { link, address } }) => {
      const found = linkOf(machines[guestKey], link)?.addresses.find((each) => each.address === address)
      return found?.prefixLength === 64
        ? [[`${link} ${networkOf(address)}`, { link, network: networkOf(address) }]]
        : []
    }),
  )
  return [...networks.values()].flatMap(({ link, network }) =>
    identifiers.map((identifier) => ({ link, address: `${network}:${identifier}` })),
  )
}

/** The first 64 bits, as four groups. */
function networkOf(address: string): string {
  const [head = '', tail] = address.split('::')
  const before = head.split(':').filter((group) => group !== '')
  const after = (tail ?? '').split(':').filter((group) => group !== '')
  const zeros = tail === undefined ? [] : Array.from({ length: 8 - before.length - after.length }, () => '0')
  return [...before, ...zeros, ...after].slice(0, 4).join(':')
}

export const addressLater: Stress = {
  name: 'address-later',
  after: 'an address was added later',
  what: 'gives the guest two more IPv6 addresses in each of its networks, and takes them away again',
  limitSeconds: 150,
  plan(evidence) {
    if (!Object.hasOwn(evidence.machines, guestKey)) return { impossible: 'nobody is logged in to the guest' }
    if (laterAddresses(evidence).length === 0)
      return { impossible: 'the guest has no IPv6 network of 64 bits that somebody else is on' }
    return { timers: [] }
  },
  async run({ machines, evidence, signal, addFact }, _plan, probe) {
    const guest = machines.get(guestKey)
    if (guest === undefined) throw new VmrError('GUEST_CONSOLE_LOST', 'the guest cannot be reached any more')
    const added = laterAddresses(evidence)
    const { shell, asRoot } = guest
    const ip = (words: readonly string[]) => [...asRoot, 'ip', '-6', 'address', ...words]
    try {
      for (const { link, address } of added)
        await runChecked(
          shell,
          // Deprecated at once: nothing that the guest sends has it for a source.
          ip(['add', `${address}/64`, 'dev', link, 'valid_lft', String(lifetimeSeconds), 'preferred_lft', '0']),
          { signal },
        )
      addFact(`added ${added.map(({ address, link }) => `${address} on ${link}`).join(', ')}`)
      await probe()
    } finally {
      for (const { link, address } of added) await shell.run(ip(['del', `${address}/64`, 'dev', link]))
    }
  },
}
