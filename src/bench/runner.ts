import { randomInt } from 'node:crypto'
import type { LoadedDomainDefinition } from '../config/load-domain-definition.ts'
import { networkConfigSchema } from '../config/network-config.ts'
import { readDomainFacts } from '../domain/domain-facts.ts'
import type { Accelerator } from '../domain/domain-xml.ts'
import type { NicModes } from '../domain/nic-modes.ts'
import { VmrError } from '../errors/vmr-error.ts'
import type { LabImage } from '../image/lab-image.ts'
import type { TraceHop } from '../ipv6/solicitation-trace.ts'
import type { Connection } from '../libvirt/index.ts'
import { linuxOs } from '../os/linux/linux-os.ts'
import { vyosOs } from '../os/vyos/vyos-os.ts'
import { waitUntilUsable } from '../os/wait-until-usable.ts'
import { gatherHostFacts } from '../results/host-facts.ts'
import { createRunFolder, type RunFolder, readRun, runFolderName } from '../results/run-folder.ts'
import { type Manifest, type Run, resultsFormat } from '../results/schema.ts'
import { localShell } from '../shell/local.ts'
import { serialShell } from '../shell/serial/serial-shell.ts'
import { labUp } from '../testbed/lab/lab.ts'
import { type Machine, pcMachines } from '../testbed/machine.ts'
import type { Testbed } from '../testbed/testbed.ts'
import type { Journal } from '../undo/journal.ts'
import { openJournal } from '../undo/journal.ts'
import { journaledShell } from '../undo/journaled-shell.ts'
import { withUndo } from '../undo/undo-all.ts'
import { type CreatedVm, createVm, planVm, vmPurpose } from '../vm/create.ts'
import { undoExecutors } from '../vm/domain-undo.ts'
import { type CaseDirection, type CaseSetup, caseLinks, type Role } from './cases/bench-case.ts'
import { benchCases } from './cases/index.ts'
import type { Matrix } from './matrix.ts'
import { type Bench, measureCell, unmeasuredCell } from './measure-cell.ts'
import { type Plan, type PlannedCell, setupOf } from './plan.ts'

export interface RunRequest {
  readonly matrixName: string
  readonly matrix: Matrix
  readonly plan: Plan
  readonly connection: Connection
  readonly definition: LoadedDomainDefinition
  readonly modes: NicModes
  readonly testbedName: string
  readonly testbed: Testbed
  readonly image: LabImage
  readonly accelerator: Accelerator
  readonly resultsDirectory: string
  readonly journalDirectory: string
  readonly vmrVersion: string
  readonly signal: AbortSignal
  readonly onProgress: (activity: string) => void
}

export interface FinishedRun extends Run {
  readonly folder: string
}

const vmName = 'vmr-bench'
/** What the guest calls its NICs, in the order of the uplinks. */
const guestInterfaces = ['eth0', 'eth1'] as const

/**
 * Runs every cell of a plan on the lab and leaves a run folder; everything else that it made is taken away, also when
 * it fails or is aborted. A VM that cannot be made makes its cells errors, and the run goes on.
 */
export async function runPlan(request: RunRequest): Promise<FinishedRun> {
  const { testbed, journalDirectory, signal, onProgress, matrixName, resultsDirectory } = request
  const journal = await openJournal({ directory: journalDirectory, purpose: 'bench run' })
  return withUndo(journal, { executors: undoExecutors }, async (tracked) => {
    onProgress('making the lab')
    await labUp(testbed, { journal: tracked, signal })
    const startedAt = new Date()
    const folder = await createRunFolder(resultsDirectory, runFolderName(startedAt, matrixName))
    let manifest = await firstManifest(request, startedAt, folder.path)
    await folder.writeManifest(manifest)
    const setups = [...new Set(request.plan.cells.map(setupOf))]
    for (const setupName of setups) {
      const cells = request.plan.cells.filter((cell) => setupOf(cell) === setupName)
      const made = await runSetup(request, { setupName, cells, folder, manifest })
      manifest = {
        ...manifest,
        setups: { ...manifest.setups, ...made },
      }
      await folder.writeManifest(manifest)
    }
    await folder.writeManifest({ ...manifest, endedAt: new Date().toISOString() })
    return { folder: folder.path, ...(await readRun(folder.path)) }
  })
}

interface SetupRun {
  readonly setupName: string
  readonly cells: readonly PlannedCell[]
  readonly folder: RunFolder
  readonly manifest: Manifest
}

/** What a set-up adds to the manifest. */
type SetupFacts = Manifest['setups']

async function runSetup(request: RunRequest, run: SetupRun): Promise<SetupFacts> {
  const { connection, journalDirectory, signal, onProgress, accelerator } = request
  const { setupName, cells, folder } = run
  const [cell] = cells
  if (cell === undefined) return {}
  if (cell.dut === 'host')
    throw new VmrError('CONFIG_INVALID', `${cell.id}: the host cannot be the device under test in this version`, {
      hint: 'Choose cells with dut: vm.',
    })
  const mode = cell.mode
  try {
    const plan = await planVm({ ...request, name: vmName, mode })
    const journal = await openJournal({ directory: journalDirectory, purpose: vmPurpose(vmName) })
    return await withUndo(journal, { executors: undoExecutors }, async (tracked) => {
      const vm = await createVm(connection, plan, {
        journal: tracked,
        signal,
        accelerator,
        onProgress: (activity) => onProgress(`${setupName}: ${activity}`),
      })
      try {
        const domainXml = await connection.domainXml(vm.domain, { signal })
        const configs = await measureSetup(request, run, { vm, domainXml, journal: tracked })
        return { [setupName]: { domainXml, configs, interfaces: {} } }
      } finally {
        await vm.session.close()
      }
    })
  } catch (error) {
    signal.throwIfAborted()
    for (const each of cells) await folder.appendCell(unmeasuredCell(each, error))
    return {}
  }
}

