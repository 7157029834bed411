import { linuxOs } from '../os/linux/linux-os.ts'
import type { Os } from '../os/os.ts'
import { netnsShell } from '../shell/netns.ts'
import type { Shell } from '../shell/shell.ts'
import type { Testbed } from './testbed.ts'

/** Everything that is measured or configured: how it is reached, and what it speaks. */
export interface Machine {
  readonly name: string
  readonly shell: Shell
  readonly os: Os
}

/** A PC of the testbed, at the other end of an uplink. */
export interface PcMachine extends Machine {
  readonly interfaceName: string
  readonly mac: string
  readonly addresses: readonly string[]
}

/** The PCs in the order of the links. One Machine each for the whole run: linuxOs remembers what it changed by Shell. */
export function pcMachines(testbed: Testbed): readonly PcMachine[] {
  return testbed.links.map(({ pc }) => ({
    name: pc.name,
    shell: netnsShell(pc.shell.name),
    os: linuxOs,
    interfaceName: pc.interface,
    mac: pc.mac,
    addresses: pc.addresses,
  }))
}
