import { randomUUID } from 'node:crypto'
import { findTool } from '../shell/local/tools.ts'
import type { Shell } from '../shell/shell.ts'
import type { Journal } from './journal.ts'
import { markVariable } from './marked-processes.ts'

const recordedCommandLength = 300

/**
 * The same shell, except that a command it starts is in the journal until it has ended: it does not outlive vmr, not
 * even when vmr is killed. For shells whose processes run on this host: local and netns.
 */
export function journaledShell(shell: Shell, journal: Journal): Shell {
  return {
    ...shell,
    async start(argv, options) {
      // Behind `env` a missing program would be an exit status.
      await findTool(argv[0] ?? '')
      const mark = randomUUID()
      const command = argv.join(' ').slice(0, recordedCommandLength)
      const id = await journal.before({ kind: 'process', mark, command })
      try {
        const running = await shell.start(['env', `${markVariable}=${mark}`, ...argv], options)
        // The journal may be gone by then, or the disk full: an entry for a process that has ended does no harm.
        const ended = running.ended.then(async (result) => {
          await journal.undone(id).catch(() => undefined)
          return result
        })
        return {
          ...running,
          ended,
          stop: async () => {
            await running.stop()
            return ended
          },
        }
      } catch (error) {
        await journal.undone(id)
        throw error
      }
    },
  }
}
