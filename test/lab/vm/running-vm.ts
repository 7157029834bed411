import { mkdtemp, rm, writeFile } from 'node:fs/promises'
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
import { bootGuest, openSession } from '../../../src/vm/boot.ts'
import { createVm, planVm, vmPurpose } from '../../../src/vm/create.ts'
import { deleteVm } from '../../../src/vm/delete.ts'
import { findVm, type Vm } from '../../../src/vm/find-vm.ts'
import { guestAccess } from '../../../src/vm/guest-access.ts'
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
  /** File of the testbed, for commands. */
  readonly testbedFile: string
  /** As libvirt has it now. */
  find(): Promise<Vm>
  /** Lets go of the console, so that somebody else can have it. */
  closeConsole(): Promise<void>
  /** A new connection and a new console, after a fault or closeConsole. Starts the VM if it does not run. */
  reopen(): Promise<void>
  /** Removes the VM, the lab and every file. */
  remove(): Promise<void>
}

export interface RunningVmOptions {
  readonly name: string
  readonly mode: string
  /** Default: the system's libvirt. */
  readonly uri?: string
  /** Beginning of every name on this host. */
  readonly prefix?: `vmr${string}`
}

const signal = new AbortController().signal

export async function makeRunningVm({
  name,
  mode,
  uri = 'qemu:///system',
  prefix = 'vmrt',
}: RunningVmOptions): Promise<RunningVm> {
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
    const testbedFile = join(state, 'testbed.yaml')
    // JSON is YAML.
    await writeFile(testbedFile, JSON.stringify(testbed))
    let connection = await connect(uri)
    undo.push(() => connection.close())
    undo.push(() => labDown(testbed, { journalDirectory: journalDirectory(), force: true }))
    await makeStandingLab(testbed, {})
    const guestFiles = await prepareGuest({ requested: 'tcg', signal, onProgress: () => undefined })
    const plan = await planVm({
      name,
      mode,
      modes,
      definition: await loadDomainDefinition('lab-router'),
      testbedName: testbedFile,
      testbed,
      vmrVersion: '0.0.0',
      signal,
      ...guestFiles,
    })
    const journal = await openJournal({ directory: journalDirectory(), purpose: vmPurpose(name) })
    undo.push(async () => {
      if (!connection.isOpen()) connection = await connect(uri)
      await deleteVm(connection, await findVm(connection, name), { journalDirectory: journalDirectory() })
    })
    const { session: firstSession } = await createVm(connection, plan, { journal, signal, accelerator: 'tcg' })
    await journal.keep()
    await journal.close()
    let session = firstSession
    let guest = serialShell(session)
    const closeConsole = async () => {
      await guest.close()
      await session.close()
    }
    undo.push(closeConsole)
    const ethernets = testbed.links.map(({ dut }, index) => [`eth${index}`, { addresses: [...dut.addresses] }])
    const configuration = networkConfigSchema.parse({ ethernets: Object.fromEntries(ethernets) })
    await vyosOs.configure(guest, configuration)
    return {
      ...{ name, testbed, testbedFile, modes, remove, closeConsole },
      get connection() {
        return connection
      },
      get guest() {
        return guest
      },
      get machine() {
        return { name, shell: guest, os: vyosOs }
      },
      pcs: pcMachines(testbed),
      find: () => findVm(connection, name),
      reopen: async () => {
        await closeConsole()
        if (!connection.isOpen()) connection = await connect(uri)
        const { domain } = await findVm(connection, name)
        const access = guestAccess('lab-router', 'tcg')
        const running = await connection.isDomainActive(domain)
        session = running
          ? await openSession(connection, domain, access)
          : (await bootGuest(connection, domain, access)).session
        guest = serialShell(session)
        if (!running) await vyosOs.configure(guest, configuration)
      },
    }
  } catch (error) {
    await remove().catch(() => undefined)
    throw error
  }
}
