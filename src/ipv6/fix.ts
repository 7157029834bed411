import { readFile } from 'node:fs/promises'
import writeFileAtomic from 'write-file-atomic'
import { findNicMode, loadNicModes } from '../domain/nic-modes.ts'
import { VmrError } from '../errors/vmr-error.ts'
import { hasErrno, writeError } from '../errors/write-error.ts'
import type { Connection } from '../libvirt/index.ts'
import { interfaceKeeper } from '../os/vyos/keep-interface.ts'
import { runChecked } from '../shell/shell.ts'
import type { Testbed } from '../testbed/testbed.ts'
import { findVm } from '../vm/find-vm.ts'
import { prepareSwitch, switchRunning } from '../vm/switch/switch-vm.ts'
import type { NamedFault } from './diagnosis.ts'
import { probeOnce } from './evidence/observe.ts'
import type { Evidence } from './evidence/schema.ts'
import { guestKey, isHost } from './evidence/topology.ts'
import type { Fix, LiveChange } from './faults/fault.ts'
import type { ReachedVm } from './observe-vm.ts'
import { argvOf } from './prove.ts'

/** The safest fix that vmr can make while the VM runs: one that lasts before one that does not. */
export function chooseFix({ fixes }: NamedFault, { vm }: Evidence): Fix | undefined {
  return (
    fixes.find(({ switchTo }) => switchTo !== undefined && vm.ours) ?? fixes.find(({ change }) => change !== undefined)
  )
}

export interface FixRequest {
  readonly connection: Connection
  readonly machines: ReachedVm['machines']
  readonly evidence: Evidence
  readonly testbed: Testbed | undefined
  readonly signal: AbortSignal
}

/** What was made of a fix. */
export interface AppliedFix {
  readonly what: string
  /** Where it is kept, so that it is there after a restart too; or why it is not, and what keeps it. */
  readonly kept: { readonly in: string } | { readonly not: string }
  /** Ids of paths that the fault broke, and that are reached now. */
  readonly reached: readonly string[]
  readonly stillBroken: readonly string[]
}

/**
 * Makes a fix, now and where it is kept, then probes what the fault broke. The caller holds the VM's lock.
 *
 * @throws VmrError of what failed; HOST_PERMISSION where the host's settings cannot be kept.
 */
export async function applyFix(named: NamedFault, fix: Fix, request: FixRequest): Promise<AppliedFix> {
  const kept = await make(fix, request)
  const { machines, evidence, signal } = request
  const works: string[] = []
  const broken: string[] = []
  for (const path of evidence.paths.filter(({ id }) => named.paths.includes(id)))
    ((await probeOnce(path, machines, signal)).received > 0 ? works : broken).push(path.id)
  return { what: fix.what, kept, reached: works, stillBroken: broken }
}

async function make({ switchTo, change }: Fix, request: FixRequest): Promise<AppliedFix['kept']> {
  if (switchTo !== undefined && request.evidence.vm.ours) return switchNic(switchTo, request)
  const machine = change === undefined ? undefined : request.machines.get(change.machine)
  if (change === undefined || machine === undefined) throw new RangeError('this fix is for a person to make')
  await runChecked(machine.shell, [...machine.asRoot, ...argvOf(change, change.value)], { signal: request.signal })
  return keep(change, request)
}

/** As `vmr vm switch` does: the running VM, then its definition. */
async function switchNic(
  { nic, mode }: NonNullable<Fix['switchTo']>,
  { connection, machines, evidence, testbed, signal }: FixRequest,
): Promise<AppliedFix['kept']> {
  const { name } = evidence.vm
  const guest = machines.get(guestKey)?.shell
  if (guest === undefined) throw new VmrError('GUEST_CONSOLE_LOST', `the guest of ${name} cannot be reached`)
  const vm = await findVm(connection, name, signal)
  const modes = await loadNicModes()
  const wanted = { modes, to: findNicMode(modes, mode), links: testbed?.links ?? [], only: [nic] }
  const plan = await prepareSwitch(connection, vm, wanted, { signal })
  const keeper = interfaceKeeper(guest)
  try {
    await switchRunning(connection, vm, plan, { signal, guest, keeper })
  } finally {
    await keeper.close()
  }
  return { in: `the definition of ${name}` }
}

/** Read by systemd-sysctl at each start, after the system's own (sysctl.d(5)). */
const sysctlFile = '/etc/sysctl.d/90-vmr.conf'

async function keep(change: LiveChange, { evidence, machines }: FixRequest): Promise<AppliedFix['kept']> {
  const { machine, kind } = change
  if (machine === guestKey)
    return {
      not: `nothing keeps it over a restart of ${evidence.vm.name}: set it in the guest’s configuration and save`,
    }
  if (!isHost(machine))
    return {
      not:
        machines.get(machine)?.netns === undefined
          ? 'set it in that machine’s configuration'
          : 'a PC of the lab keeps nothing',
    }
  if (kind === 'sysctl') {
    await keepSysctl(change.key, change.value)
    return { in: sysctlFile }
  }
  const { link, attribute } = change
  if (evidence.nics.some(({ target }) => target === link))
    return { not: `libvirt makes ${link} anew at the next start of ${evidence.vm.name}, as its definition says` }
  return {
    not: `set ${attribute} of ${link} where this host’s network is configured: in netplan, networkd or interfaces`,
  }
}

async function keepSysctl(key: string, value: string): Promise<void> {
  let lines: readonly string[] = []
  try {
    lines = (await readFile(sysctlFile, 'utf8')).split('\n').filter((line) => line !== '')
  } catch (error) {
    if (!hasErrno(error, 'ENOENT')) throw error
  }
  const others = lines.filter((line) => line.split('=')[0]?.trim() !== key)
  try {
    await writeFileAtomic(sysctlFile, `${[...others, `${key} = ${value}`].join('\n')}\n`, { mode: 0o644 })
  } catch (error) {
    throw writeError(sysctlFile, error, { permission: 'Run vmr as root.' })
  }
}
