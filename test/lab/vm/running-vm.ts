import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadDomainDefinition } from '../../../src/config/load-domain-definition.ts'
import { networkConfigSchema } from '../../../src/config/network-config.ts'
import { journalDirectory } from '../../../src/config/paths.ts'
import { loadNicModes, type NicModes } from '../../../src/domain/nic-modes.ts'
import { type Connection, connect } from '../../../src/libvirt/index.ts'
import { vyosOs } from '../../../src/os/vyos/vyos-os.ts'
import { type SerialShell, serialShell } from '../../../src/shell/serial/serial-shell.ts'
import { labDown } from '../../../src/testbed/lab/lab.ts'
import { type Machine, type PcMachine, pcMachines } from '../../../src/testbed/machine.ts'
import { loadTestbed, type Testbed, withPrefix } from '../../../src/testbed/testbed.ts'
import { openJournal } from '../../../src/undo/journal.ts'
import { createVm, planVm, vmPurpose } from '../../../src/vm/create.ts'
import { deleteVm } from '../../../src/vm/delete.ts'
import { findVm, type Vm } from '../../../src/vm/find-vm.ts'
import { prepareGuest } from '../../../src/vm/prepare-guest.ts'
import { makeStandingLab } from '../../../src/vm/standing-lab.ts'

/** A lab router that runs in a lab of its own, its interfaces set up, with its console open. */
export interface RunningVm {
  readonly name: string
  readonly connection: Connection
  readonly testbed: Testbed
  readonly pcs: readonly PcMachine[]
  readonly modes: NicModes
  readonly guest: SerialShell
  readonly machine: Machine
  /** As libvirt has it now. */
  find(): Promise<Vm>
  /** Removes the VM, the lab and every file. */
  remove(): Promise<void>
}

export interface RunningVmOptions {
  readonly name: string
  readonly mode: string
  /** Beginning of every name on this host. */
  readonly prefix?: `vmr${string}`
}

const signal = new AbortController().signal

export async function makeRunningVm({ name, mode, prefix = 'vmrt' }: RunningVmOptions): Promise<RunningVm> {
  const stateBefore = process.env.VMR_STATE_DIR
  const state = await mkdtemp(join(tmpdir(), 'vmr-vm-'))
  process.env.VMR_STATE_DIR = state
  const testbed = withPrefix(await loadTestbed('lab'), prefix)
  const modes = await loadNicModes()
  const undo: (() => Promise<unknown>)[] = [
    async () => {
      if (stateBefore === undefined) delete process.env.VMR_STATE_DIR
      else process.env.VMR_STATE_DIR = stateBefore
      await rm(state, { recursive: true, force: true })
    },
  ]
  const remove = async () => {
    let failure: { readonly error: unknown } | undefined
    for (const step of undo.splice(0).reverse()) await step().catch((error: unknown) => (failure ??= { error }))
    if (failure !== undefined) throw failure.error
  }
  try {
    const connection = await connect('qemu:///system')
    undo.push(() => connection.close())
    undo.push(() => labDown(testbed, { journalDirectory: journalDirectory(), force: true }))
    await makeStandingLab(testbed, {})
    const guestFiles = await prepareGuest({ requested: 'tcg', signal, onProgress: () => undefined })
    const plan = await planVm({
      name,
      mode,
      modes,
      definition: await loadDomainDefinition('lab-router'),
      testbedName: 'lab',
      testbed,
      vmrVersion: '0.0.0',
      signal,
      ...guestFiles,
    })
    const journal = await openJournal({ directory: journalDirectory(), purpose: vmPurpose(name) })
    undo.push(async () =>
      deleteVm(connection.isOpen() ? connection : await connect('qemu:///system'), await findVm(connection, name), {
        journalDirectory: journalDirectory(),
      }),
    )
    const { session } = await createVm(connection, plan, { journal, signal, accelerator: 'tcg' })
    await journal.keep()
    await journal.close()
    const guest = serialShell(session)
    undo.push(async () => {
      await guest.close()
      await session.close()
    })
    const ethernets = testbed.links.map(({ dut }, index) => [`eth${index}`, { addresses: [...dut.addresses] }])
    await vyosOs.configure(guest, networkConfigSchema.parse({ ethernets: Object.fromEntries(ethernets) }))
    return {
      ...{ name, connection, testbed, modes, guest, remove },
      pcs: pcMachines(testbed),
      machine: { name, shell: guest, os: vyosOs },
      find: () => findVm(connection, name),
    }
  } catch (error) {
    await remove().catch(() => undefined)
    throw error
  }
}
