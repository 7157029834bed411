import { existsSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import envPaths from 'env-paths'
import { VmrError } from '../errors/vmr-error.ts'
import { packageRoot } from './package-root.ts'

/** Where configuration of a kind (`domains`, `matrices` …) is looked for, the first that has it: the current directory's, the user's, vmr's own. */
export function configDirectories(folder: string): readonly string[] {
  const roots = [process.cwd(), envPaths('vmr', { suffix: '' }).config, packageRoot()]
  return roots.map((root) => join(root, folder))
}

/**
 * The file of a configuration named by its name (`lab`) or by its path (`./lab.yaml`: anything with a slash, or ending
 * in .yaml or .yml). A name is looked for in {@link configDirectories}.
 *
 * @throws VmrError CONFIG_NOT_FOUND, with the names there are.
 */
export function findConfigFile(folder: string, nameOrPath: string): Promise<string> {
  return findYaml(configDirectories(folder), nameOrPath, (shown) => `there is no ${shown} among the ${folder}`)
}

/** {@link findConfigFile} in directories of the caller's, with its own words for a name that none of them has. */
export function findYaml(
  directories: readonly string[],
  nameOrPath: string,
  notFound: (shownName: string) => string,
): Promise<string> {
  return findNamedFile(directories, nameOrPath, { extensions: ['yaml', 'yml'], notFound })
}

interface NamedFileOptions {
  /** What a path ends in; files that are found by their name end in the first. */
  readonly extensions: readonly [string, ...string[]]
  readonly notFound: (shownName: string) => string
}

/** {@link findYaml} for files of another kind. */
export async function findNamedFile(
  directories: readonly string[],
  nameOrPath: string,
  { extensions, notFound }: NamedFileOptions,
): Promise<string> {
  if (nameOrPath.includes('/') || extensions.some((each) => nameOrPath.endsWith(`.${each}`))) return resolve(nameOrPath)
  const ending = `.${extensions[0]}`
  const found = directories.map((directory) => join(directory, nameOrPath + ending)).find((file) => existsSync(file))
  if (found !== undefined) return found
  const known = await Promise.all(directories.map((directory) => readdir(directory).catch(() => [])))
  const names = new Set(known.flat().flatMap((name) => (name.endsWith(ending) ? [name.slice(0, -ending.length)] : [])))
  throw new VmrError('CONFIG_NOT_FOUND', notFound(JSON.stringify(nameOrPath.slice(0, 80))), {
    hint: `Known: ${[...names].sort().join(', ') || 'none'}. Or give the path of a ${ending} file.`,
  })
}
