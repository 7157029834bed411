import type { Terminal } from './terminal.ts'

/** Says what is going on right now, in a few words; `detail` is shown below until another one comes. */
export type ReportProgress = (activity: string, detail?: string) => void

/**
 * Shows one line that follows the task while a person watches, and nothing in pipes and CI.
 * The line goes to standard error and is gone when the task ends: results are printed by the command itself.
 */
export async function withProgress<T>(
  terminal: Terminal,
  title: string,
  task: (report: ReportProgress) => Promise<T>,
): Promise<T> {
  if (!terminal.interactive) return task(() => undefined)
  const { Listr, ListrLogger, ProcessOutput } = await import('listr2')
  let outcome: { readonly value: T } | undefined
  const list = new Listr(
    [
      {
        title,
        task: async (_context, view) => {
          outcome = {
            value: await task((activity, detail) => {
              view.title = `${title}: ${activity}`
              if (detail !== undefined) view.output = detail
            }),
          }
        },
      },
    ],
    {
      registerSignalListeners: false,
      rendererOptions: {
        clearOutput: true,
        logger: new ListrLogger({ processOutput: new ProcessOutput(process.stderr, process.stderr) }),
      },
    },
  )
  await list.run()
  if (outcome === undefined) throw new Error(`${title} ended without a result`)
  return outcome.value
}