interface RunningVm {
  readonly vm: CreatedVm
  readonly domainXml: string
  readonly journal: Journal
}

async function measureSetup(
  request: RunRequest,
  { setupName, cells, folder, manifest }: SetupRun,
  { vm, domainXml, journal }: RunningVm,
): Promise<CaseSetup['configs']> {
  const { testbed, matrix, signal, onProgress } = request
  const caseName = cells[0]?.case ?? ''
  const benchCase = benchCases[caseName]
  if (benchCase === undefined) throw new RangeError(`there is no case ${caseName}`)
  const setup = benchCase.setup(caseLinks(testbed, guestInterfaces))
  const guestShell = serialShell(vm.session)
  const [pc1, pc2] = pcMachines(testbed).map((pc) => ({ ...pc, shell: journaledShell(pc.shell, journal) }))
  const dut: Machine = { name: 'dut', shell: guestShell, os: vyosOs }
  const machines: Bench['machines'] = {
    dut,
    ...(pc1 === undefined ? {} : { pc1 }),
    ...(pc2 === undefined ? {} : { pc2 }),
  }
  try {
    onProgress(`${setupName}: configuring`)
    for (const [role, config] of Object.entries(setup.configs)) {
      const machine = machines[role as Role]
      if (machine === undefined || config === undefined) continue
      const complete = networkConfigSchema.parse(config)
      await machine.os.configure(machine.shell, complete, { signal })
      for (const [name, { addresses }] of Object.entries(complete.ethernets))
        await waitUntilUsable(machine.os, machine.shell, name, addresses, { signal, timeoutMs: 30_000 })
    }
    const host: Machine = { name: 'host', shell: journaledShell(localShell, journal), os: linuxOs }
    const bench: Bench = {
      setup,
      machines,
      hops: (direction) => hopsOf(direction, { machines, host, testbed, domainXml }),
      folder,
      throughput: matrix.throughput,
      tcpTimestamps: manifest.host.tcpTimestamps,
      seed: manifest.seed,
      signal,
      onProgress,
    }
    for (const cell of cells) await folder.appendCell(await measureCell(cell, bench))
    return setup.configs
  } finally {
    await guestShell.close()
  }
}

interface Places {
  readonly machines: Bench['machines']
  readonly host: Machine
  readonly testbed: Testbed
  readonly domainXml: string
}

/** The way of a frame between a PC and the VM's first NIC: wire, uplink, what the VM is attached by, guest. */
function hopsOf({ from, to }: CaseDirection, { machines, host, testbed, domainXml }: Places): readonly TraceHop[] {
  const { pc1, dut } = machines
  const [link] = testbed.links
  const nic = readDomainFacts(domainXml).nics.find(({ mac }) => mac !== undefined)
  if (pc1 === undefined || dut === undefined || link === undefined) return []
  const end = from.role === 'pc1' ? from : to
  const guestEnd = from.role === 'dut' ? from : to
  const fromPc: readonly TraceHop[] = [
    { name: `pc1 ${end.interfaceName}`, machine: pc1, interfaceName: end.interfaceName },
    { name: `host uplink ${link.uplink}`, machine: host, interfaceName: link.uplink },
    ...(nic?.target === undefined ? [] : [{ name: nic.target, machine: host, interfaceName: nic.target }]),
    { name: `guest ${guestEnd.interfaceName}`, machine: dut, interfaceName: guestEnd.interfaceName },
  ]
  return from.role === 'pc1' ? fromPc : fromPc.toReversed()
}

async function firstManifest(request: RunRequest, startedAt: Date, path: string): Promise<Manifest> {
  const { connection, signal, matrixName, matrix, testbedName, image, accelerator, plan, vmrVersion } = request
  return {
    format: resultsFormat,
    run: path.split('/').at(-1) ?? path,
    vmr: vmrVersion,
    startedAt: startedAt.toISOString(),
    matrix: { name: matrixName, definition: matrix },
    resumedAt: [],
    selection: {},
    seed: randomInt(2 ** 31),
    testbed: testbedName,
    guest: { name: image.kind, label: 'lab router (not VyOS)', version: image.digest },
    accelerator,
    host: await gatherHostFacts(localShell, { signal }),
    libvirt: { version: await connection.libvirtVersion({ signal }), uri: connection.uri },
    qemu: await connection.hypervisorVersion({ signal }),
    guests: {},
    capabilities: {},
    setups: {},
    costs: { boot: [], switchMode: [], configure: [], enterHost: [], cell: [] },
    planned: plan.cells.map(({ id }) => id),
  }
}
