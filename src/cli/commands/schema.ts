import { VmrError } from '../../errors/vmr-error.ts'
import type { CommandContext, CommandStatus } from '../context.ts'
import { publishedJsonSchema, publishedSchemaNames } from '../output/outputs.ts'

export async function schema({ terminal }: CommandContext, words: readonly string[]): Promise<CommandStatus> {
  if (words.length === 0) {
    for (const name of publishedSchemaNames) terminal.result(name)
    return undefined
  }
  const name = words.join(' ')
  const found = publishedJsonSchema(name)
  if (found === undefined)
    throw new VmrError('USAGE', `there is no schema ${JSON.stringify(name.slice(0, 80))}`, {
      hint: 'See the list: vmr schema',
    })
  terminal.result(JSON.stringify(found, null, 2))
  return undefined
}
