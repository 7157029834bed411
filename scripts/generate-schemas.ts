// Writes schemas/*.json, by which editors check and complete the YAML files. Run after changing a zod schema.
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { editorSchemas } from '../src/config/json-schemas.ts'
import { packageRoot } from '../src/config/package-root.ts'

const directory = join(packageRoot(), 'schemas')
await mkdir(directory, { recursive: true })
for (const [name, text] of Object.entries(editorSchemas())) await writeFile(join(directory, name), text)
