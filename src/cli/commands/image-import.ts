import packageJson from '../../../package.json' with { type: 'json' }
import { sizeSchema } from '../../config/domain-definition.ts'
import { journalDirectory } from '../../config/paths.ts'
import type { Accelerator } from '../../domain/domain-xml.ts'
import { VmrError } from '../../errors/vmr-error.ts'
import { digestOf } from '../../image/digest.ts'
import { checkSource, importImage, planImport } from '../../image/import-image.ts'
import { localShell } from '../../shell/local.ts'
import { openJournal } from '../../undo/journal.ts'
import { withUndo } from '../../undo/undo-all.ts'
import { undoExecutors } from '../../vm/domain-undo.ts'
import { withConnection } from '../../vm/host.ts'
import { installImage } from '../../vm/install-image.ts'
import { chooseAccelerator } from '../../vm/prepare-guest.ts'
import type { CommandContext, CommandStatus } from '../context.ts'
import { withProgress } from '../progress.ts'
import { describeImage, gibibytes } from './image-list.ts'

interface ImageImportOptions {
  readonly json?: true | undefined
  readonly name?: string | undefined
  readonly sha256?: string | undefined
  readonly signature?: string | undefined
  readonly key?: string | undefined
  readonly cloudInit?: true | undefined
  readonly diskSize: string
  readonly accel: 'auto' | Accelerator
  readonly connect: string
  readonly dryRun?: true | undefined
}

export async function imageImport(
  { terminal, signal }: CommandContext,
  file: string,
  options: ImageImportOptions,
): Promise<CommandStatus> {
  const { name, sha256, json } = options
  if (sha256 !== undefined && !/^[0-9A-Fa-f]{64}$/.test(sha256))
    throw new VmrError('USAGE', '--sha256 takes 64 hexadecimal digits', { hint: `sha256sum ${file}` })
  const signature = signatureOf(options)
  const diskBytes = diskSizeOf(options.diskSize)
  const request = { file, name, sha256, signature, cloudInit: options.cloudInit }
  if (options.dryRun) {
    const plan = await withProgress(terminal, 'looking at it', async (onProgress) => {
      const tools = { shell: localShell, signal, onProgress }
      const planned = await planImport(request, tools)
      if (sha256 !== undefined || signature !== undefined)
        await checkSource(planned, await digestOf(planned.file, { signal }), planned.file, tools)
      return planned
    })
    const what = plan.kind === 'disk' ? 'copied' : 'booted, and what it installs stored'
    if (json) terminal.json<'image import'>({ name: plan.name, kind: plan.kind, file: plan.file, bytes: plan.bytes })
    else terminal.result(`would import ${plan.name}: ${plan.file}, ${gibibytes(plan.bytes)}: it would be ${what}`)
    return undefined
  }
  let configurationFailed = false
  const image = await withProgress(terminal, `importing ${file}`, async (onProgress) => {
    const tools = { shell: localShell, signal, onProgress }
    const plan = await planImport(request, tools)
    const journal = await openJournal({ directory: journalDirectory(), purpose: `image import ${plan.name}` })
    return withUndo(journal, { executors: undoExecutors }, (tracked) =>
      importImage(plan, {
        ...tools,
        journal: tracked,
        install: async (iso, disk) => {
          const { accelerator, reason } = await chooseAccelerator({ requested: options.accel, signal, onProgress })
          onProgress(`making a VM for it (${accelerator}: ${reason})`)
          return withConnection(
            options.connect,
            async (connection) => {
              const installed = await installImage(connection, iso, disk, {
                ...{ journal: tracked, signal, accelerator, onProgress, diskBytes },
                vmrVersion: packageJson.version,
              })
              configurationFailed = installed.configurationFailed
              return { release: installed.release }
            },
            signal,
          )
        },
      }),
    )
  })
  if (configurationFailed)
    terminal.warn(
      `the installed system had errors in its factory configuration at its first boot; its VMs show them at the next \`configure\``,
    )
  if (json) terminal.json<'image import'>(image)
  else {
    for (const line of describeImage(image)) terminal.result(line)
    terminal.result(`a VM of it: vmr vm create r1 --image ${image.name}`)
  }
  return undefined
}

function signatureOf({ signature, key }: ImageImportOptions) {
  if (signature === undefined && key === undefined) return undefined
  if (signature === undefined || key === undefined)
    throw new VmrError('USAGE', '--signature and --key go together', {
      hint: 'A signature proves nothing without the key that it must be of: --signature vyos.iso.minisig --key vyos.pub',
    })
  return { signature, key }
}

const minDiskBytes = 2 * 1024 ** 3

/** VyOS refuses less than 2 GB (CONST_MIN_DISK_SIZE in src/op_mode/image_installer.py). */
function diskSizeOf(text: string): number {
  const size = sizeSchema.safeParse(text)
  if (!size.success)
    throw new VmrError('USAGE', `--disk-size: ${size.error.issues[0]?.message}`, { hint: '--disk-size "10 GiB"' })
  const bytes = size.data * 1024
  if (bytes >= minDiskBytes) return bytes
  throw new VmrError('USAGE', `--disk-size ${text}: VyOS installs itself on 2 GiB or more`, {
    hint: 'The stored image takes no more room than what is in it.',
  })
}
