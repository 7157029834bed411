import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { VmrError } from '../errors/vmr-error.ts'

let found: string | undefined

/**
 * The directory that holds vmr's own `templates/`, `domains/`, `testbeds/` and `matrices/`: the nearest one above this
 * module that has templates. The same from the sources and from the bundle, whose chunks lie at another depth.
 */
export function packageRoot(): string {
  if (found !== undefined) return found
  let directory = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(directory, 'templates', 'domain.xml'))) {
    const parent = dirname(directory)
    if (parent === directory)
      throw new VmrError(
        'INTERNAL',
        `templates/domain.xml is in no directory above ${fileURLToPath(import.meta.url)}`,
        {
          hint: 'Install vmr again: its templates are missing.',
        },
      )
    directory = parent
  }
  found = directory
  return directory
}
