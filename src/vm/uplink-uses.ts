import { journalDirectory } from '../config/paths.ts'
import type { DomainFacts } from '../domain/domain-facts.ts'
import type { VmrMetadata } from '../domain/metadata.ts'
import { prepareUplink } from '../testbed/uplink.ts'
import type { UplinkUse } from '../testbed/uplink-plan.ts'
import { type Journal, listJournals, openJournal, reopenJournal } from '../undo/journal.ts'
import { vmPurpose } from './create.ts'

export interface NamedUplinkUse {
  readonly uplink: string
  readonly use: UplinkUse
}

/** What a definition needs of the uplinks that vmr prepares for it, of all its NICs or of those with these MACs. Pure. */
export function uplinkUsesOf(
  { nics }: DomainFacts,
  metadata: VmrMetadata,
  macs?: ReadonlySet<string>,
): readonly NamedUplinkUse[] {
  return metadata.nics.flatMap(({ mac, uplink, stp, multicastSnooping }): readonly NamedUplinkUse[] => {
    const nic = nics.find((each) => each.mac === mac.toLowerCase())
    if (nic?.source === undefined || uplink === undefined || macs?.has(mac) === false) return []
    if (nic.type === 'direct')
      return nic.source === uplink
        ? [{ uplink, use: { kind: 'bare', exclusive: nic.macvtapMode === 'passthrough' } }]
        : []
    // A bridge of another name is its owner's.
    if (nic.type !== 'bridge' || nic.openVSwitch || !nic.source.startsWith('vmr')) return []
    const wanted = { ...(stp && { stp: true }), ...(multicastSnooping && { multicastSnooping: true }) }
    return [{ uplink, use: { kind: 'bridge', bridge: nic.source, ...wanted } }]
  })
}

/**
 * Makes the host ready for a VM's NICs as they are defined: what is missing of its bridges, or dissolves one that is in a
 * macvtap's way. Errors as of prepareUplink.
 */
export async function prepareUplinksOf(
  { facts, metadata, domain }: { facts: DomainFacts; metadata: VmrMetadata; domain: { readonly name: string } },
  { signal }: { readonly signal?: AbortSignal } = {},
): Promise<void> {
  const uses = uplinkUsesOf(facts, metadata)
  if (uses.length === 0) return
  await withVmJournal(domain.name, async (journal) => {
    for (const { uplink, use } of uses)
      await prepareUplink(uplink, use, { journal, ...(signal === undefined ? {} : { signal }) })
  })
}

/** The journal of what was made for a VM that is there to stay: its removal takes that back. */
export async function withVmJournal<T>(name: string, task: (journal: Journal) => Promise<T>): Promise<T> {
  const directory = journalDirectory()
  const purpose = vmPurpose(name)
  const earlier = (await listJournals(directory)).find((each) => each.purpose === purpose && each.state === 'kept')
  const journal = earlier === undefined ? await openJournal({ directory, purpose }) : await reopenJournal(earlier.path)
  try {
    if (earlier === undefined) await journal.keep()
    return await task(journal)
  } finally {
    await journal.close()
  }
}
