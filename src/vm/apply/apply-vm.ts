import { stat } from 'node:fs/promises'
import type { DomainDefinition } from '../../config/domain-definition.ts'
import { type DomainFacts, nicFacts } from '../../domain/domain-facts.ts'
import { findNicMode, type NicModes } from '../../domain/nic-modes.ts'
import { buildXml } from '../../domain/xml/build.ts'
import { firstChild, withChild, withoutChildren, type XmlElement } from '../../domain/xml/element.ts'
import { VmrError } from '../../errors/vmr-error.ts'
import { hasErrno } from '../../errors/write-error.ts'
import type { Connection } from '../../libvirt/index.ts'
import { interfaceKeeper } from '../../os/vyos/keep-interface.ts'
import { localShell } from '../../shell/local.ts'
import type { Testbed } from '../../testbed/testbed.ts'
import { findVm, type Vm } from '../find-vm.ts'
import { withLibvirt } from '../libvirt-failure.ts'
import { shutDown } from '../power.ts'
import { type Started, startVm } from '../start.ts'
import { makeStorage, type PlannedStorage } from '../storage.ts'
import { liveFacts, noteLive, withGuest } from '../switch/finish-switch.ts'
import { findNic } from '../switch/plan-switch.ts'
import { prepareSwitch, switchRunning } from '../switch/switch-vm.ts'
import { withVmJournal } from '../uplink-uses.ts'
import { domainChanges } from './domain-changes.ts'
import type { ApplyPlan } from './plan-apply.ts'

/** How long a guest may take to shut down by itself before a restart ends it. */
const shutdownLimitMs = 30_000

/**
 * What a VM was made with counts where its definition leaves it open: the MAC addresses (those of a VM that was renamed or
 * cloned are not those of its name), and the modes of its NICs unless another is asked for.
 */
export function asItIs(definition: DomainDefinition, { metadata }: Vm, mode: string | undefined): DomainDefinition {
  const noted = (position: number) => metadata.nics.find((nic) => nic.position === position)
  const nics = definition.nics.map((nic, position) => ({
    ...nic,
    mac: nic.mac ?? noted(position)?.mac,
    mode: nic.mode ?? mode ?? noted(position)?.mode,
  }))
  const { management } = definition
  if (management === undefined) return { ...definition, nics }
  return { ...definition, nics, management: { ...management, mac: management.mac ?? noted(nics.length)?.mac } }
}

export interface ApplyOptions {
  readonly wanted: DomainFacts
  readonly definition: DomainDefinition
  readonly storage: PlannedStorage
  readonly modes: NicModes
  readonly testbed: Testbed
  /** Restart the VM for what takes effect at its next start. */
  readonly restart: boolean
  readonly signal: AbortSignal
  readonly onProgress: (activity: string) => void
}

/**
 * Brings a VM to what its definition says: first what the running VM can have, one NIC at a time, then the definition.
 * The caller holds the VM's lock.
 *
 * @returns how it came up again, where it was restarted.
 * @throws VmrError of what failed. NICs that were switched stay as the definition wants them; running it again goes on.
 */
export async function applyVm(
  connection: Connection,
  vm: Vm,
  plan: ApplyPlan,
  options: ApplyOptions,
): Promise<Started | undefined> {
  const { storage, restart, signal, onProgress } = options
  if (plan.switches.size > 0) await switchNics(connection, vm, plan, options)
  for (const mac of plan.updates) {
    onProgress(`updating ${nameOf(vm, mac)}`)
    await updateNic(connection, vm, mac, options)
  }
  if (plan.changesDefinition) {
    onProgress('defining the VM')
    await withVmJournal(vm.domain.name, async (journal) => {
      await makeStorage(await missing(storage), { journal, shell: localShell, signal })
    })
    await withLibvirt(`defining ${vm.domain.name}`, () =>
      connection.defineDomain(buildXml(plan.definition), { validate: true, signal }),
    )
  }
  const running = await connection.isDomainActive(vm.domain, { signal })
  const waits = plan.changes.some(({ effect }) => effect === 'at the next start')
  if (!restart || !running || !waits) {
    if (running) await noteLive(connection, vm.domain, plan.metadata)
    return undefined
  }
  onProgress('shutting it down')
  await shutDown(connection, vm, { timeoutMs: shutdownLimitMs, signal })
  return startVm(connection, await findVm(connection, vm.domain.name, signal), { signal, onProgress })
}

