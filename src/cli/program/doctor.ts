import type { Command } from '@commander-js/extra-typings'
import { runCommand } from '../run-command.ts'
import { command, connectOption } from './command.ts'

export function doctorCommand(program: Command) {
  command(program, 'doctor')
    .description('look at this host, libvirt, KVM, tools and network, and say what is in the way')
    .option('--testbed <name>', 'whose uplinks to look at: a file under testbeds', 'lab')
    .option('--results <directory>', 'where run folders go', 'results')
    .option('--fix', 'mend what can be mended without taking anything from anybody')
    .option('--dry-run', 'with --fix: show what would be mended')
    .addOption(connectOption())
    .addHelpText(
      'after',
      `
Exit status: 0 with no FAIL, 5 when only libvirt fails a check, else 4.

Examples:
  $ sudo vmr doctor
  $ sudo vmr doctor --fix`,
    )
    .action((options) =>
      runCommand(options, async (context) => (await import('../commands/doctor.ts')).doctor(context, options)),
    )
}
