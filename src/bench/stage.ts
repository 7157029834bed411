import { isDeepStrictEqual } from 'node:util'
import type { LoadedDomainDefinition } from '../config/load-domain-definition.ts'
import { type NetworkConfig, networkConfigSchema } from '../config/network-config.ts'
import type { Accelerator } from '../domain/domain-xml.ts'
import { findNicMode, type NicModes } from '../domain/nic-modes.ts'
import type { LabImage } from '../image/lab-image.ts'
import type { Connection, Domain } from '../libvirt/index.ts'
import { linuxOs } from '../os/linux/linux-os.ts'
import { interfaceKeeper } from '../os/vyos/keep-interface.ts'
import { vyosOs } from '../os/vyos/vyos-os.ts'
import { waitUntilAllUsable } from '../os/wait-until-usable.ts'
import { gatherHostFacts } from '../results/host-facts.ts'
import { readInterfaceFacts } from '../results/interface-facts.ts'
import type { Actor, Costs, HostFacts, SetupFacts } from '../results/schema.ts'
import { localShell } from '../shell/local.ts'
import { serialShell } from '../shell/serial/serial-shell.ts'
import type { HostCapabilities } from '../testbed/host-capabilities.ts'
import { openFarEnd } from '../testbed/lab/far-end.ts'
import { enterHostDut } from '../testbed/lab/host-dut.ts'
import { labUp } from '../testbed/lab/lab.ts'
import { type Machine, pcMachines } from '../testbed/machine.ts'
import type { Testbed } from '../testbed/testbed.ts'
import { type Journal, openJournal } from '../undo/journal.ts'
import { journaledShell } from '../undo/journaled-shell.ts'
import { undoAll } from '../undo/undo-all.ts'
import { createVm, planVm, vmPurpose } from '../vm/create.ts'
import { undoExecutors } from '../vm/domain-undo.ts'
import { findVm } from '../vm/find-vm.ts'
import { prepareSwitch, switchRunning } from '../vm/switch/switch-vm.ts'
import { withVmLock } from '../vm/vm-lock.ts'
import type { Bench, UsageSource } from './bench.ts'
import {
  type CaseSetup,
  caseLinks,
  type DutInterface,
  type KernelNeed,
  linkOfRole,
  type Role,
} from './cases/bench-case.ts'
import { findCase, withAddressForm } from './cases/index.ts'
import { hopsOf } from './hops.ts'
import { farVmLinks, lackOf, type PlannedCell, setupOf } from './plan.ts'
import { recordEvidence } from './record-evidence.ts'

export interface StageRequest {
  readonly connection: Connection
  readonly definition: LoadedDomainDefinition
  readonly modes: NicModes
  readonly testbedName: string
  readonly testbed: Testbed
  readonly image: LabImage
  readonly accelerator: Accelerator
  readonly journalDirectory: string
  /** Of the run: what the lab is made of. */
  readonly journal: Journal
  readonly vmrVersion: string
  readonly capabilities: Pick<HostCapabilities, KernelNeed>
  readonly signal: AbortSignal
  readonly onProgress: (activity: string) => void
  /** Called with what each step took, in seconds. */
  readonly onCost: (kind: keyof Costs, seconds: number) => void
}

/** What a set-up's cells are measured on. */
export type StagedSetup = Pick<Bench, 'setup' | 'machines' | 'actors' | 'hops' | 'observe' | 'usage' | 'vmNames'> & {
  readonly facts: SetupFacts
  /** Of VMs that were booted for it. */
  readonly guests: Readonly<Record<string, HostFacts>>
}

/** The machines of a run: who is the DUT right now, and what they are configured with. */
export interface Stage {
  /** Makes the machines what the cell's set-up needs, with as few changes as can be. What fails leaves the stage as it is. */
  enter(cell: PlannedCell): Promise<StagedSetup>
  /** Takes everything down: the next set-up begins anew. */
  clear(): Promise<void>
}

const dutVmName = 'vmr-bench'
const farVmName = (link: number) => `vmr-bench-pc${link + 1}`
/** A VM in a PC's place has its link for itself, and its multicast filter follows it. */
const farVmMode = 'macvtap-passthrough-trust'
const usableMs = 30_000

/** Something that stands until it is closed; its journal takes it back when nobody does. */
interface Standing<T> {
  readonly value: T
  close(): Promise<void>
}

