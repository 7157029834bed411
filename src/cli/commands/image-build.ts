import { cacheDirectory } from '../../config/paths.ts'
import { VmrError } from '../../errors/vmr-error.ts'
import { buildLabImage } from '../../image/lab-image.ts'
import { localShell } from '../../shell/local.ts'
import type { CommandContext, CommandStatus } from '../context.ts'
import { withProgress } from '../progress.ts'

interface ImageBuildOptions {
  readonly json?: true | undefined
  readonly refresh?: true | undefined
}

export async function imageBuild(
  { terminal, signal }: CommandContext,
  kind: string,
  { json, refresh }: ImageBuildOptions,
): Promise<CommandStatus> {
  if (kind !== 'lab')
    throw new VmrError('USAGE', `there is no image ${JSON.stringify(kind.slice(0, 40))} to build`, {
      hint: 'Build `lab`: vmr image build lab',
    })
  const image = await withProgress(terminal, 'building the lab router image', (report) =>
    buildLabImage({
      cacheDirectory: cacheDirectory(),
      shell: localShell,
      signal,
      onProgress: report,
      refresh: refresh === true,
    }),
  )
  if (json) terminal.json<'image build'>(image)
  else {
    terminal.result(`lab router image ${image.digest}`)
    terminal.result(`  kernel     ${image.kernel}`)
    terminal.result(`  initramfs  ${image.initramfs}`)
  }
  return undefined
}
