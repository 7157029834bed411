import type { Command } from '@commander-js/extra-typings'
import { runCommand } from '../run-command.ts'
import { acceleratorOption, command, connectOption } from './command.ts'

export function applyCommand(program: Command) {
  command(program, 'apply <definition>')
    .description('bring a VM to what its definition says, or make it: shows what changes, when, and what interrupts')
    .option('--name <name>', 'of the VM; default: that of the file')
    .option('--nic <mode>', 'interface mode of NICs that the definition gives none; default: as they are')
    .option(
      '--nic-option <ethN.field=value>',
      'a field of one NIC, over what the definition says; may be repeated',
      (value, before: readonly string[] = []) => [...before, value],
    )
    .option('--testbed <name>', 'where it runs: a file under testbeds', 'lab')
    .addOption(acceleratorOption())
    .option('--restart', 'restart the VM for what takes effect at its next start')
    .option('--yes', 'do not ask before traffic is interrupted')
    .addOption(connectOption())
    .option('--dry-run', 'show what would change')
    .addHelpText(
      'after',
      '\nExample:\n  $ vmr apply domains/r1.yaml --dry-run\n  $ vmr apply domains/r1.yaml --restart',
    )
    .action((file, options) =>
      runCommand(options, async (context) => (await import('../commands/apply.ts')).apply(context, file, options)),
    )
}
