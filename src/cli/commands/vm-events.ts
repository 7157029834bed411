import { findVm } from '../../vm/find-vm.ts'
import { withConnection } from '../../vm/host.ts'
import { withLibvirt } from '../../vm/libvirt-failure.ts'
import type { CommandContext, CommandStatus } from '../context.ts'

interface VmEventsOptions {
  readonly json?: true | undefined
  readonly connect: string
}

export async function vmEvents(
  { terminal, signal }: CommandContext,
  name: string | undefined,
  { json, connect }: VmEventsOptions,
): Promise<CommandStatus> {
  await withConnection(
    connect,
    async (connection) => {
      const domain = name === undefined ? undefined : (await findVm(connection, name, signal)).domain
      const events = await withLibvirt('listening for events', () =>
        connection.domainEvents({
          kinds: ['lifecycle', 'reboot', 'device-added', 'device-removed'],
          signal,
          ...(domain === undefined ? {} : { domain }),
        }),
      )
      for await (const { domain: of, ...event } of events) {
        const at = new Date().toISOString()
        if (json) terminal.jsonLine<'vm events'>({ at, name: of.name, uuid: of.uuid, ...event })
        else terminal.result(`${at}  ${of.name}  ${wordsFor(event)}`)
      }
    },
    signal,
  )
  return undefined
}

function wordsFor({ kind, ...rest }: { readonly kind: string }): string {
  const details = Object.values(rest).filter((value) => value !== undefined && value !== null)
  return [kind, ...details.map(String)].join('  ')
}
