import { z } from 'zod'
import { domainDefinitionSchema } from './domain-definition.ts'

/** JSON schemas for editors by file name, made from the schemas that vmr itself checks with. */
export function editorSchemas(): Readonly<Record<string, string>> {
  return { 'domain.schema.json': editorSchema('vmr domain definition', domainDefinitionSchema) }
}

/** `io: 'input'`: an editor looks at what a person writes, before defaults and conversions. */
function editorSchema(title: string, schema: z.ZodType): string {
  return `${JSON.stringify({ title, ...z.toJSONSchema(schema, { io: 'input', target: 'draft-7' }) }, null, 2)}\n`
}
