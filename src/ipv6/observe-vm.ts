import type { DomainFacts } from '../domain/domain-facts.ts'
import { readDomainFacts } from '../domain/domain-facts.ts'
import { VmrError } from '../errors/vmr-error.ts'
import type { Connection, Domain } from '../libvirt/index.ts'
import { readLinks, readNeighbours } from '../os/linux/ip-json.ts'
import { abortableUntilDone } from '../shell/abort.ts'
import { localShell } from '../shell/local.ts'
import { netnsShell } from '../shell/netns.ts'
import type { ConsoleSession } from '../shell/serial/login.ts'
import { serialShell } from '../shell/serial/serial-shell.ts'
import type { Shell } from '../shell/shell.ts'
import type { Testbed } from '../testbed/testbed.ts'
import type { Journal } from '../undo/journal.ts'
import { journaledShell } from '../undo/journaled-shell.ts'
import { openSession } from '../vm/boot.ts'
import { findDomain } from '../vm/find-vm.ts'
import { type GuestSystem, guestAccess } from '../vm/guest-access.ts'
import { withLibvirt } from '../vm/libvirt-failure.ts'
import { type FarMachine, type ObservedMachine, type ObserveRequest, observe } from './evidence/observe.ts'
import type { Evidence, NicEvidence } from './evidence/schema.ts'
import { guestKey, hostKey } from './evidence/topology.ts'
import { withinSeconds } from './time-limit.ts'

export interface VmToObserve {
  readonly connection: Connection
  readonly name: string
  /** What is at the other ends of the uplinks; undefined where nobody knows. */
  readonly testbed: Testbed | undefined
  /** Log in to the guest of a VM that vmr did not make, with the factory login of VyOS. */
  readonly mayLogIn: boolean
  /** The guest's console, where it is open already. */
  readonly console?: Shell
  /** How long the guest may take to its prompt. */
  readonly promptMs?: number
  /** Captures are in it until they have ended. */
  readonly journal: Journal
  readonly select?: ObserveRequest['select']
  /** Another VM of vmr's, which is logged in to as well: whether the two reach each other. */
  readonly peer?: string
  readonly signal: AbortSignal
  readonly onProgress?: (activity: string) => void
}

/** A machine that commands can be run on, in which network namespace of this host it is, if it is in one. */
export type ReachableMachine = ObservedMachine & { readonly netns?: string }

/** By their keys in the evidence. */
export type ReachedMachines = ReadonlyMap<string, ReachableMachine>

export interface ObservedVm {
  readonly evidence: Evidence
  readonly machines: ReachedMachines
}

/** A running VM and whatever is at its other ends, ready to be looked into, as often as is wanted. */
export interface ReachedVm {
  readonly domain: Domain
  /** Undefined where vmr did not make it. */
  readonly os: GuestSystem | undefined
  readonly machines: ReachedMachines
  observe(signal: AbortSignal): Promise<Evidence>
  /** Lets go of the guest's console. */
  close(): Promise<void>
}

const slowHint = 'Guest or host answer too slowly; --family with --direction asks for less.'

/** A running domain's name and how it is attached, whoever made it. */
async function runningDomain(
  connection: Connection,
  name: string,
  signal: AbortSignal,
): Promise<{ readonly domain: Domain; readonly facts: DomainFacts; readonly state: string }> {
  const domain = await findDomain(connection, name, signal)
  if (domain === undefined) throw new VmrError('VM_NOT_FOUND', `there is no VM ${name}`, { hint: 'See `vmr vm list`.' })
  const { state } = await withLibvirt(`reading the state of ${name}`, () => connection.domainState(domain, { signal }))
  if (state !== 'running')
    throw new VmrError('VM_NOT_RUNNING', `${name} is ${state}: only a VM that runs can be diagnosed`, {
      hint: state === 'paused' ? `Resume it: virsh resume ${name}` : `Start it: vmr vm start ${name}`,
    })
  const xml = await withLibvirt(`reading the XML of ${name}`, () => connection.domainXml(domain, { signal }))
  return { domain, facts: readDomainFacts(xml, `live XML of ${name}`), state }
}

/**
 * Observes a running VM from every machine that may be looked into, then hands the evidence, and the machines while they
 * can still be reached, to the task. The time limit is that of the observation.
 *
 * @throws VmrError as of {@link reachVm}; TIMED_OUT.
 */
