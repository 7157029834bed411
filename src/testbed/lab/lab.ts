import { VmrError } from '../../errors/vmr-error.ts'
import { type LinuxLink, readLinks } from '../../os/linux/ip-json.ts'
import { linuxOs } from '../../os/linux/linux-os.ts'
import { waitUntilUsable } from '../../os/wait-until-usable.ts'
import { localShell } from '../../shell/local.ts'
import { netnsShell } from '../../shell/netns.ts'
import { runChecked } from '../../shell/shell.ts'
import { hostExecutors } from '../../undo/host-executors.ts'
import { withHostLock } from '../../undo/host-lock.ts'
import { type Journal, type JournalContent, listJournals, openJournal, reopenJournal } from '../../undo/journal.ts'
import type { UndoStep } from '../../undo/steps.ts'
import { type UndoneStep, undoAll } from '../../undo/undo-all.ts'
import type { Testbed, TestbedLink } from '../testbed.ts'
import { labParts, observeLink } from './parts.ts'

export interface LabOptions {
  readonly signal?: AbortSignal
}

export interface LabUpOptions extends LabOptions {
  /** Records every namespace and link before it is made. */
  readonly journal: Journal
  /** Called with what is made, in a few words. */
  readonly onProgress?: (activity: string) => void
}

export interface LabDownOptions extends LabOptions {
  /** Where journals are; see journalDirectory(). */
  readonly journalDirectory: string
  readonly onStep?: (undone: UndoneStep) => void
  /** Take the links away from VMs that are attached to them. */
  readonly force?: boolean
}

export interface LabStatus {
  readonly state: 'up' | 'incomplete' | 'down'
  readonly parts: readonly { readonly name: string; readonly there: boolean }[]
}

/** What the journal of a lab that is meant to stay is for: labDown finds it by this. */
export function labPurpose(testbed: Testbed): string {
  return `lab ${testbed.links.map(({ uplink }) => uplink).join(' ')}`
}

/**
 * Makes what is missing of the lab, and waits until the PCs' addresses may be used. Returns what was made: nothing
 * when the lab was up. What is there is not touched, so VMs that use it go on undisturbed.
 *
 * @throws VmrError HOST_PERMISSION, HOST_TOOL_MISSING, HOST_COMMAND_FAILED, HOST_BUSY, INTERRUPTED. What was made until
 * then is in the journal.
 */
export async function labUp(testbed: Testbed, options: LabUpOptions): Promise<readonly string[]> {
  requireRoot('make the lab')
  return withHostLock({ name: labPurpose(testbed), ...signalOf(options) }, async () => {
    const made: string[] = []
    for (const link of testbed.links) made.push(...(await makeLink(link, options)))
    await Promise.all(
      testbed.links.map(({ pc }) =>
        waitUntilUsable(linuxOs, netnsShell(pc.shell.name), pc.interface, pc.addresses, signalOf(options)),
      ),
    )
    return made
  })
}

async function makeLink(link: TestbedLink, options: LabUpOptions): Promise<readonly string[]> {
  const { journal, onProgress } = options
  const made: string[] = []
  let ends = await observeLink(link, signalOf(options))
  if (!ends.namespace && ends.host !== undefined) {
    // Its other end is gone or going with the namespace. Who deletes it first, the kernel or this, is open.
    await localShell.run(['ip', 'link', 'delete', 'dev', link.uplink], signalOf(options))
    ends = await observeLink(link, signalOf(options))
  }
  for (const part of labParts(link)) {
    if (part.isThere(ends)) continue
    onProgress?.(part.name)
    for (const step of part.inverse) await journal.before(step)
    for (const { shell, argv } of part.make(ends)) await runChecked(shell, argv, signalOf(options))
    made.push(part.name)
    // Only these two make others disappear or appear.
    if (part.inverse.length > 0) ends = await observeLink(link, signalOf(options))
  }
  return made
}

export async function labStatus(testbed: Testbed, options: LabOptions = {}): Promise<LabStatus> {
  const parts = (
    await Promise.all(
      testbed.links.map(async (link) => {
        const ends = await observeLink(link, options)
        return labParts(link).map((part) => ({ name: part.name, there: part.isThere(ends) }))
      }),
    )
  ).flat()
  const there = parts.filter((part) => part.there).length
  return { parts, state: there === 0 ? 'down' : there === parts.length ? 'up' : 'incomplete' }
}

