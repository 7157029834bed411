import { type Command, Option } from '@commander-js/extra-typings'
import { exitStatus } from '../../errors/codes.ts'
import { runCommand } from '../run-command.ts'
import { acceleratorOption, command, connectOption } from './command.ts'

export function benchCommands(program: Command) {
  const bench = program.command('bench').description('measurements')

  withSelection(command(bench, 'run'))
    .description('measure a matrix of cells and say which interface mode breaks which family')
    .option('--fail-on <kinds...>', 'exit 3 only for: regression (against --baseline), ipv6 (any mode that breaks it)')
    .option('--baseline <run>', 'what a regression is measured by (default: the run of this matrix before)')
    .addOption(acceleratorOption())
    .addOption(connectOption())
    .addHelpText(
      'after',
      `
Exit status: ${exitStatus.ok} when every cell was measured and is healthy, ${exitStatus.modeBroken} when a mode breaks a family.

Examples:
  $ vmr bench run --matrix quick
  $ vmr bench run --matrix quick --mode macvtap macvtap-trust --family ipv6 --json
  $ vmr bench run --matrix quick --duration 60 --tool iperf2        as in the talk
  $ vmr bench run --matrix deck --case forward --direction both --fail-on regression`,
    )
    .action((options) =>
      runCommand(options, async (context) => (await import('../commands/bench-run.ts')).benchRun(context, options)),
    )

  withSelection(command(bench, 'plan'))
    .description('show the cells of a matrix, their order and how long they would take, without running them')
    .option('--seed <number>', 'of what may be in any order', '1')
    .addHelpText('after', '\nExample:\n  $ vmr bench plan --matrix deck --dut vm --family ipv6')
    .action((options) =>
      runCommand(options, async (context) => (await import('../commands/bench-plan.ts')).benchPlan(context, options)),
    )

  command(bench, 'resume <run>')
    .description('finish a run that ended early: only what is missing is measured')
    .addOption(resultsOption())
    .addHelpText(
      'after',
      `
What the run that died left behind on the host is removed first.

Example:
  $ vmr bench resume latest`,
    )
    .action((run, options) =>
      runCommand(options, async (context) =>
        (await import('../commands/bench-resume.ts')).benchResume(context, run, options),
      ),
    )

  command(bench, 'list')
    .description('list the runs')
    .addOption(resultsOption())
    .addHelpText('after', '\nExample:\n  $ vmr bench list --json')
    .action((options) =>
      runCommand(options, async (context) =>
        (await import('../commands/bench-results.ts')).benchList(context, options),
      ),
    )

  command(bench, 'show <run>')
    .description('show the table of a run')
    .addOption(resultsOption())
    .addHelpText('after', '\nExample:\n  $ vmr bench show latest')
    .action((run, options) =>
      runCommand(options, async (context) =>
        (await import('../commands/bench-results.ts')).benchShow(context, run, options),
      ),
    )

  command(bench, 'compare <before> <after>')
    .description('compare two runs cell by cell; a difference is called one only where its 95 % interval says so')
    .addOption(new Option('--fail-on <kind>', 'exit 3 when a cell became worse').choices(['regression'] as const))
    .addOption(resultsOption())
    .addHelpText('after', '\nExample:\n  $ vmr bench compare 20260131T101500Z-deck-1f3a latest --fail-on regression')
    .action((before, after, options) =>
      runCommand(options, async (context) =>
        (await import('../commands/bench-results.ts')).benchCompare(context, before, after, options),
      ),
    )

  command(bench, 'history')
    .description('say of each cell what it is now, since when, and with which versions that came')
    .option('--case <cases...>', 'only these cases')
    .option('--mode <modes...>', 'only these interface modes')
    .option('--family <families...>', 'only ipv4 or ipv6')
    .option('--ipv6', 'the same as --family ipv6')
    .addOption(resultsOption())
    .addHelpText('after', '\nExample:\n  $ vmr bench history --ipv6 --mode macvtap')
    .action((options) =>
      runCommand(options, async (context) =>
        (await import('../commands/bench-results.ts')).benchHistory(context, options),
      ),
    )

  command(bench, 'import <folder>')
    .description('bring the folder of a run on another machine among the results')
    .addOption(resultsOption())
    .addHelpText('after', '\nExample:\n  $ vmr bench import /media/usb/20260131T101500Z-deck-1f3a')
    .action((folder, options) =>
      runCommand(options, async (context) =>
        (await import('../commands/bench-results.ts')).benchImport(context, folder, options),
      ),
    )
}

const resultsOption = () => new Option('--results <directory>', 'where run folders are').default('results')

/** Which cells, and how they are measured: the same for the run and its plan. */
function withSelection(bench: ReturnType<typeof command<'run'>>) {
  return bench
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
    .option(
      '--zero-loss [bytes...]',
      'also search the highest UDP rate without loss, for the cases that forward: by frame size',
    )
    .addOption(resultsOption())
}