export async function withObservedVm<T>(
  { seconds, ...request }: VmToObserve & { readonly seconds: number },
  task: (observed: ObservedVm) => Promise<T>,
): Promise<T> {
  let activity = 'logging in'
  const onProgress = (now: string) => {
    activity = now
    request.onProgress?.(now)
  }
  const { reached, evidence } = await withinSeconds(
    { seconds, what: () => `the diagnosis of ${request.name} (${activity})`, hint: slowHint, signal: request.signal },
    async (signal) => {
      const reached = await reachVm({ ...request, onProgress, signal })
      try {
        return { reached, evidence: await reached.observe(signal) }
      } catch (error) {
        await reached.close()
        throw error
      }
    },
  )
  try {
    return await task({ evidence, machines: reached.machines })
  } finally {
    await reached.close()
  }
}

/**
 * Looks up how a running VM is attached, and logs in to its guest where that is allowed.
 *
 * @throws VmrError VM_NOT_FOUND, VM_NOT_RUNNING; GUEST_CONSOLE_BUSY and what logging in throws for a VM of vmr's own;
 * VM_NOT_OURS for a peer that vmr did not make.
 */
export async function reachVm(request: VmToObserve): Promise<ReachedVm> {
  const { connection, peer, testbed, signal, onProgress } = request
  if (peer === undefined) return reachBeside(undefined, request)
  const { domain, facts } = await runningDomain(connection, peer, signal)
  if (facts.vmr === undefined)
    throw new VmrError('VM_NOT_OURS', `vmr did not make ${peer}, so it does not log in there`, {
      hint: `Have it taken over: vmr vm adopt ${peer}`,
    })
  onProgress?.(`logging in to ${peer}`)
  const session = await openRunning(connection, domain, facts, request)
  const shell = serialShell(session)
  const close = async () => {
    await shell.close()
    await session.close()
  }
  try {
    const reached = await reachBeside({ name: peer, nics: nicsOf(facts, testbed), shell }, request)
    return {
      ...reached,
      close: async () => {
        await reached.close()
        await close()
      },
    }
  } catch (error) {
    await close()
    throw error
  }
}

interface Peer {
  readonly name: string
  readonly nics: readonly NicEvidence[]
  readonly shell: Shell
}

/** It runs already: a prompt that does not come within this does not come. */
const promptLimitMs = 20_000

/** A console ends when the signal that it was opened with is aborted, and what was changed is taken back through it. */
function openRunning(
  connection: Connection,
  domain: Domain,
  { vmr, accelerator }: DomainFacts,
  { signal, promptMs = promptLimitMs }: Pick<VmToObserve, 'signal' | 'promptMs'>,
): Promise<ConsoleSession> {
  const access = guestAccess(vmr?.os ?? 'vyos', accelerator ?? 'tcg')
  return abortableUntilDone(signal, (opening) =>
    openSession(connection, domain, { ...access, timeoutMs: promptMs, signal: opening }),
  )
}

/** The other VM where it is on the same network of this host as a NIC. */
function peerOn(nic: NicEvidence, { name, nics, shell }: Peer): readonly FarMachine[] {
  return nics.flatMap((other) =>
    nic.source !== undefined && other.source === nic.source && other.target !== undefined
      ? [
          {
            ...{ kind: 'vm', name, nic: other.name, mac: other.mac, tap: other.target },
            machine: { shell, asRoot: ['sudo', '-n'] },
          } as const,
        ]
      : [],
  )
}

