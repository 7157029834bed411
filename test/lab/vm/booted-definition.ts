import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadDomainDefinition } from '../../../src/config/load-domain-definition.ts'
import { cacheDirectory } from '../../../src/config/paths.ts'
import { loadNicModes } from '../../../src/domain/nic-modes.ts'
import { buildLabImage } from '../../../src/image/lab-image.ts'
import { type Connection, connect } from '../../../src/libvirt/index.ts'
import { localShell } from '../../../src/shell/local.ts'
import { serialShell } from '../../../src/shell/serial/serial-shell.ts'
import { runChecked } from '../../../src/shell/shell.ts'
import { openJournal } from '../../../src/undo/journal.ts'
import { createVm, type PlannedVm, planVm, vmPurpose } from '../../../src/vm/create.ts'
import { deleteVm } from '../../../src/vm/delete.ts'
import { findDomain, findVm } from '../../../src/vm/find-vm.ts'
import { makeTestLab, type TestLab } from '../testbed/test-lab.ts'

/** A place where definitions become VMs: a lab, a connection, and a directory for the definitions' files. */
export interface Workshop {
  readonly directory: string
  readonly lab: TestLab
  readonly connection: Connection
  /** A definition's first lines: the lab router by its kernel, which leaves room for an image and disks. */
  readonly labRouter: string
  plan(name: string, yaml: string): Promise<PlannedVm>
  /** Boots the VM, and gives a way to run a script as root in it. */
  boot(plan: PlannedVm): Promise<(script: string) => Promise<string>>
  remove(name: string): Promise<void>
  /** Removes the VMs too. */
  close(): Promise<void>
}

export async function openWorkshop(signal: AbortSignal): Promise<Workshop> {
  const image = await buildLabImage({ cacheDirectory: cacheDirectory(), shell: localShell, signal })
  const connection = await connect('qemu:///system')
  const lab = await makeTestLab().catch(async (error: unknown) => {
    await connection.close()
    throw error
  })
  const directory = await mkdtemp(join(tmpdir(), 'vmr-workshop-'))
  // QEMU reads the images as a user of its own.
  await chmod(directory, 0o755)
  const booted = new Map<string, () => Promise<void>>()
  const remove = async (name: string) => {
    await booted.get(name)?.()
    booted.delete(name)
    if ((await findDomain(connection, name)) !== undefined)
      await deleteVm(connection, await findVm(connection, name), { journalDirectory: lab.journalDirectory })
  }
  return {
    directory,
    lab,
    connection,
    labRouter: `os: lab-router
memory: 384 MiB
kernel: { file: ${image.kernel}, initrd: ${image.initramfs}, cmdline: ${JSON.stringify(image.commandLine)} }
`,
    async plan(name, yaml) {
      const file = join(directory, 'router.yaml')
      await writeFile(file, yaml)
      return planVm({
        name,
        definition: await loadDomainDefinition(file),
        mode: 'bridge',
        modes: await loadNicModes(),
        testbedName: 'lab',
        testbed: lab.testbed,
        image: undefined,
        accelerator: 'tcg',
        vmrVersion: '0.1.0',
        signal,
      })
    },
    async boot(plan) {
      const journal = await openJournal({ directory: lab.journalDirectory, purpose: vmPurpose(plan.name) })
      booted.set(plan.name, async () => undefined)
      try {
        const { session } = await createVm(connection, plan, { journal, signal, accelerator: 'tcg' })
        booted.set(plan.name, session.close)
        const guest = serialShell(session)
        return (script) => runChecked(guest, ['sudo', 'sh', '-c', script], { timeoutMs: 20_000 })
      } finally {
        await journal.keep()
        await journal.close()
      }
    },
    remove,
    async close() {
      for (const name of booted.keys()) await remove(name)
      await connection.close()
      await lab.remove()
      await rm(directory, { recursive: true, force: true })
    },
  }
}
