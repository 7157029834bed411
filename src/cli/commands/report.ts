import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { VmrError } from '../../errors/vmr-error.ts'
import { writeError } from '../../errors/write-error.ts'
import { runReport } from '../../report/run-report.ts'
import { findRun } from '../../results/find-run.ts'
import { readRun } from '../../results/run-folder.ts'
import type { Run } from '../../results/schema.ts'
import { localShell } from '../../shell/local.ts'
import type { CommandContext, CommandStatus } from '../context.ts'

interface ReportOptions {
  readonly json?: true | undefined
  readonly format: 'html' | 'table' | 'markdown' | 'interface-modes' | 'csv' | 'junit'
  readonly output?: string | undefined
  readonly open?: true | undefined
  readonly results: string
}

export async function report(
  { terminal, signal }: CommandContext,
  name: string,
  { json, format, output, open, results }: ReportOptions,
): Promise<CommandStatus> {
  if (open && (format !== 'html' || json))
    throw new VmrError('USAGE', '--open shows the HTML page, and no other format', { hint: 'Leave --format out.' })
  const folder = await findRun(name, results)
  const run = await readRun(folder)
  if (json) {
    terminal.json<'report'>(runReport(run, folder))
    return undefined
  }
  const text = await rendered(run, format, terminal.colour && output === undefined)
  const file = output ?? (format === 'html' ? join(folder, 'report.html') : undefined)
  if (file === undefined) {
    terminal.result(text.replace(/\r?\n$/, ''))
    return undefined
  }
  try {
    await writeFile(file, text)
  } catch (error) {
    throw writeError(`the report ${file}`, error, { permission: 'Choose another file with --output.' })
  }
  terminal.result(file)
  if (open) await localShell.run(['xdg-open', pathToFileURL(file).href], { timeoutMs: 10_000, signal })
  return undefined
}

/** Each format is loaded when it is asked for: the chart library alone is larger than all of vmr. */
async function rendered(run: Run, format: ReportOptions['format'], colour: boolean): Promise<string> {
  switch (format) {
    case 'html':
      return (await import('../../report/html/page.ts')).htmlPage(run)
    case 'table':
      return `${(await import('../../report/terminal-table.ts')).terminalTable(run, { colour })}\n`
    case 'markdown':
      return (await import('../../report/markdown.ts')).markdownReport(run)
    case 'interface-modes':
      return (await import('../../report/interface-modes.ts')).interfaceModes(run)
    case 'csv':
      return (await import('../../report/csv.ts')).csvReport(run)
    case 'junit':
      return (await import('../../report/junit.ts')).junitReport(run)
  }
}
