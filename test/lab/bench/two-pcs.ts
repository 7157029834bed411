import { linuxOs } from '../../../src/os/linux/linux-os.ts'
import { waitUntilUsable } from '../../../src/os/wait-until-usable.ts'
import { localShell } from '../../../src/shell/local.ts'
import { netnsShell } from '../../../src/shell/netns.ts'
import { runChecked } from '../../../src/shell/shell.ts'
import type { Machine } from '../../../src/testbed/machine.ts'

/** Ready to be used: two PCs in namespaces, each with eth0 on one bridge of the host: a -- vmrtb-a0 -- vmrtb-br -- vmrtb-b0 -- b. */
export interface TwoPcs {
  readonly a: Machine
  readonly b: Machine
  readonly host: Machine
  /** Runs words on the host: "ip link set …". */
  sh(words: string): Promise<string>
  remove(): Promise<void>
}

export const hostLinks = { a: 'vmrtb-a0', b: 'vmrtb-b0', bridge: 'vmrtb-br' } as const
const namespaces = { a: 'vmrtb-a', b: 'vmrtb-b' } as const
/** Their last 24 bits differ from those of all the MACs. */
export const addresses = {
  a: { ipv4: '192.168.231.1', ipv6: '2001:db8:b:e::1' },
  b: { ipv4: '192.168.231.2', ipv6: '2001:db8:b:e::2' },
} as const

export async function makeTwoPcs(): Promise<TwoPcs> {
  await removeAll()
  const sh = (words: string) => runChecked(localShell, words.split(' '))
  try {
    await sh(`ip link add ${hostLinks.bridge} type bridge mcast_snooping 0`)
    await sh(`sysctl -qw net.ipv6.conf.${hostLinks.bridge}.disable_ipv6=1`)
    await sh(`ip link set ${hostLinks.bridge} up`)
    for (const [index, pc] of (['a', 'b'] as const).entries()) {
      const [space, link] = [namespaces[pc], hostLinks[pc]]
      await sh(`ip netns add ${space}`)
      await sh(`ip link add ${link} type veth peer name eth0 netns ${space} address 02:76:6d:72:b0:0${index + 1}`)
      await sh(`ip link set ${link} master ${hostLinks.bridge} up`)
      await sh(`ip -n ${space} link set lo up`)
      await sh(`ip -n ${space} link set eth0 up`)
      await sh(`ip -n ${space} addr add ${addresses[pc].ipv4}/24 dev eth0`)
      await sh(`ip -n ${space} addr add ${addresses[pc].ipv6}/64 dev eth0`)
    }
    for (const pc of ['a', 'b'] as const)
      await waitUntilUsable(linuxOs, netnsShell(namespaces[pc]), 'eth0', Object.values(addresses[pc]))
  } catch (error) {
    await removeAll()
    throw error
  }
  const machine = (name: string, space: string): Machine => ({ name, shell: netnsShell(space), os: linuxOs })
  return {
    a: machine('a', namespaces.a),
    b: machine('b', namespaces.b),
    host: { name: 'host', shell: localShell, os: linuxOs },
    sh,
    remove: removeAll,
  }
}

async function removeAll(): Promise<void> {
  for (const space of Object.values(namespaces)) await localShell.run(['ip', 'netns', 'delete', space])
  // Deleting a namespace destroys its links later; the host's ends are removed here so that they are gone at once.
  for (const link of Object.values(hostLinks)) await localShell.run(['ip', 'link', 'delete', link])
}
