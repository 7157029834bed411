import { z } from 'zod'
import { benchOutputs, runFileSchemas } from './bench.ts'
import { guestOutputs } from './guest.ts'
import { hostOutputs } from './host.ts'
import { vmOutputs } from './vm.ts'

const errorSchema = z.object({
  error: z.object({ code: z.string(), message: z.string(), hint: z.string().optional() }),
})

/** What each command prints with --json, by the command's words; `error` is what any prints in its place. */
const outputSchemas = { ...vmOutputs, ...guestOutputs, ...hostOutputs, ...benchOutputs, error: errorSchema }

export type OutputName = keyof typeof outputSchemas
export type Output<Name extends OutputName> = z.input<(typeof outputSchemas)[Name]>

const publishedSchemas: Readonly<Record<string, z.ZodType>> = { ...outputSchemas, ...runFileSchemas }

export const publishedSchemaNames: readonly string[] = Object.keys(publishedSchemas).toSorted()

/** JSON schema (draft 2020-12); undefined for a name that is not published. */
export function publishedJsonSchema(name: string): unknown {
  const schema = Object.hasOwn(publishedSchemas, name) ? publishedSchemas[name] : undefined
  return schema === undefined ? undefined : { title: `vmr ${name}`, ...z.toJSONSchema(schema, { io: 'output' }) }
}
