import { Command, Option } from '@commander-js/extra-typings'
import packageJson from '../../package.json' with { type: 'json' }
import { exitStatus } from '../errors/codes.ts'
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
  $ vmr cleanup                              remove what a killed run left behind

Exit status:
  0 done and healthy   1 defect in vmr      2 bad input        3 measured: a mode breaks a family
  4 host               5 libvirt            6 guest            7 image
  8 measurement        9 timed out          130/143 interrupted, and cleaned up`,
    )

  imageCommands(program)
  labCommands(program)
  vmCommands(program)
  benchCommands(program)

  command(program, 'cleanup')
    .description('remove what killed runs left behind: VMs, namespaces, links, processes')
    .option('--dry-run', 'show what would be removed')
    .action((options) =>
      runCommand(options, async (context) => (await import('./commands/cleanup.ts')).cleanup(context, options)),
    )
  return program
}

/** Options that every command has, so that scripts and bug reports work the same everywhere. */
function command<const Usage extends string>(parent: Command, usage: Usage) {
  return parent
    .command(usage)
    .option('--json', 'print the result as JSON')
    .option('--debug', 'show the cause and the stack of an error')
}

const acceleratorOption = () =>
  new Option('--accel <kind>', 'auto takes KVM only if a test boot succeeds')
    .choices(['auto', 'kvm', 'tcg'] as const)
    .default('auto' as const)

const connectOption = () => new Option('--connect <uri>', 'libvirt connection').default('qemu:///system')

function imageCommands(program: Command) {
  const image = program.command('image').description('guest images')
  command(image, 'build <kind>')
    .description('build a guest image; the kind is `lab`: a small VyOS-syntax router made from Debian packages')
    .option('--refresh', 'ask apt for newer packages even if a built image is at hand')
    .action((kind, options) =>
      runCommand(options, async (context) =>
        (await import('./commands/image-build.ts')).imageBuild(context, kind, options),
      ),
    )
}

function labCommands(program: Command) {
  const lab = program
    .command('lab')
    .description('the embedded testbed: two PCs as network namespaces, two shaped links, no hardware')
  command(lab, 'up')
    .description('make what is missing of the lab')
    .action((options) =>
      runCommand(options, async (context) => (await import('./commands/lab.ts')).labUpCommand(context, options)),
    )
  command(lab, 'down')
    .description('remove the whole lab')
    .action((options) =>
      runCommand(options, async (context) => (await import('./commands/lab.ts')).labDownCommand(context, options)),
    )
  command(lab, 'status')
    .description('show what of the lab exists')
    .action((options) =>
      runCommand(options, async (context) => (await import('./commands/lab.ts')).labStatusCommand(context, options)),
    )
}

function vmCommands(program: Command) {
  const vm = program.command('vm').description('router VMs')
  command(vm, 'create <name>')
    .description('define a VM, start it and wait for its console')
    .option('--nic <mode>', 'interface mode of its NICs: a file under templates/nics', 'bridge')
    .option('--domain <name>', 'VM definition: a file under domains', 'lab-router')
    .option('--testbed <name>', 'where it runs: a file under testbeds', 'lab')
    .addOption(acceleratorOption())
    .addOption(connectOption())
    .option('--dry-run', 'print the domain XML and change nothing')
    .addHelpText('after', '\nExample:\n  $ vmr vm create r1 --nic macvtap-trust')
    .action((name, options) =>
      runCommand(options, async (context) =>
        (await import('./commands/vm-create.ts')).vmCreate(context, name, options),
      ),
    )
  command(vm, 'start <name>')
    .description('start a VM that is defined and wait for its console')
    .addOption(connectOption())
    .action((name, options) =>
      runCommand(options, async (context) => (await import('./commands/vm-power.ts')).vmStart(context, name, options)),
    )
  command(vm, 'stop <name>')
    .description('shut a VM down: by ACPI, and harder when the time is over')
    .option('--timeout <seconds>', 'how long the guest may take to shut down by itself', '30')
    .addOption(connectOption())
    .action((name, options) =>
      runCommand(options, async (context) => (await import('./commands/vm-power.ts')).vmStop(context, name, options)),
    )
  command(vm, 'delete <name>')
    .description('remove a VM and what vmr made for it')
    .option('--yes', 'do not ask')
    .option('--dry-run', 'show what would be removed')
    .addOption(connectOption())
    .action((name, options) =>
      runCommand(options, async (context) =>
        (await import('./commands/vm-delete.ts')).vmDelete(context, name, options),
      ),
    )
  command(vm, 'list')
    .description('list the VMs that vmr made')
    .addOption(connectOption())
    .action((options) =>
      runCommand(options, async (context) => (await import('./commands/vm-list.ts')).vmList(context, options)),
    )
  command(vm, 'show <name>')
    .description('show a VM: state, interface modes, image, logs')
    .addOption(connectOption())
    .action((name, options) =>
      runCommand(options, async (context) => (await import('./commands/vm-show.ts')).vmShow(context, name, options)),
    )
  command(vm, 'xml <name>')
    .description('print the domain XML: of the running VM, or as defined')
    .option('--inactive', 'as defined, also while it runs')
    .option('--diff', 'what differs between defined and running')
    .addOption(connectOption())
    .action((name, options) =>
      runCommand(options, async (context) => (await import('./commands/vm-xml.ts')).vmXml(context, name, options)),
    )
  command(vm, 'console <name>')
    .description('the serial console; Ctrl-] leaves')
    .option('--force', 'take the console over from another client')
    .addOption(connectOption())
    .action((name, options) =>
      runCommand(options, async (context) =>
        (await import('./commands/vm-console.ts')).vmConsole(context, name, options),
      ),
    )
}

function benchCommands(program: Command) {
  const bench = program.command('bench').description('measurements')
  command(bench, 'run')
    .description('measure a matrix of cells and say which interface mode breaks which family')
    .option('--matrix <name>', 'which cells: a file under matrices', 'quick')
    .option('--mode <modes...>', 'only these interface modes')
    .option('--family <families...>', 'only ipv4 or ipv6')
    .addOption(new Option('--tool <tool>', 'what measures throughput').choices(['iperf3', 'iperf2'] as const))
    .option('--duration <seconds>', 'of one measurement (default: the matrix says)')
    .option('--repetitions <count>', 'measurements a cell (default: the matrix says)')
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
      runCommand(options, async (context) => (await import('./commands/bench-run.ts')).benchRun(context, options)),
    )
}