/**
 * Removes the whole lab, whoever made it: first what the journals know, then what still has its names.
 *
 * @throws VmrError HOST_BUSY while a running vmr uses the lab, UPLINK_BUSY while VMs are attached to it (unless forced),
 * CLEANUP_INCOMPLETE.
 */
export async function labDown(testbed: Testbed, options: LabDownOptions): Promise<void> {
  requireRoot('remove the lab')
  const { journalDirectory, onStep, force = false } = options
  return withHostLock({ name: labPurpose(testbed), ...signalOf(options) }, async () => {
    const names = new Set(testbed.links.flatMap((link) => [link.uplink, link.bridge, link.pc.shell.name]))
    const journals = (await listJournals(journalDirectory)).filter(({ steps }) =>
      steps.some(({ step }) => namesOf(step).some((name) => names.has(name))),
    )
    const user = journals.find(({ state }) => state === 'live')
    if (user !== undefined)
      throw new VmrError('HOST_BUSY', `the lab is in use by ${user.purpose} (process ${user.pid})`, {
        hint: 'Wait for it to end, or end it.',
      })
    if (!force) await refuseWhileAttached(testbed, options)
    const undoOptions = { executors: hostExecutors, ...(onStep === undefined ? {} : { onStep }) }
    for (const content of journals.filter(({ purpose }) => purpose === labPurpose(testbed)).reverse())
      await undoJournal(content, undoOptions)

    const sweep = await openJournal({ directory: journalDirectory, purpose: `removing ${labPurpose(testbed)}` })
    try {
      const present = await readLinks(localShell, signalOf(options))
      for (const link of testbed.links) for (const step of leftovers(link, present)) await sweep.before(step)
      await undoAll(sweep, undoOptions)
    } finally {
      await sweep.close()
    }
  })
}

async function undoJournal(content: JournalContent, options: Parameters<typeof undoAll>[1]): Promise<void> {
  const journal = await reopenJournal(content.path)
  try {
    await undoAll(journal, { ...options, earlierBoot: content.earlierBoot })
  } finally {
    await journal.close()
  }
}

/** In the order in which they would have been made. */
function leftovers(link: TestbedLink, present: readonly LinuxLink[]): readonly UndoStep[] {
  const kindOf = (name: string) => present.find(({ ifname }) => ifname === name)?.linkinfo?.info_kind
  const steps: UndoStep[] = [{ kind: 'netns', name: link.pc.shell.name }]
  if (kindOf(link.uplink) === 'veth') steps.push({ kind: 'link', name: link.uplink, linkKind: 'veth' })
  if (kindOf(link.bridge) === 'bridge') steps.push({ kind: 'link', name: link.bridge, linkKind: 'bridge' })
  return steps
}

async function refuseWhileAttached(testbed: Testbed, options: LabOptions): Promise<void> {
  const links = await readLinks(localShell, signalOf(options))
  for (const { uplink, bridge } of testbed.links) {
    const user = links.find(
      (link) =>
        (link.master === bridge && link.ifname !== uplink) ||
        (link.link === uplink && link.linkinfo?.info_kind !== 'veth'),
    )
    if (user !== undefined)
      throw new VmrError('UPLINK_BUSY', `${user.ifname} is attached to ${user.master ?? uplink}: a VM uses the lab`, {
        hint: 'Stop the VM first (`vmr vm list`).',
      })
  }
}

function namesOf(step: UndoStep): readonly string[] {
  switch (step.kind) {
    case 'netns':
      return [step.name]
    case 'link':
    case 'link-settings':
      return step.netns === undefined ? [step.name] : [step.name, step.netns]
    case 'uplink-bridge':
      return [step.bridge, step.uplink]
    default:
      return []
  }
}

function requireRoot(doing: string): void {
  if (process.getuid?.() !== 0)
    throw new VmrError('HOST_PERMISSION', `only root can ${doing}`, { hint: 'Run it with sudo.' })
}

function signalOf({ signal }: LabOptions): LabOptions {
  return signal === undefined ? {} : { signal }
}
