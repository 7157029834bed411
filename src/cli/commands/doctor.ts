import { examine } from '../../doctor/examine.ts'
import { areas, type Finding, type Level } from '../../doctor/finding.ts'
import { observeHost } from '../../doctor/observe-host.ts'
import { errorCodes } from '../../errors/codes.ts'
import { VmrError } from '../../errors/vmr-error.ts'
import { localShell } from '../../shell/local.ts'
import { runChecked } from '../../shell/shell.ts'
import { loadTestbed } from '../../testbed/testbed.ts'
import type { CommandContext, CommandStatus } from '../context.ts'
import { withProgress } from '../progress.ts'
import type { Terminal } from '../terminal.ts'

interface DoctorOptions {
  readonly json?: true | undefined
  readonly testbed: string
  readonly results: string
  readonly fix?: true | undefined
  readonly dryRun?: true | undefined
  readonly connect: string
}

export async function doctor({ terminal, signal }: CommandContext, options: DoctorOptions): Promise<CommandStatus> {
  if (options.dryRun && !options.fix)
    throw new VmrError('USAGE', '--dry-run shows what --fix would do', { hint: 'vmr doctor --fix --dry-run' })
  const testbed = await loadTestbed(options.testbed)
  const look = () =>
    withProgress(terminal, 'looking at this host', async (onProgress) =>
      examine(
        await observeHost({
          connect: options.connect,
          testbedName: options.testbed,
          testbed,
          resultsDirectory: options.results,
          signal,
          onProgress,
        }),
      ),
    )
  const before = await look()
  const fixes = options.fix ? before.flatMap(({ fix }) => (fix === undefined ? [] : [fix])) : []
  if (!options.dryRun)
    for (const { commands } of fixes) for (const argv of commands) await runChecked(localShell, argv, { signal })
  const findings = fixes.length > 0 && !options.dryRun ? await look() : before
  const words = fixes.map((fix) => fix.words)
  if (options.json) terminal.json<'doctor'>({ findings, [options.dryRun ? 'wouldFix' : 'fixed']: words })
  else {
    for (const line of linesOf(findings, terminal)) terminal.result(line)
    for (const each of words) terminal.result(`${options.dryRun ? 'would' : 'done:'} ${each}`)
  }
  return statusOf(findings)
}

const colours = { pass: 'green', warn: 'yellow', fail: 'red', skip: 'dim' } as const satisfies Record<Level, string>

function linesOf(findings: readonly Finding[], terminal: Terminal): readonly string[] {
  const width = Math.max(...findings.map(({ subject }) => subject.length))
  const count = (level: Level) => findings.filter((each) => each.level === level).length
  return [
    ...areas.flatMap((area) => {
      const own = findings.filter((each) => each.area === area)
      return own.length === 0
        ? []
        : [
            terminal.style('bold', area),
            ...own.flatMap(({ subject, level, message, hint }) => [
              `  ${terminal.style(colours[level], level.toUpperCase().padEnd(4))}  ${subject.padEnd(width)}  ${message}`,
              ...(hint === undefined || level === 'pass' ? [] : [`        ${' '.repeat(width)}  → ${hint}`]),
            ]),
          ]
    }),
    `${count('pass')} pass, ${count('warn')} warn, ${count('fail')} fail, ${count('skip')} skipped`,
  ]
}

function statusOf(findings: readonly Finding[]): CommandStatus {
  const failed = findings.filter(({ level }) => level === 'fail')
  if (failed.length === 0) return undefined
  return failed.every(({ area }) => area === 'libvirt') ? errorCodes.LIBVIRT_FAILED : errorCodes.HOST_COMMAND_FAILED
}