/** One at a time, each by its own mode and source. */
async function switchNics(connection: Connection, vm: Vm, plan: ApplyPlan, options: ApplyOptions): Promise<void> {
  const { definition, modes, testbed, signal, onProgress } = options
  await withGuest(
    connection,
    vm,
    async (guest) => {
      const keeper = interfaceKeeper(guest)
      for (const [mac, mode] of plan.switches) {
        const now = await findVm(connection, vm.domain.name, signal)
        const position = now.metadata.nics.find((nic) => nic.mac === mac)?.position ?? 0
        const wanted = {
          ...{ modes, to: findNicMode(modes, mode), only: [`eth${position}`], links: testbed.links },
          source: definition.nics[position]?.source,
        }
        const switching = await prepareSwitch(connection, now, wanted, { signal, onProgress })
        await switchRunning(connection, now, switching, { signal, onProgress, guest, keeper })
      }
      await keeper.close()
    },
    signal,
  )
}

/** Parts of an interface that update-device changes while it runs. */
const updated = ['link', 'bandwidth'] as const

/** libvirt at times answers that it updated a device and leaves it as it was, so its live XML is asked. */
async function updateNic(connection: Connection, vm: Vm, mac: string, { wanted, signal }: ApplyOptions): Promise<void> {
  const { name } = vm.domain
  const what = `${nameOf(vm, mac)} of ${name}`
  const live = async () => {
    const nic = findNic(await liveFacts(connection, vm.domain, signal), mac)
    if (nic !== undefined) return nic
    throw new VmrError('LIBVIRT_FAILED', `${what} is gone`, { hint: `See: vmr vm show ${name}` })
  }
  const target = findNic(wanted, mac)
  if (target === undefined) return
  const element = updated.reduce<XmlElement>(
    (at, part) => {
      const child = firstChild(target.element, part)
      // Without the element libvirt leaves a link that is down as it is.
      if (child === undefined && part === 'link')
        return withChild(at, { kind: 'element', name: 'link', attributes: { state: 'up' }, children: [] })
      return child === undefined ? withoutChildren(at, part) : withChild(at, child)
    },
    (await live()).element,
  )
  await withLibvirt(`updating ${what}`, () =>
    connection.updateDevice(vm.domain, buildXml(element), { live: true, signal }),
  )
  const left = domainChanges(nicFacts(target.element, 0).element, (await live()).element).filter(({ what }) =>
    updated.some((part) => what === part || what.startsWith(`${part} `)),
  )
  if (left.length > 0)
    throw new VmrError('LIBVIRT_FAILED', `libvirt says that it updated ${what}, and ${left[0]?.what} is as it was`, {
      hint: 'Restart the VM: vmr apply … --restart',
    })
}

function nameOf({ metadata }: Vm, mac: string): string {
  const nic = metadata.nics.find((each) => each.mac === mac)
  return nic === undefined ? mac : `eth${nic.position}`
}

/** What is there already is the VM's own, from before. */
async function missing({ toMake }: PlannedStorage): Promise<PlannedStorage['toMake']> {
  const there = await Promise.all(
    toMake.map(async ({ file }) => {
      try {
        await stat(file)
        return true
      } catch (error) {
        if (hasErrno(error, 'ENOENT')) return false
        throw error
      }
    }),
  )
  return toMake.filter((_file, index) => !there[index])
}
