import { errorCodes } from '../../errors/codes.ts'
import { percent } from '../../image/import-image.ts'
import { findStoredImage, listStoredImages } from '../../image/stored-image.ts'
import { type ImageVerdict, verifyImage } from '../../image/verify-image.ts'
import { localShell } from '../../shell/local.ts'
import type { CommandContext, CommandStatus } from '../context.ts'
import { withProgress } from '../progress.ts'

export async function imageVerify(
  { terminal, signal }: CommandContext,
  names: readonly string[],
  { json }: { readonly json?: true | undefined },
): Promise<CommandStatus> {
  const images = names.length === 0 ? await listStoredImages() : await Promise.all(names.map(findStoredImage))
  const verdicts = await withProgress(terminal, 'verifying', async (report) => {
    const done: ImageVerdict[] = []
    for (const image of images) {
      const onProgress = (bytes: number) => report(`${image.name} ${percent(bytes, image.bytes)}`)
      done.push(await verifyImage(image, { shell: localShell, signal, onProgress }))
    }
    return done
  })
  if (json) terminal.json<'image verify'>(verdicts)
  else if (verdicts.length === 0) terminal.result('no image is imported')
  else
    for (const { name, intact, problem } of verdicts)
      terminal.result(intact ? `${name} is intact` : `${name} is not what was imported: ${problem}`)
  return verdicts.every(({ intact }) => intact) ? undefined : errorCodes.IMAGE_INVALID
}
