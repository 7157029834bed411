import type { Command } from '@commander-js/extra-typings'
import { runCommand } from '../run-command.ts'
import { acceleratorOption, command, connectOption } from './command.ts'

export function vmCommands(program: Command) {
  const vm = program.command('vm').description('router VMs')
  command(vm, 'create <name>')
    .description('define a VM, start it and wait for its console')
    .option('--nic <mode>', 'interface mode of its NICs: a file under templates/nics', 'bridge')
    .option(
      '--nic-option <ethN.field=value>',
      'a field of one NIC, over what the definition says; may be repeated',
      (value, before: readonly string[] = []) => [...before, value],
    )
    .option('--domain <name>', 'VM definition: a file under domains', 'lab-router')
    .option('--testbed <name>', 'where it runs: a file under testbeds', 'lab')
    .addOption(acceleratorOption())
    .addOption(connectOption())
    .option('--dry-run', 'print the domain XML and change nothing')
    .addHelpText(
      'after',
      '\nExamples:\n  $ vmr vm create r1 --nic macvtap-trust\n  $ vmr vm create r1 --nic-option eth0.mtu=1400 --nic-option eth1.link=down',
    )
    .action((name, options) =>
      runCommand(options, async (context) =>
        (await import('../commands/vm-create.ts')).vmCreate(context, name, options),
      ),
    )
  command(vm, 'start <name>')
    .description('start a VM that is defined and wait for its console')
    .addOption(connectOption())
    .action((name, options) =>
      runCommand(options, async (context) => (await import('../commands/vm-power.ts')).vmStart(context, name, options)),
    )
  command(vm, 'stop <name>')
    .description('shut a VM down: by ACPI, and harder when the time is over')
    .option('--timeout <seconds>', 'how long the guest may take to shut down by itself', '30')
    .addOption(connectOption())
    .action((name, options) =>
      runCommand(options, async (context) => (await import('../commands/vm-power.ts')).vmStop(context, name, options)),
    )
  command(vm, 'delete <name>')
    .description('remove a VM and what vmr made for it')
    .option('--yes', 'do not ask')
    .option('--dry-run', 'show what would be removed')
    .addOption(connectOption())
    .action((name, options) =>
      runCommand(options, async (context) =>
        (await import('../commands/vm-delete.ts')).vmDelete(context, name, options),
      ),
    )
  command(vm, 'switch <name>')
    .description('attach the NICs of a VM in another way, while it runs')
    .requiredOption('--nic <mode>', 'interface mode: a file under templates/nics')
    .option('--only <nics...>', 'only these NICs, by the names that the guest has for them')
    .option('--source <name>', 'bridge, uplink or libvirt network to attach to instead of what the testbed says')
    .option('--stp', 'the bridge that vmr makes runs spanning tree')
    .option('--multicast-snooping', 'the bridge that vmr makes snoops IGMP and MLD')
    .option('--dry-run', 'show what would be done and change nothing')
    .option('--no-verify', 'do not probe afterwards, from cold neighbour caches, what reaches the VM')
    .addOption(connectOption())
    .addHelpText('after', '\nExample:\n  $ vmr vm switch r1 --nic macvtap-trust --only eth1')
    .action((name, options) =>
      runCommand(options, async (context) =>
        (await import('../commands/vm-switch.ts')).vmSwitch(context, name, options),
      ),
    )
  command(vm, 'list')
    .description('list the VMs that vmr made')
    .addOption(connectOption())
    .action((options) =>
      runCommand(options, async (context) => (await import('../commands/vm-list.ts')).vmList(context, options)),
    )
  command(vm, 'show <name>')
    .description('show a VM: state, interface modes, image, logs')
    .addOption(connectOption())
    .action((name, options) =>
      runCommand(options, async (context) => (await import('../commands/vm-show.ts')).vmShow(context, name, options)),
    )
  command(vm, 'xml <name>')
    .description('print the domain XML: of the running VM, or as defined')
    .option('--inactive', 'as defined, also while it runs')
    .option('--diff', 'what differs between defined and running')
    .addOption(connectOption())
    .action((name, options) =>
      runCommand(options, async (context) => (await import('../commands/vm-xml.ts')).vmXml(context, name, options)),
    )
  command(vm, 'console <name>')
    .description('the serial console; Ctrl-] leaves')
    .option('--force', 'take the console over from another client')
    .addOption(connectOption())
    .action((name, options) =>
      runCommand(options, async (context) =>
        (await import('../commands/vm-console.ts')).vmConsole(context, name, options),
      ),
    )
}
