import type { Command } from '@commander-js/extra-typings'
import { runCommand } from '../run-command.ts'
import { command } from './command.ts'

export function labCommands(program: Command) {
  const lab = program
    .command('lab')
    .description('the embedded testbed: two PCs as network namespaces, two shaped links, no hardware')
  command(lab, 'up')
    .description('make what is missing of the lab')
    .action((options) =>
      runCommand(options, async (context) => (await import('../commands/lab.ts')).labUpCommand(context, options)),
    )
  command(lab, 'down')
    .description('remove the whole lab')
    .action((options) =>
      runCommand(options, async (context) => (await import('../commands/lab.ts')).labDownCommand(context, options)),
    )
  command(lab, 'status')
    .description('show what of the lab exists')
    .action((options) =>
      runCommand(options, async (context) => (await import('../commands/lab.ts')).labStatusCommand(context, options)),
    )
}
