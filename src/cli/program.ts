import { Command } from '@commander-js/extra-typings'
import packageJson from '../../package.json' with { type: 'json' }
import { applyCommand } from './program/apply.ts'
import { benchCommands } from './program/bench.ts'
import { command } from './program/command.ts'
import { diagnoseCommand } from './program/diagnose.ts'
import { doctorCommand } from './program/doctor.ts'
import { guestCommands } from './program/guest.ts'
import { imageCommands } from './program/image.ts'
import { labCommands } from './program/lab.ts'
import { nicCommands } from './program/nic.ts'
import { reportCommand } from './program/report.ts'
import { schemaCommand } from './program/schema.ts'
import { vmCommands } from './program/vm.ts'
import { runCommand } from './run-command.ts'

/**
 * Every command's words, and nothing else: an implementation is loaded when its command runs, so that `--help` costs
 * no more than commander itself. Nothing here may import zod, libvirt or a library (a test holds this).
 */
export function buildProgram() {
  const program = new Command('vmr')
    .description('Run a router VM under libvirt, measure every way to attach its NICs, and find what breaks IPv6')
    .version(packageJson.version)
    .showHelpAfterError('(see `vmr --help`)')
    .exitOverride((error) => process.exit(error.exitCode === 1 ? 2 : error.exitCode))
    .addHelpText(
      'after',
      `
Examples:
  $ vmr bench run --matrix quick             measure bridge, macvtap and macvtap-trust on the embedded lab
  $ vmr vm create r1 --nic macvtap           a router VM whose NICs are macvtaps
  $ vmr vm console r1                        its serial console; Ctrl-] leaves
  $ vmr diagnose r1                          why it is not reached, at which hop, and what mends it
  $ vmr cleanup                              remove what a killed run left behind

Exit status:
  0 done and healthy   1 defect in vmr      2 bad input        3 measured: a mode breaks a family
  4 host               5 libvirt            6 guest            7 image
  8 measurement        9 timed out          130/143 interrupted, and cleaned up`,
    )

  imageCommands(program)
  labCommands(program)
  nicCommands(program)
  vmCommands(program)
  guestCommands(program)
  applyCommand(program)
  benchCommands(program)
  diagnoseCommand(program)
  reportCommand(program)
  doctorCommand(program)
  schemaCommand(program)

  command(program, 'cleanup')
    .description('remove what killed runs left behind: VMs, namespaces, links, processes')
    .option('--dry-run', 'show what would be removed')
    .action((options) =>
      runCommand(options, async (context) => (await import('./commands/cleanup.ts')).cleanup(context, options)),
    )
  return program
}
