import { existsSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { basename, dirname, isAbsolute, join, resolve } from 'node:path'
import envPaths from 'env-paths'
import { VmrError } from '../errors/vmr-error.ts'
import { type DomainDefinition, domainDefinitionSchema } from './domain-definition.ts'
import { loadYaml } from './load-yaml.ts'
import { packageRoot } from './package-root.ts'

export interface LoadedDomainDefinition {
  /** What it is called: the file's name without directory and .yaml. */
  readonly name: string
  readonly file: string
  /** Its files are absolute paths. */
  readonly definition: DomainDefinition
}

/** Where a definition named without a path is looked for, the first that has it: the current directory's, the user's, vmr's own. */
export function domainDirectories(): readonly string[] {
  return [
    join(process.cwd(), 'domains'),
    join(envPaths('vmr', { suffix: '' }).config, 'domains'),
    join(packageRoot(), 'domains'),
  ]
}

/**
 * Loads a definition by name (`lab-router`) or by path (`./r1.yaml`: anything with a slash or ending in .yaml or .yml).
 *
 * @throws VmrError CONFIG_NOT_FOUND, CONFIG_INVALID as loadYaml does.
 */
export async function loadDomainDefinition(
  nameOrPath: string,
  directories: readonly string[] = domainDirectories(),
): Promise<LoadedDomainDefinition> {
  const file = await findDefinition(nameOrPath, directories)
  const definition = await loadYaml(file, domainDefinitionSchema)
  return {
    name: basename(file).replace(/\.ya?ml$/, ''),
    file,
    definition: withAbsolutePaths(definition, dirname(file)),
  }
}

async function findDefinition(nameOrPath: string, directories: readonly string[]): Promise<string> {
  if (nameOrPath.includes('/') || /\.ya?ml$/.test(nameOrPath)) return resolve(nameOrPath)
  const found = directories.map((directory) => join(directory, `${nameOrPath}.yaml`)).find((file) => existsSync(file))
  if (found !== undefined) return found
  const known = await Promise.all(directories.map((directory) => readdir(directory).catch(() => [])))
  const names = new Set(known.flat().flatMap((name) => (name.endsWith('.yaml') ? [name.replace(/\.yaml$/, '')] : [])))
  throw new VmrError('CONFIG_NOT_FOUND', `there is no domain definition ${JSON.stringify(nameOrPath.slice(0, 80))}`, {
    hint: `Known: ${[...names].sort().join(', ') || 'none'}. Or give the path of a .yaml file.`,
  })
}

function withAbsolutePaths(definition: DomainDefinition, directory: string): DomainDefinition {
  const absolute = (path: string) => (isAbsolute(path) ? path : join(directory, path))
  const optional = <K extends string>(key: K, path: string | undefined) =>
    path === undefined ? {} : ({ [key]: absolute(path) } as Record<K, string>)
  const { firmware, kernel, cloudInit } = definition
  return {
    ...definition,
    ...(typeof firmware === 'object'
      ? {
          firmware: {
            ...firmware,
            loader: absolute(firmware.loader),
            nvramTemplate: absolute(firmware.nvramTemplate),
          },
        }
      : {}),
    ...(kernel === undefined
      ? {}
      : { kernel: { ...kernel, file: absolute(kernel.file), ...optional('initrd', kernel.initrd) } }),
    disks: definition.disks.map((disk) => ({
      ...disk,
      ...optional('base', disk.base),
      ...optional('file', disk.file),
    })),
    ...optional('cdrom', definition.cdrom),
    ...(cloudInit === undefined
      ? {}
      : {
          cloudInit: {
            userData: absolute(cloudInit.userData),
            ...optional('metaData', cloudInit.metaData),
            ...optional('networkConfig', cloudInit.networkConfig),
          },
        }),
  }
}
