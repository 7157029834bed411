import Table from 'cli-table3'
import { listVms } from '../../vm/find-vm.ts'
import { withConnection } from '../../vm/host.ts'
import type { CommandContext, CommandStatus } from '../context.ts'

interface VmListOptions {
  readonly json?: true | undefined
  readonly connect: string
}

export async function vmList(
  { terminal, signal }: CommandContext,
  { json, connect }: VmListOptions,
): Promise<CommandStatus> {
  const vms = await withConnection(
    connect,
    async (connection) => {
      const found = await listVms(connection, signal)
      return Promise.all(
        found.map(async ({ domain, metadata }) => ({
          name: domain.name,
          state: (await connection.domainState(domain, { signal })).state,
          modes: [...new Set(metadata.nics.map(({ mode }) => mode))],
          definition: metadata.definition,
          testbed: metadata.testbed,
        })),
      )
    },
    signal,
  )
  if (json) terminal.json<'vm list'>(vms)
  else if (vms.length === 0) terminal.result('no VMs; make one with `vmr vm create r1 --nic macvtap`')
  else {
    const table = new Table({
      head: ['name', 'state', 'NIC mode', 'definition', 'testbed'],
      style: { head: [], border: [] },
    })
    for (const { name, state, modes, definition, testbed } of vms)
      table.push([name, state, modes.join(', '), definition, testbed ?? ''])
    terminal.result(table.toString())
  }
  return undefined
}