interface HostStanding {
  readonly kind: 'host'
  readonly machine: Machine
  readonly interfaces: readonly DutInterface[]
}

interface VmStanding {
  readonly kind: 'vm'
  readonly mode: string
  readonly name: string
  readonly domain: Domain
  readonly domainXml: string
  readonly machine: Machine
  readonly interfaces: readonly DutInterface[]
  readonly facts: HostFacts
  /** Of what was made for it. */
  readonly journal: Journal
}

interface Configured {
  readonly setupName: string
  readonly caseName: string
  readonly form: PlannedCell['form']
  /** Something was set only after the rest. */
  readonly later: boolean
  readonly staged: StagedSetup
  /** In the order made. */
  readonly configs: readonly MadeConfig[]
}

interface MadeConfig {
  readonly role: Role
  readonly machine: Machine
  readonly config: NetworkConfig
}

export function createStage(request: StageRequest): Stage {
  const { testbed, journal, signal, capabilities, onProgress, onCost } = request
  let pcs = newPcs()
  let dut: Standing<HostStanding | VmStanding> | undefined
  let configured: Configured | undefined
  let labIsUp = false
  const farEnds = new Map<number, Standing<VmStanding>>()

  function newPcs(): readonly Machine[] {
    return pcMachines(testbed).map((pc) => ({ ...pc, shell: journaledShell(pc.shell, journal) }))
  }

  async function standing<T>(
    purpose: string,
    make: (journal: Journal) => Promise<{ readonly value: T; readonly before?: () => Promise<void> }>,
  ): Promise<Standing<T>> {
    const own = await openJournal({ directory: request.journalDirectory, purpose })
    const takeBack = async () => {
      try {
        await undoAll(own, { executors: undoExecutors })
      } finally {
        await own.close()
      }
    }
    try {
      const { value, before } = await make(own)
      return {
        value,
        close: async () => {
          try {
            await before?.()
          } finally {
            await takeBack()
          }
        },
      }
    } catch (error) {
      await takeBack().catch(() => undefined)
      throw error
    }
  }

  /** Runs a step and tells what it took; returns the seconds too. */
  async function timed<T>(
    kind: keyof Costs,
    task: () => Promise<T>,
  ): Promise<{ readonly value: T; readonly seconds: number }> {
    const start = performance.now()
    const value = await task()
    const seconds = (performance.now() - start) / 1000
    onCost(kind, seconds)
    return { value, seconds }
  }

  const becomeHost = () =>
    standing<HostStanding>('bench: host as the device under test', async (own) => {
      const { machine, interfaces, leave } = await enterHostDut(testbed, { journal: own, signal })
      return { value: { kind: 'host', machine, interfaces }, before: leave }
    })

  const bootVm = (
    name: string,
    mode: string,
    definition: LoadedDomainDefinition,
    prepare?: (own: Journal) => Promise<void>,
  ) =>
    standing<VmStanding>(vmPurpose(name), async (own) => {
      await prepare?.(own)
      const plan = await planVm({ ...request, definition, name, mode })
      const vm = await createVm(request.connection, plan, {
        journal: own,
        signal,
        accelerator: request.accelerator,
        onProgress: (activity) => onProgress(`${name}: ${activity}`),
      })
      const shell = serialShell(vm.session)
      const close = async () => {
        await shell.close()
        await vm.session.close()
      }
      try {
        return {
          value: {
            kind: 'vm',
            mode,
            name,
            domain: vm.domain,
            domainXml: await request.connection.domainXml(vm.domain, { signal }),
            machine: { name, shell, os: vyosOs },
            interfaces: plan.nics.nics.map(({ mac }, position) => ({ name: `eth${position}`, mac })),
            facts: await gatherHostFacts(shell, { signal }),
            journal: own,
          },
          before: close,
        }
      } catch (error) {
        await close()
        throw error
      }
    })

  /** A VM at the far end of a link, where the PC's namespace is. */
  async function bootFarVm(position: number): Promise<Standing<VmStanding>> {
    const link = testbed.links[position]
    if (link === undefined) throw new RangeError(`the testbed has no link ${position + 1}`)
    const { definition } = request.definition
    const far = await standing('bench: far end', async (own) => ({
      value: await openFarEnd(link, { journal: own, signal }),
    }))
    try {
      const vm = await bootVm(farVmName(position), farVmMode, {
        ...request.definition,
        definition: { ...definition, nics: [{ uplink: far.value }] },
      })
      return {
        value: vm.value,
        close: async () => {
          try {
            await vm.close()
          } finally {
            await far.close()
          }
        },
      }
    } catch (error) {
      await far.close().catch(() => undefined)
      throw error
    }
  }

  /** The same VM in another mode: its NICs change places, and the guest goes on. */
  async function switchVm(standingVm: VmStanding, mode: string): Promise<VmStanding> {
    const { connection, modes } = request
    const { name, machine } = standingVm
    const keeper = interfaceKeeper(machine.shell)
    try {
      await withVmLock(name, { signal }, async () => {
        const vm = await findVm(connection, name, signal)
        const wanted = { modes, to: findNicMode(modes, mode), links: testbed.links }
        const options = { signal, onProgress: (activity: string) => onProgress(`${name}: ${activity}`) }
        const plan = await prepareSwitch(connection, vm, wanted, options)
        await switchRunning(connection, vm, plan, {
          ...options,
          guest: machine.shell,
          keeper,
          uplinkJournal: standingVm.journal,
        })
      })
    } finally {
      await keeper.close()
    }
    return { ...standingVm, mode, domainXml: await connection.domainXml(standingVm.domain, { signal }) }
  }

  /** All machines at once, and of each the last first. One that goes takes its configuration with it. */
  async function unconfigure(goes: (role: Role) => boolean): Promise<void> {
    const staying = (configured?.configs ?? []).filter(({ role }) => !goes(role)).toReversed()
    configured = undefined
    const shells = [...new Set(staying.map(({ machine }) => machine.shell))]
    await allEnded(
      shells.map(async (shell) => {
        for (const { machine, config } of staying)
          if (machine.shell === shell) await machine.os.unconfigure(shell, config, { signal })
      }),
    )
  }

  /**
   * Whether what the machines have now can be turned into what the cell needs, without taking everything back: all of
   * them stay what they are, and a change of mode finds the guest with the configuration that it will have.
   */
  function mayStayConfigured(cell: PlannedCell, farLinks: readonly number[]): boolean {
    if (configured === undefined || dut === undefined || dut.value.kind !== cell.dut || !labIsUp) return false
    const sameFarEnds = farLinks.length === farEnds.size && farLinks.every((position) => farEnds.has(position))
    // An address that is added later has to be absent before.
    if (!sameFarEnds || configured.later || cell.form === 'added-later') return false
    const switches = cell.dut === 'vm' && dut.value.kind === 'vm' && dut.value.mode !== cell.mode
    return !switches || (configured.caseName === cell.case && configured.form === cell.form)
  }

  async function clear(): Promise<void> {
    // A PC outlives the run where the lab was there before, and what it still has would be in the next set-up's way.
    const leaving = (configured?.configs ?? []).filter(({ role }) => role !== 'dut' && !farEnds.has(linkOfRole[role]))
    configured = undefined
    for (const { machine, config } of leaving.toReversed())
      await machine.os.unconfigure(machine.shell, config).catch(() => undefined)
    const standingNow = [...farEnds.values(), ...(dut === undefined ? [] : [dut])]
    farEnds.clear()
    dut = undefined
    labIsUp = false
    pcs = newPcs()
    const failures: unknown[] = []
    for (const each of standingNow) await each.close().catch((error: unknown) => failures.push(error))
    if (failures.length > 0) throw failures[0]
  }

  async function enter(cell: PlannedCell): Promise<StagedSetup> {
    const setupName = setupOf(cell)
    if (configured?.setupName === setupName) return configured.staged
    const start = performance.now()
    let otherwise = 0
    const count = <T>({ value, seconds }: { readonly value: T; readonly seconds: number }): T => {
      otherwise += seconds
      return value
    }

    const stays = dut !== undefined && dut.value.kind === cell.dut
    const farLinks = farVmLinks(cell.case, capabilities)
    const leavingFarEnds = [...farEnds].filter(([position]) => !farLinks.includes(position))
    if (!mayStayConfigured(cell, farLinks))
      await unconfigure((role) =>
        role === 'dut' ? !stays : leavingFarEnds.some(([position]) => position === linkOfRole[role]),
      )
    for (const [position] of leavingFarEnds) {
      farEnds.delete(position)
      labIsUp = false
    }
    await allEnded(leavingFarEnds.map(([, farEnd]) => farEnd.close()))
    if (!stays && dut !== undefined) {
      const leaving = dut
      dut = undefined
      // The uplinks come back bare, and without their shape where the host had them.
      if (leaving.value.kind === 'host') labIsUp = false
      await leaving.close()
    }
    if (!labIsUp) {
      onProgress('making the lab')
      // Where a VM stands in a PC's place, the PC must not come back.
      const links = testbed.links.filter((_, position) => !farEnds.has(position))
      await labUp({ ...testbed, links }, { journal, signal })
      labIsUp = true
    }
    for (const position of farLinks) {
      if (farEnds.has(position)) continue
      onProgress(`${setupName}: a VM in the place of PC ${position + 1}`)
      farEnds.set(position, count(await timed('boot', () => bootFarVm(position))))
    }
    if (dut === undefined) {
      onProgress(`${setupName}: bringing up the device under test`)
      dut =
        cell.dut === 'host'
          ? count(await timed('enterHost', becomeHost))
          : count(await timed('boot', () => bootVm(dutVmName, cell.mode, request.definition)))
    }
    if (cell.dut === 'vm' && dut.value.kind === 'vm' && dut.value.mode !== cell.mode) {
      const { value, close } = dut
      onProgress(`${setupName}: switching the mode of the NICs`)
      dut = { value: count(await timed('switchMode', () => switchVm(value, cell.mode))), close }
    }
    const before = configured?.configs ?? []
    configured = undefined
    try {
      configured = await configure(cell, dut.value, before)
    } catch (error) {
      // Nobody knows any more what they have; a PC outlives the run where the lab was there before.
      for (const { role, machine, config } of before)
        if (role !== 'dut') await machine.os.unconfigure(machine.shell, config).catch(() => undefined)
      throw error
    }
    onCost('configure', (performance.now() - start) / 1000 - otherwise)
    return configured.staged
  }

  function machineFor(role: Role, standingDut: HostStanding | VmStanding): Machine {
    if (role === 'dut') return { ...standingDut.machine, name: role }
    const position = linkOfRole[role]
    const machine = farEnds.get(position)?.value.machine ?? pcs[position]
    if (machine === undefined) throw new RangeError(`the testbed has no machine for ${role}`)
    return { ...machine, name: role }
  }

  function actorFor(role: Role, cell: PlannedCell): Actor {
    if (role === 'dut') return { kind: cell.dut === 'host' ? 'host' : 'vm' }
    const need = findCase(cell.case).needs[role]
    if (farEnds.has(linkOfRole[role])) return { kind: 'vm', ...(need === undefined ? {} : { reason: lackOf(need) }) }
    return { kind: 'namespace' }
  }

  async function configure(
    cell: PlannedCell,
    standingDut: HostStanding | VmStanding,
    before: readonly MadeConfig[],
  ): Promise<Configured> {
    const setupName = setupOf(cell)
    const benchCase = findCase(cell.case)
    const setup = withAddressForm(benchCase.setup(caseLinks(testbed, standingDut.interfaces, cell.form)), cell.form)
    const machines = Object.fromEntries(benchCase.roles.map((role) => [role, machineFor(role, standingDut)]))
    onProgress(`${setupName}: configuring`)
    const make = async ({ role, config }: { readonly role: Role; readonly config: NetworkConfig }) => {
      const machine = machines[role]
      if (machine === undefined) throw new RangeError(`nobody plays ${role} in ${cell.case}`)
      const had = before.find((each) => each.machine.shell === machine.shell)
      if (had === undefined) await machine.os.configure(machine.shell, config, { signal })
      else if (!isDeepStrictEqual(had.config, config))
        await machine.os.reconfigure(machine.shell, had.config, config, { signal })
      return { role, machine, config }
    }
    const usable = (made: readonly MadeConfig[]) =>
      Promise.all(
        made.map(({ machine: { os, shell }, config }) =>
          waitUntilAllUsable(os, shell, addressesOf(config), { signal, timeoutMs: usableMs }),
        ),
      )
    const unneeded = before.filter((had) => !Object.values(machines).some(({ shell }) => shell === had.machine.shell))
    for (const { machine, config } of unneeded.toReversed())
      await machine.os.unconfigure(machine.shell, config, { signal })
    const configs: MadeConfig[] = await Promise.all(configsOf(setup.configs).map(make))
    if (setup.later !== undefined) {
      await usable(configs)
      configs.push(...(await Promise.all(configsOf(setup.later).map(make))))
    }
    // Duplicate address detection takes a second or two, in which the rest is read.
    const staged = await stagedSetup(cell, standingDut, setup, machines)
    await usable(configs)
    return {
      setupName,
      caseName: cell.case,
      form: cell.form,
      later: setup.later !== undefined,
      staged,
      configs,
    }
  }

  async function stagedSetup(
    cell: PlannedCell,
    standingDut: HostStanding | VmStanding,
    setup: CaseSetup,
    machines: Readonly<Record<string, Machine>>,
  ): Promise<StagedSetup> {
    const host: Machine = { name: 'host', shell: journaledShell(localShell, journal), os: linuxOs }
    const roles = findCase(cell.case).roles
    const vms = roles.flatMap((role) => {
      const vm = role === 'dut' ? standingDut : farEnds.get(linkOfRole[role])?.value
      return vm?.kind === 'vm' ? [{ role, vm }] : []
    })
    const places = {
      machines,
      uplinks: standingDut.kind === 'host' ? standingDut.machine : host,
      testbed,
      dut:
        standingDut.kind === 'host'
          ? ({ kind: 'host' } as const)
          : ({
              kind: 'vm',
              domainXml: standingDut.domainXml,
              macs: standingDut.interfaces.map(({ mac }) => mac),
            } as const),
    }
    const interfaces = await Promise.all(
      roles.map(async (role) => {
        const machine = machines[role]
        const names =
          role === 'dut'
            ? standingDut.interfaces.map(({ name }) => name)
            : [testbed.links[linkOfRole[role]]?.pc.interface ?? '']
        return [role, machine === undefined ? {} : await readInterfaceFacts(machine.shell, names, { signal })] as const
      }),
    )
    return {
      setup,
      machines,
      actors: Object.fromEntries(roles.map((role) => [role, actorFor(role, cell)])),
      hops: (direction) => hopsOf(direction, places),
      observe:
        standingDut.kind === 'vm'
          ? (family, probes) =>
              recordEvidence({ testbed, machines, host, domainXml: standingDut.domainXml, family, probes, signal })
          : undefined,
      usage: [
        { machine: 'host', shell: localShell, ownProcessor: true },
        ...roles.flatMap((role): UsageSource[] => {
          const machine = machines[role]
          const ownProcessor = vms.some((each) => each.role === role)
          return machine === undefined ? [] : [{ machine: role, shell: machine.shell, ownProcessor }]
        }),
      ],
      vmNames: vms.map(({ vm }) => vm.name),
      facts: {
        ...(standingDut.kind === 'vm' ? { domainXml: standingDut.domainXml } : {}),
        configs: { ...setup.configs },
        interfaces: Object.fromEntries(interfaces),
      },
      guests: Object.fromEntries(vms.map(({ role, vm }) => [role, vm.facts])),
    }
  }

  return { enter, clear }
}

/** Waits for all of them, also when one fails. @throws what the first of those that failed threw. */
async function allEnded(tasks: readonly Promise<void>[]): Promise<void> {
  for (const outcome of await Promise.allSettled(tasks)) if (outcome.status === 'rejected') throw outcome.reason
}

function configsOf(configs: CaseSetup['configs']): readonly { readonly role: Role; readonly config: NetworkConfig }[] {
  return (['pc1', 'pc2', 'remote', 'dut'] as const).flatMap((role) => {
    const config = configs[role]
    return config === undefined ? [] : [{ role, config: networkConfigSchema.parse(config) }]
  })
}

/** Every interface of a configuration that has addresses, with them. */
function addressesOf(config: NetworkConfig): readonly (readonly [string, readonly string[]])[] {
  return [
    ...Object.entries(config.ethernets).flatMap(([name, { addresses, vlans }]) => [
      [name, addresses] as const,
      ...Object.entries(vlans).map(([id, vlan]) => [`${name}.${id}`, vlan.addresses] as const),
    ]),
    ...Object.entries({ ...config.bridges, ...config.tunnels }).map(
      ([name, { addresses }]) => [name, addresses] as const,
    ),
  ].filter(([, addresses]) => addresses.length > 0)
}
