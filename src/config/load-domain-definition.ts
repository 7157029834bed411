import { basename, dirname, isAbsolute, join } from 'node:path'
import {
  type DomainDefinition,
  diskSchema,
  domainDefinitionSchema,
  isBuiltImage,
  isStoredImage,
} from './domain-definition.ts'
import { configDirectories, findYaml } from './find-config-file.ts'
import { loadYaml } from './load-yaml.ts'
import { storedDisk } from './paths.ts'

export interface LoadedDomainDefinition {
  /** What it is called: the file's name without directory and .yaml. */
  readonly name: string
  readonly file: string
  /** Its files are absolute paths, and an image that is stored or a file is the base of the first of its disks. */
  readonly definition: DomainDefinition
}

/**
 * Loads a definition by name (`lab-router`) or by path (`./r1.yaml`: anything with a slash or ending in .yaml or .yml).
 *
 * @throws VmrError CONFIG_NOT_FOUND, CONFIG_INVALID as loadYaml does.
 */
export async function loadDomainDefinition(
  nameOrPath: string,
  directories: readonly string[] = configDirectories('domains'),
): Promise<LoadedDomainDefinition> {
  const file = await findYaml(directories, nameOrPath, (shown) => `there is no domain definition ${shown}`)
  const definition = await loadYaml(file, domainDefinitionSchema)
  return {
    name: basename(file).replace(/\.ya?ml$/, ''),
    file,
    definition: withAbsolutePaths(withImageAsDisk(definition), dirname(file)),
  }
}

function withImageAsDisk(definition: DomainDefinition): DomainDefinition {
  const { image, ...rest } = definition
  if (image === undefined) return definition
  if (isBuiltImage(image)) return { ...definition, image: 'lab-router' }
  const base = isStoredImage(image) ? storedDisk(image) : image
  return { ...rest, disks: [diskSchema.parse({ base }), ...definition.disks] }
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
