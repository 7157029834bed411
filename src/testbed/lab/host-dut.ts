import { readLinks } from '../../os/linux/ip-json.ts'
import { linuxOs } from '../../os/linux/linux-os.ts'
import { localShell } from '../../shell/local.ts'
import { netnsShell } from '../../shell/netns.ts'
import { runChecked } from '../../shell/shell.ts'
import type { Journal } from '../../undo/journal.ts'
import { journaledShell } from '../../undo/journaled-shell.ts'
import type { Machine } from '../machine.ts'
import type { Testbed } from '../testbed.ts'
import { shapingArguments } from './shaping.ts'

/** Short for a testbed whose uplinks are vmr-up1…: vmr-dut. */
function namespaceOf({ links }: Testbed): string {
  const prefix = links[0]?.uplink.split('-')[0] ?? 'vmr'
  return `${prefix}-dut`
}

export interface HostDut {
  readonly machine: Machine
  /** The uplinks in their order. */
  readonly interfaces: readonly { readonly name: string; readonly mac: string }[]
  /** Gives the uplinks back to where VMs can be attached to them; labUp makes them again what they were. */
  leave(): Promise<void>
}

/**
 * Makes this host's kernel the device under test: the uplinks move into a network namespace of its own.
 *
 * The same kernel moves the same frames between the same NICs there, and what a baseline must not depend on stays
 * outside: the host's firewall, its routes and its own addresses. Forwarding, which is a switch of the whole namespace,
 * is not turned on for the host. And the kernel itself takes everything back: with the namespace goes all that was
 * configured in it, so one journaled step is enough, whatever happens in between.
 *
 * @throws VmrError HOST_COMMAND_FAILED, HOST_PERMISSION, INTERRUPTED; what was made until then is in the journal.
 */
export async function enterHostDut(
  testbed: Testbed,
  { journal, signal }: { readonly journal: Journal; readonly signal: AbortSignal },
): Promise<HostDut> {
  const name = namespaceOf(testbed)
  const inside = netnsShell(name)
  const sh = (argv: readonly string[], shell = localShell) => runChecked(shell, argv, { signal })
  await journal.before({ kind: 'netns', name })
  await sh(['ip', 'netns', 'add', name])
  await sh(['ip', 'link', 'set', 'dev', 'lo', 'up'], inside)
  // Every address of this namespace is the test's own; looking for its double takes 1 to 2 s (RFC 4862 section 5.1).
  await sh(['sysctl', '-q', '-w', 'net/ipv6/conf/default/dad_transmits=0'], inside)
  for (const { uplink, rate, mtu } of testbed.links) {
    await sh(['ip', 'link', 'set', 'dev', uplink, 'netns', name])
    // What a link loses by moving: its queueing discipline, and that it is up.
    await sh(['tc', 'qdisc', 'replace', 'dev', uplink, 'root', ...shapingArguments(rate)], inside)
    await sh(
      ['sysctl', '-q', '-w', `net/ipv6/conf/${uplink}/accept_ra=0`, `net/ipv6/conf/${uplink}/dad_transmits=0`],
      inside,
    )
    await sh(['ip', 'link', 'set', 'dev', uplink, 'mtu', String(mtu), 'up'], inside)
  }
  const links = await readLinks(inside, { signal })
  return {
    machine: { name: 'dut', shell: journaledShell(inside, journal), os: linuxOs },
    interfaces: testbed.links.map(({ uplink }) => ({
      name: uplink,
      mac: links.find(({ ifname }) => ifname === uplink)?.address ?? '',
    })),
    async leave() {
      // Not to be interrupted: what is left in the namespace is destroyed with it.
      for (const { uplink } of testbed.links) {
        await inside.run(['ip', 'link', 'set', 'dev', uplink, 'nomaster'])
        await inside.run(['ip', 'link', 'set', 'dev', uplink, 'netns', String(process.pid)])
      }
    },
  }
}
