import { readDomainFacts } from '../../domain/domain-facts.ts'
import { findVm } from '../../vm/find-vm.ts'
import { withConnection } from '../../vm/host.ts'
import { isRunning } from '../../vm/power.ts'
import type { CommandContext, CommandStatus } from '../context.ts'

interface VmShowOptions {
  readonly json?: true | undefined
  readonly connect: string
}

export async function vmShow(
  { terminal, signal }: CommandContext,
  name: string,
  { json, connect }: VmShowOptions,
): Promise<CommandStatus> {
  const shown = await withConnection(
    connect,
    async (connection) => {
      const vm = await findVm(connection, name, signal)
      const { state } = await connection.domainState(vm.domain, { signal })
      const running = await isRunning(connection, vm, signal)
      const live = running ? readDomainFacts(await connection.domainXml(vm.domain, { signal })) : undefined
      return {
        name,
        uuid: vm.domain.uuid,
        state,
        definition: vm.metadata.definition,
        testbed: vm.metadata.testbed,
        image: vm.metadata.image,
        os: vm.metadata.os,
        accelerator: vm.facts.accelerator,
        vcpus: vm.facts.vcpus,
        memoryMiB: vm.facts.memoryKiB === undefined ? undefined : vm.facts.memoryKiB / 1024,
        serialLog: vm.facts.serial?.log,
        nics: vm.metadata.nics.map((nic) => {
          const attached = live?.nics.find(({ mac }) => mac === nic.mac)
          return {
            name: `eth${nic.position}`,
            mode: nic.mode,
            mac: nic.mac,
            uplink: nic.uplink,
            ...(attached === undefined ? {} : { device: attached.target, trust: attached.trustGuestRxFilters }),
          }
        }),
      }
    },
    signal,
  )
  if (json) terminal.json<'vm show'>(shown)
  else {
    const { nics, ...facts } = shown
    for (const [key, value] of Object.entries(facts))
      if (value !== undefined) terminal.result(`${key.padEnd(12)}${value}`)
    for (const { name: nic, mode, mac, uplink, device } of nics)
      terminal.result(
        `${nic.padEnd(12)}${mode} on ${uplink ?? 'nothing'}  ${mac}${device === undefined ? '' : `  as ${device}`}`,
      )
  }
  return undefined
}
