import { readDomainFacts } from '../../domain/domain-facts.ts'
import { xmlDiff } from '../../domain/xml-diff.ts'
import { findVm } from '../../vm/find-vm.ts'
import { withConnection } from '../../vm/host.ts'
import type { CommandContext, CommandStatus } from '../context.ts'

interface VmXmlOptions {
  readonly json?: true | undefined
  readonly inactive?: true | undefined
  readonly diff?: true | undefined
  readonly connect: string
}

export async function vmXml(
  { terminal, signal }: CommandContext,
  name: string,
  { json, inactive, diff, connect }: VmXmlOptions,
): Promise<CommandStatus> {
  const text = await withConnection(
    connect,
    async (connection) => {
      const { domain } = await findVm(connection, name, signal)
      if (!diff) return connection.domainXml(domain, { inactive: inactive === true, signal })
      const defined = await connection.domainXml(domain, { inactive: true, signal })
      const live = await connection.domainXml(domain, { signal })
      return xmlDiff(readDomainFacts(defined).element, readDomainFacts(live).element, {
        from: `${name} as defined`,
        to: `${name} as it runs`,
        ignoreRuntimeState: true,
      })
    },
    signal,
  )
  if (json) terminal.json<'vm xml'>(diff ? { name, diff: text } : { name, xml: text })
  else terminal.result(text === '' ? 'the running VM is as defined' : text.trimEnd())
  return undefined
}
