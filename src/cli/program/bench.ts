import { type Command, Option } from '@commander-js/extra-typings'
import { exitStatus } from '../../errors/codes.ts'
import { runCommand } from '../run-command.ts'
import { acceleratorOption, command, connectOption } from './command.ts'

export function benchCommands(program: Command) {
  const bench = program.command('bench').description('measurements')
  command(bench, 'run')
    .description('measure a matrix of cells and say which interface mode breaks which family')
    .option('--matrix <name>', 'which cells: a file under matrices', 'quick')
    .option('--case <cases...>', 'only these cases')
    .option('--mode <modes...>', 'only these interface modes of the VM')
    .option('--dut <duts...>', 'only vm or host as the device under test')
    .option('--family <families...>', 'only ipv4 or ipv6')
    .option('--direction <ways...>', 'only there, back, or both at once')
    .addOption(new Option('--tool <tool>', 'what measures throughput').choices(['iperf3', 'iperf2'] as const))
    .addOption(new Option('--protocol <protocol>', 'what it measures with').choices(['tcp', 'udp'] as const))
    .option('--duration <seconds>', 'of one measurement (default: the matrix says)')
    .option('--repetitions <count>', 'measurements a cell (default: the matrix says)')
    .option('--streams <count>', 'connections at once (default: the matrix says)')
    .option('--results <directory>', 'where run folders go', 'results')
    .addOption(acceleratorOption())
    .addOption(connectOption())
    .addHelpText(
      'after',
      `
Exit status: ${exitStatus.ok} when every cell was measured and is healthy, ${exitStatus.modeBroken} when a mode breaks a family.

Examples:
  $ vmr bench run --matrix quick
  $ vmr bench run --matrix quick --mode macvtap macvtap-trust --family ipv6 --json
  $ vmr bench run --matrix quick --duration 60 --tool iperf2        as in the talk`,
    )
    .action((options) =>
      runCommand(options, async (context) => (await import('../commands/bench-run.ts')).benchRun(context, options)),
    )
}