async function reachBeside(peer: Peer | undefined, request: VmToObserve): Promise<ReachedVm> {
  const { connection, name, testbed, mayLogIn, console, journal, select, signal, onProgress } = request
  const { domain, facts, state } = await runningDomain(connection, name, signal)
  const metadata = facts.vmr
  const host: ObservedMachine = { shell: journaledShell(localShell, journal), asRoot: [] }
  const defined = await definedNics(connection, domain, signal)
  const nics = nicsOf(facts, testbed).map((nic) => {
    const trust = defined.find(({ mac }) => mac === nic.mac)?.trustGuestRxFilters ?? nic.trust
    return trust === nic.trust ? nic : { ...nic, definedTrust: trust }
  })
  const unknowns: Evidence['unknowns'] = []
  const farEnds = new Map<string, readonly (FarMachine & { readonly machine: ReachableMachine })[]>()
  const intended = new Map<string, readonly string[]>()
  for (const nic of nics) {
    const link = testbed?.links.find(({ uplink }) => uplink === nic.uplink)
    const reached = link === undefined || nic.type === 'direct' ? await fromHost(nic, signal) : undefined
    const others = [
      ...(reached === undefined ? [] : [{ kind: 'host', name: 'host', nic: reached.link, machine: host } as const]),
      ...(peer === undefined ? [] : peerOn(nic, peer)),
    ]
    if (link !== undefined) {
      const netns = link.pc.shell.name
      const machine = { shell: journaledShell(netnsShell(netns), journal), asRoot: [], netns }
      farEnds.set(nic.name, [{ kind: 'pc', name: link.pc.name, nic: link.pc.interface, machine }, ...others])
      intended.set(nic.name, link.dut.addresses)
    } else {
      farEnds.set(nic.name, others)
      if (reached !== undefined) intended.set(nic.name, reached.addresses)
      unknowns.push({
        what: `no PC beyond ${nic.source ?? nic.name} is under control: whether one reaches ${nic.name} cannot be known from here. On such a PC run, with the VM’s address:`,
        command: 'ip -6 neighbour flush dev eth0; ping -6 -c 3 ADDRESS; ip -6 neighbour show ADDRESS',
      })
    }
  }
  const vm = { name, ours: metadata !== undefined, state }
  const reached = (guest: ObservedMachine | undefined, close: ReachedVm['close']): ReachedVm => {
    const machines = new Map<string, ReachableMachine>([[hostKey, host]])
    if (guest !== undefined) machines.set(guestKey, guest)
    for (const far of [...farEnds.values()].flat()) machines.set(`pc:${far.name}`, far.machine)
    return {
      ...{ domain, os: metadata?.os, machines, close },
      observe: (observing) =>
        observe({
          ...{ vm, host, guest, nics, farEnds, intended, unknowns, signal: observing },
          ...(select === undefined ? {} : { select }),
          ...(onProgress === undefined ? {} : { onProgress }),
        }),
    }
  }
  if (console !== undefined) return reached({ shell: console, asRoot: ['sudo', '-n'] }, async () => undefined)
  if (metadata === undefined && !mayLogIn) {
    unknowns.push({
      what: `vmr did not make ${name}, so it does not log in there: what its guest has and sees is not known`,
      command: `vmr diagnose ${name} --log-in`,
    })
    return reached(undefined, async () => undefined)
  }
  onProgress?.('logging in')
  const session = await openRunning(connection, domain, facts, request)
  const shell = serialShell(session)
  return reached({ shell, asRoot: ['sudo', '-n'] }, async () => {
    await shell.close()
    await session.close()
  })
}

/** What the next start gives it; nothing for a domain that is gone when it stops. */
async function definedNics(connection: Connection, domain: Domain, signal: AbortSignal): Promise<DomainFacts['nics']> {
  const xml = await withLibvirt(`reading the definition of ${domain.name}`, () =>
    connection.domainXml(domain, { inactive: true, signal }),
  )
  return readDomainFacts(xml, `XML of ${domain.name}`).nics
}

/** How a domain is attached, and to which uplinks. */
export function nicsOf(facts: DomainFacts, testbed: Testbed | undefined): readonly NicEvidence[] {
  return facts.nics.flatMap((nic, index) => {
    if (nic.mac === undefined) return []
    const noted = facts.vmr?.nics.find(({ mac }) => mac === nic.mac)
    const uplink =
      noted?.uplink ?? testbed?.links.find((link) => link.uplink === nic.source || link.bridge === nic.source)?.uplink
    return [
      {
        name: `eth${noted?.position ?? index}`,
        mac: nic.mac,
        type: nic.type,
        trust: nic.trustGuestRxFilters,
        linkState: nic.link,
        ...(nic.source === undefined ? {} : { source: nic.source }),
        ...(nic.macvtapMode === undefined ? {} : { macvtapMode: nic.macvtapMode }),
        ...(nic.target === undefined ? {} : { target: nic.target }),
        ...(uplink === undefined ? {} : { uplink }),
      },
    ]
  })
}

/** The host itself, where it has an address on the VM's bridge or NIC, and what it knows of the VM's addresses there. */
async function fromHost(
  { type, source, mac }: NicEvidence,
  signal: AbortSignal,
): Promise<{ readonly link: string; readonly addresses: readonly string[] } | undefined> {
  if (!/^(bridge|network|direct)$/.test(type) || source === undefined) return undefined
  const [link] = await readLinks(localShell, { name: source, signal })
  if (link === undefined || link.addr_info.length === 0) return undefined
  // Nothing comes by a macvtap to the host that it could know of its guest.
  if (type === 'direct') return { link: source, addresses: [] }
  const neighbours = await readNeighbours(localShell, { name: source, signal })
  return {
    link: source,
    addresses: neighbours.flatMap(({ dst, lladdr }) => {
      if (lladdr !== mac || /^fe80:/i.test(dst)) return []
      const prefix = link.addr_info.find(({ family }) => (family === 'inet6') === dst.includes(':'))?.prefixlen
      return prefix === undefined ? [] : [`${dst}/${prefix}`]
    }),
  }
}
