import type { Command } from '@commander-js/extra-typings'
import { runCommand } from '../run-command.ts'
import { plainCommand } from './command.ts'

export function schemaCommand(program: Command) {
  plainCommand(program, 'schema [words...]')
    .description('the JSON schema of what a command prints with --json, or of a file of a run; without words: the list')
    .addHelpText(
      'after',
      '\nExamples:\n  $ vmr schema vm list\n  $ vmr schema cell          a line of a run’s cells.ndjson',
    )
    .action((words, options) =>
      runCommand(options, async (context) => (await import('../commands/schema.ts')).schema(context, words)),
    )
}
