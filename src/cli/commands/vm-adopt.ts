import packageJson from '../../../package.json' with { type: 'json' }
import { readDomainFacts } from '../../domain/domain-facts.ts'
import { metadataElement } from '../../domain/metadata.ts'
import { loadNicModes } from '../../domain/nic-modes.ts'
import { buildXml } from '../../domain/xml/build.ts'
import { VmrError } from '../../errors/vmr-error.ts'
import { loadTestbed } from '../../testbed/testbed.ts'
import { adoptDomain, planAdoption } from '../../vm/adopt.ts'
import { findDomain } from '../../vm/find-vm.ts'
import type { GuestSystem } from '../../vm/guest-access.ts'
import { withConnection } from '../../vm/host.ts'
import { withVmLock } from '../../vm/vm-lock.ts'
import type { CommandContext, CommandStatus } from '../context.ts'

interface VmAdoptOptions {
  readonly json?: true | undefined
  readonly os: GuestSystem
  readonly testbed?: string | undefined
  readonly dryRun?: true | undefined
  readonly connect: string
}

export async function vmAdopt(
  { terminal, signal }: CommandContext,
  name: string,
  { json, os, testbed: testbedName, dryRun, connect }: VmAdoptOptions,
): Promise<CommandStatus> {
  const modes = await loadNicModes()
  const testbed = testbedName === undefined ? undefined : { name: testbedName, testbed: await loadTestbed(testbedName) }
  const { adopted, metadata } = await withConnection(
    connect,
    (connection) =>
      withVmLock(name, { signal }, async () => {
        const domain = await findDomain(connection, name, signal)
        if (domain === undefined)
          throw new VmrError('VM_NOT_FOUND', `there is no domain ${name}`, { hint: 'See `virsh list --all`.' })
        const facts = readDomainFacts(await connection.domainXml(domain, { inactive: true, signal }))
        if (facts.vmr !== undefined) return { adopted: false, metadata: facts.vmr }
        const planned = planAdoption({ facts, modes, testbed, os, vmrVersion: packageJson.version })
        if (!dryRun) await adoptDomain(connection, domain, planned, { signal })
        return { adopted: !dryRun, metadata: planned }
      }),
    signal,
  )
  const nics = metadata.nics.map(({ position, mode, mac, uplink }) => ({ name: `eth${position}`, mode, mac, uplink }))
  if (json) terminal.json<'vm adopt'>({ name, adopted, nics })
  else if (dryRun) terminal.result(buildXml(metadataElement(metadata)).trimEnd())
  else {
    terminal.result(adopted ? `${name} is vmr’s to change from now on` : `${name} was vmr’s already`)
    for (const nic of nics) terminal.result(`  ${nic.name}  ${nic.mode} on ${nic.uplink ?? 'nothing'}  ${nic.mac}`)
  }
  return undefined
}
