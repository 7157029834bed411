import Table from 'cli-table3'
import { cacheDirectory } from '../../config/paths.ts'
import { findLabImage } from '../../image/lab-image.ts'
import { findStoredImage, listStoredImages, type StoredImage } from '../../image/stored-image.ts'
import type { CommandContext, CommandStatus } from '../context.ts'

interface ImageOptions {
  readonly json?: true | undefined
}

export async function imageList({ terminal }: CommandContext, { json }: ImageOptions): Promise<CommandStatus> {
  const lab = await findLabImage(cacheDirectory())
  const images = await listStoredImages()
  const built = lab === undefined ? [] : [{ name: 'lab' as const, kind: 'built' as const, digest: lab.digest }]
  if (json) {
    terminal.json<'image list'>([...built, ...images.map((image) => ({ kind: 'stored' as const, ...image }))])
    return undefined
  }
  const table = new Table({ head: ['name', 'what', 'size', 'disk of', 'imported'], style: { head: [], border: [] } })
  for (const { name } of built) table.push([name, 'lab router, built by vmr', '', '', ''])
  for (const image of images)
    table.push([
      image.name,
      image.release ?? 'ready disk',
      gibibytes(image.bytes),
      gibibytes(image.virtualBytes),
      image.importedAt.slice(0, 10),
    ])
  if (table.length > 0) terminal.result(table.toString())
  if (images.length === 0) terminal.result('no image is imported; import one with `vmr image import vyos.iso`')
  return undefined
}

export async function imageShow(
  { terminal }: CommandContext,
  name: string,
  { json }: ImageOptions,
): Promise<CommandStatus> {
  const image = await findStoredImage(name)
  if (json) terminal.json<'image show'>(image)
  else for (const line of describeImage(image)) terminal.result(line)
  return undefined
}

export function describeImage(image: StoredImage): readonly string[] {
  const { source } = image
  return [
    `${image.name}${image.release === undefined ? '' : ` (${image.release})`}`,
    `  disk       ${image.file}`,
    `  size       ${gibibytes(image.bytes)}, a disk of ${gibibytes(image.virtualBytes)}`,
    `  SHA-256    ${image.sha256}`,
    `  imported   ${image.importedAt}`,
    ...(image.cloudInit ? ['  first boot configured by cloud-init, from a seed'] : []),
    `  from       ${source.file}${source.kind === 'installer' ? ', installed from it' : ''}`,
    ...(source.kind === 'installer' ? [`             SHA-256 ${source.sha256}`] : []),
    ...(source.signedBy === undefined ? [] : [`  signed by  ${source.signedBy}`]),
  ]
}

export function gibibytes(bytes: number): string {
  return bytes < 1024 ** 3 ? `${(bytes / 1024 ** 2).toFixed(1)} MiB` : `${(bytes / 1024 ** 3).toFixed(1)} GiB`
}
