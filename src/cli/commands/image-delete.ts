import { journalDirectory } from '../../config/paths.ts'
import { VmrError } from '../../errors/vmr-error.ts'
import { localShell } from '../../shell/local.ts'
import { hostExecutors } from '../../undo/host-executors.ts'
import { openJournal } from '../../undo/journal.ts'
import { withUndo } from '../../undo/undo-all.ts'
import { deleteImage, findUnusedImage } from '../../vm/delete-image.ts'
import { withConnection } from '../../vm/host.ts'
import { confirm } from '../confirm.ts'
import type { CommandContext, CommandStatus } from '../context.ts'
import { gibibytes } from './image-list.ts'

interface ImageDeleteOptions {
  readonly json?: true | undefined
  readonly yes?: true | undefined
  readonly dryRun?: true | undefined
  readonly connect: string
}

export async function imageDelete(
  { terminal, signal }: CommandContext,
  name: string,
  { json, yes, dryRun, connect }: ImageDeleteOptions,
): Promise<CommandStatus> {
  return withConnection(
    connect,
    async (connection) => {
      const tools = { shell: localShell, signal }
      const image = await findUnusedImage(connection, name, tools)
      if (dryRun) {
        if (json) terminal.json<'image delete'>({ name, wouldRemove: image.file })
        else terminal.result(`would remove ${name}: ${image.file}, ${gibibytes(image.bytes)}`)
        return undefined
      }
      if (!yes && !(await confirm(`Remove the image ${name}?`, signal)))
        throw new VmrError('USAGE', `${name} was not removed: nobody said yes`, { hint: 'Give --yes.' })
      const journal = await openJournal({ directory: journalDirectory(), purpose: `image delete ${name}` })
      await withUndo(journal, { executors: hostExecutors }, (tracked) =>
        deleteImage(connection, name, { ...tools, journal: tracked }),
      )
      if (json) terminal.json<'image delete'>({ name, removed: image.file })
      else terminal.result(`${name} is removed`)
      return undefined
    },
    signal,
  )
}
