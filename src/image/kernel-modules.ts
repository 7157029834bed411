import { basename } from 'node:path'
import { parseElf } from './elf.ts'

/** A kernel module as its file describes it. */
export interface KernelModule {
  /** With underscores, as the kernel itself writes it. */
  readonly name: string
  /** Below lib/modules/RELEASE: `kernel/drivers/net/virtio_net.ko`. */
  readonly path: string
  readonly depends: readonly string[]
  readonly aliases: readonly string[]
}

const normalized = (name: string): string => name.replaceAll('-', '_')

/** @throws RangeError if the bytes are no module. */
export function describeModule(path: string, bytes: Buffer): KernelModule {
  const info = parseElf(bytes)?.moduleInfo ?? []
  if (info.length === 0) throw new RangeError(`${path} is not a kernel module`)
  const values = (key: string) =>
    info.filter((line) => line.startsWith(`${key}=`)).map((line) => line.slice(key.length + 1))
  return {
    name: normalized(basename(path).replace(/\.ko$/, '')),
    path,
    depends: values('depends').flatMap((list) =>
      list
        .split(',')
        .filter((name) => name !== '')
        .map(normalized),
    ),
    aliases: values('alias'),
  }
}

/** The wanted modules and, before each, what it depends on. Names that are no module are built into the kernel. */
export function moduleClosure(
  wanted: readonly string[],
  find: (name: string) => KernelModule | undefined,
): readonly KernelModule[] {
  const found = new Map<string, KernelModule>()
  const visit = (name: string): void => {
    if (found.has(name)) return
    const module = find(name)
    if (module === undefined) return
    for (const dependency of module.depends) visit(dependency)
    found.set(name, module)
  }
  for (const name of wanted) visit(normalized(name))
  return [...found.values()]
}

/** `modules.dep` as depmod(8) writes it: each module, then all it needs, the nearest first. */
export function renderModulesDep(modules: readonly KernelModule[]): string {
  const byName = new Map(modules.map((module) => [module.name, module]))
  return modules
    .map((module) => {
      const needs = moduleClosure([module.name], (name) => byName.get(name)).slice(0, -1)
      return `${module.path}:${needs
        .reverse()
        .map((needed) => ` ${needed.path}`)
        .join('')}\n`
    })
    .join('')
}

/** `modules.alias`: what the kernel asks for by alias (`rtnl-link-vlan`) when a program first needs it. */
export function renderModulesAlias(modules: readonly KernelModule[]): string {
  return modules.flatMap((module) => module.aliases.map((alias) => `alias ${alias} ${module.name}\n`)).join('')
}
