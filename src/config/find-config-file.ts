import { existsSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import envPaths from 'env-paths'
import { VmrError } from '../errors/vmr-error.ts'
import { packageRoot } from './package-root.ts'

/**
 * The file of a configuration named by its name (`lab`) or by its path (`./lab.yaml`: anything with a slash, or ending
 * in .yaml or .yml). A name is looked for in the folder of that kind of the current directory, the user's
 * configuration, and vmr itself, in this order.
 *
 * @throws VmrError CONFIG_NOT_FOUND, with the names there are.
 */
export async function findConfigFile(folder: string, nameOrPath: string): Promise<string> {
  if (nameOrPath.includes('/') || /\.ya?ml$/.test(nameOrPath)) return resolve(nameOrPath)
  const roots = [process.cwd(), envPaths('vmr', { suffix: '' }).config, packageRoot()]
  const directories = roots.map((root) => join(root, folder))
  const found = directories.map((directory) => join(directory, `${nameOrPath}.yaml`)).find((file) => existsSync(file))
  if (found !== undefined) return found
  const known = await Promise.all(directories.map((directory) => readdir(directory).catch(() => [])))
  const names = new Set(known.flat().flatMap((name) => (name.endsWith('.yaml') ? [name.replace(/\.yaml$/, '')] : [])))
  throw new VmrError('CONFIG_NOT_FOUND', `there is no ${JSON.stringify(nameOrPath.slice(0, 80))} among the ${folder}`, {
    hint: `Known: ${[...names].sort().join(', ') || 'none'}. Or give the path of a .yaml file.`,
  })
}
