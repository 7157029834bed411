import { readdir, realpath } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { z } from 'zod'
import { vmsDirectory } from '../config/paths.ts'
import { readDomainFacts } from '../domain/domain-facts.ts'
import type { Connection } from '../libvirt/index.ts'
import type { Shell } from '../shell/shell.ts'
import { withLibvirt } from './libvirt-failure.ts'

/** `qemu-img info --output=json --backing-chain`: the file of each level. */
const chainSchema = z.array(z.object({ filename: z.string().max(4096) })).max(64)

export interface ImageUse {
  /** The domain, or the folder among vmr's where no domain is known to have it. */
  readonly user: string
  readonly file: string
}

/**
 * Who has a disk that stands on this file, or is this file: every domain of libvirt's, whoever made it, and overlays in
 * vmr's own folders. Not only what the XML names is asked, but each disk itself.
 *
 * @throws VmrError LIBVIRT_FAILED, HOST_TOOL_MISSING.
 */
export async function usersOfImage(
  connection: Connection,
  image: string,
  { shell, signal }: { readonly shell: Shell; readonly signal: AbortSignal },
): Promise<readonly ImageUse[]> {
  const wanted = await canonical(image)
  const disks = new Map<string, string>()
  for (const file of await ownOverlays()) disks.set(file, basename(dirname(file)))
  const uses: ImageUse[] = []
  for (const domain of await withLibvirt('listing domains', () => connection.listAllDomains({ signal }))) {
    const xml = await withLibvirt(`reading the XML of ${domain.name}`, () =>
      connection.domainXml(domain, { inactive: true, signal }),
    )
    for (const { file, backingFiles } of readDomainFacts(xml, `XML of ${domain.name}`).disks) {
      if (file === undefined) continue
      const named = await Promise.all([file, ...backingFiles].map(canonical))
      if (named.includes(wanted)) uses.push({ user: domain.name, file })
      else disks.set(file, domain.name)
    }
  }
  const known = new Set(uses.map(({ file }) => file))
  for (const [file, user] of disks) {
    if (!known.has(file) && (await chainOf(file, { shell, signal })).includes(wanted)) uses.push({ user, file })
  }
  return uses
}

async function ownOverlays(): Promise<readonly string[]> {
  const folder = vmsDirectory()
  const names = await readdir(folder, { recursive: true }).catch((): readonly string[] => [])
  return names.filter((name) => name.endsWith('.qcow2')).map((name) => join(folder, name))
}

/** The files that a disk stands on; nothing for what qemu-img cannot read, which stands on no qcow2 of vmr's. */
async function chainOf(
  file: string,
  { shell, signal }: { readonly shell: Shell; readonly signal: AbortSignal },
): Promise<readonly string[]> {
  // A VM that runs holds the lock of its disk: --force-share reads beside it.
  const argv = ['qemu-img', 'info', '--force-share', '--backing-chain', '--output=json', '--', file]
  const { stdout, exitCode } = await shell.run(argv, { timeoutMs: 20_000, signal })
  if (exitCode !== 0) return []
  const chain = chainSchema.safeParse(jsonOf(stdout))
  return chain.success ? Promise.all(chain.data.map(({ filename }) => canonical(filename))) : []
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function canonical(file: string): Promise<string> {
  return realpath(file).catch(() => file)
}
