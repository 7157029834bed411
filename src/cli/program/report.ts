import { type Command, Option } from '@commander-js/extra-typings'
import { runCommand } from '../run-command.ts'
import { command } from './command.ts'

export function reportCommand(program: Command) {
  command(program, 'report <run>')
    .description(
      'show a run: as a page of its own, a table, Markdown, what each interface mode carries, CSV or JUnit XML',
    )
    .addOption(
      new Option('--format <format>', 'html is one file without scripts, readable offline')
        .choices(['html', 'table', 'markdown', 'interface-modes', 'csv', 'junit'] as const)
        .default('html' as const),
    )
    .option('--output <file>', 'where to write it (default: report.html in the run’s folder; else standard output)')
    .option('--open', 'open the page in the browser')
    .addHelpText(
      'after',
      `
RUN is a run's folder, its name below results/, or \`latest\`.

Examples:
  $ vmr report latest --open
  $ vmr report results/20260131T101500Z-quick-1f3a --format markdown >> "$GITHUB_STEP_SUMMARY"
  $ vmr report latest --format junit --output report.xml
  $ vmr report latest --format interface-modes      of a run of the matrix ipv6`,
    )
    .option('--results <directory>', 'where run folders are', 'results')
    .action((run, options) =>
      runCommand(options, async (context) => (await import('../commands/report.ts')).report(context, run, options)),
    )
}
