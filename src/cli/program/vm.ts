import { type Command, Option } from '@commander-js/extra-typings'
import { exitStatus } from '../../errors/codes.ts'
import { runCommand } from '../run-command.ts'
import { acceleratorOption, command, connectOption, plainCommand } from './command.ts'

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
    .option('--domain <name>', 'VM definition: a file under domains; default: lab-router, vyos with --image or --iso')
    .addOption(
      new Option('--image <name>', 'what boots instead: an image of `vmr image list`, or a qcow2 file').conflicts(
        'iso',
      ),
    )
    .option('--iso <file>', 'boot a live ISO, without a disk: for a trial without an installation')
    .option('--testbed <name>', 'where it runs: a file under testbeds', 'lab')
    .addOption(acceleratorOption())
    .addOption(connectOption())
    .option('--template <name>', 'VyOS commands that it gets and keeps: a file under templates/vyos')
    .option(
      '--set <variable=value>',
      'value of a variable of the template; may be repeated',
      (value, before: readonly string[] = []) => [...before, value],
    )
    .option('--no-addresses', 'leave the guest without the addresses that the testbed has for it')
    .option('--ssh-key <file>', 'a public key that its user may log in with by SSH')
    .option('--dry-run', 'print the domain XML and change nothing')
    .addHelpText(
      'after',
      '\nExamples:\n  $ vmr vm create r1 --nic macvtap-trust\n  $ vmr vm create r1 --nic-option eth0.mtu=1400 --nic-option eth1.link=down\n  $ vmr vm create r1 --image vyos-1.4.1 --nic macvtap\n  $ vmr vm create trial --iso vyos-1.4.1-amd64.iso\n  $ vmr vm create r1 --template ssh-key --set key="$(cat ~/.ssh/id_ed25519.pub)"',
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
  command(vm, 'reboot <name>')
    .description('ask the guest to reboot, by ACPI')
    .addOption(connectOption())
    .action((name, options) =>
      runCommand(options, async (context) =>
        (await import('../commands/vm-power.ts')).vmChangePower(context, 'reboot', name, options),
      ),
    )
  command(vm, 'reset <name>')
    .description('restart a VM as its reset button would: the guest learns nothing of it')
    .addOption(connectOption())
    .action((name, options) =>
      runCommand(options, async (context) =>
        (await import('../commands/vm-power.ts')).vmChangePower(context, 'reset', name, options),
      ),
    )
  command(vm, 'pause <name>')
    .description('stop the processors of a VM')
    .addOption(connectOption())
    .action((name, options) =>
      runCommand(options, async (context) =>
        (await import('../commands/vm-power.ts')).vmChangePower(context, 'pause', name, options),
      ),
    )
  command(vm, 'resume <name>')
    .description('let a paused VM run on')
    .addOption(connectOption())
    .action((name, options) =>
      runCommand(options, async (context) =>
        (await import('../commands/vm-power.ts')).vmChangePower(context, 'resume', name, options),
      ),
    )
  command(vm, 'autostart <name> <on|off>')
    .description('whether a VM starts with the host')
    .addOption(connectOption())
    .addHelpText('after', '\nExample:\n  $ vmr vm autostart r1 on')
    .action((name, onOff, options) =>
      runCommand(options, async (context) =>
        (await import('../commands/vm-power.ts')).vmAutostart(context, name, onOff, options),
      ),
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
  command(vm, 'rename <name> <new-name>')
    .description('give a VM that does not run another name; its MAC addresses stay')
    .option('--dry-run', 'check the names and change nothing')
    .addOption(connectOption())
    .action((name, newName, options) =>
      runCommand(options, async (context) =>
        (await import('../commands/vm-rename.ts')).vmRename(context, name, newName, options),
      ),
    )
  command(vm, 'clone <name> <new-name>')
    .description('another VM like this one, with MAC addresses and disks of its own')
    .option('--dry-run', 'print its domain XML and change nothing')
    .addOption(connectOption())
    .addHelpText('after', '\nExample:\n  $ vmr vm clone r1 r2 && vmr vm start r2')
    .action((name, newName, options) =>
      runCommand(options, async (context) =>
        (await import('../commands/vm-clone.ts')).vmClone(context, name, newName, options),
      ),
    )
  command(vm, 'edit <name>')
    .description('change the domain XML of a VM, in $EDITOR; what vmr or libvirt refuses is not taken')
    .option('--file <path>', 'take the XML from a file instead, or from standard input (-)')
    .option('--dry-run', 'show what would change')
    .addOption(connectOption())
    .addHelpText(
      'after',
      '\nExample:\n  $ vmr vm xml r1 --inactive > r1.xml; $EDITOR r1.xml; vmr vm edit r1 --file r1.xml',
    )
    .action((name, options) =>
      runCommand(options, async (context) => (await import('../commands/vm-edit.ts')).vmEdit(context, name, options)),
    )
  command(vm, 'snapshot <name> [snapshot]')
    .description('keep the disks of a VM as they are, and its memory if it runs')
    .option('--list', 'list its snapshots')
    .option('--delete', 'remove that snapshot')
    .addOption(connectOption())
    .addHelpText('after', '\nExample:\n  $ vmr vm snapshot r1 before-upgrade')
    .action((name, snapshot, options) =>
      runCommand(options, async (context) =>
        (await import('../commands/vm-snapshot.ts')).vmSnapshot(context, name, snapshot, options),
      ),
    )
  command(vm, 'revert <name> <snapshot>')
    .description('bring a VM back to a snapshot')
    .option('--yes', 'do not ask')
    .addOption(connectOption())
    .action((name, snapshot, options) =>
      runCommand(options, async (context) =>
        (await import('../commands/vm-snapshot.ts')).vmRevert(context, name, snapshot, options),
      ),
    )
  command(vm, 'adopt <name>')
    .description('take over a domain that vmr did not make; its disks stay its owner’s')
    .addOption(
      new Option('--os <system>', 'what runs in it').choices(['vyos', 'lab-router'] as const).default('vyos' as const),
    )
    .option('--testbed <name>', 'where it runs: a file under testbeds')
    .option('--dry-run', 'print what would be noted in it and change nothing')
    .addOption(connectOption())
    .action((name, options) =>
      runCommand(options, async (context) => (await import('../commands/vm-adopt.ts')).vmAdopt(context, name, options)),
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
    .description('show a VM: what its definition, libvirt, the kernel and the guest say of it, and where they differ')
    .option('--no-guest', 'leave its console alone')
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
  plainCommand(vm, 'console <name>')
    .description('the serial console; Ctrl-] leaves')
    .option('--force', 'take the console over from another client')
    .addOption(connectOption())
    .action((name, options) =>
      runCommand(options, async (context) =>
        (await import('../commands/vm-console.ts')).vmConsole(context, name, options),
      ),
    )
  plainCommand(vm, 'ssh <name> [command...]')
    .description('a session in the guest by SSH, or one command of its operational mode')
    .option('--host <address>', 'where it is reached from this host; default: at the testbed’s addresses, from its PCs')
    .option('--user <name>', 'whom to log in as; ssh asks for the password')
    .option('--ask-password', 'have ssh ask for the password instead of giving it the factory’s')
    .option('--linux', 'the command is one of Linux')
    .addOption(connectOption())
    .addHelpText(
      'after',
      `
The guest’s host keys are those that were read over its console, at the first time; what shows others is refused.
OpenSSH’s client does the rest, with your keys, agent and ssh_config.

Examples:
  $ vmr vm ssh r1
  $ vmr vm ssh r1 -- show interfaces
  $ vmr vm ssh r1 --linux -- ip -6 route`,
    )
    .action((name, words, options) =>
      runCommand(options, async (context) =>
        (await import('../commands/vm-ssh.ts')).vmSsh(context, name, words, options),
      ),
    )
  command(vm, 'trust <name>')
    .description('pin the SSH host keys of a guest, read over its console: after it was installed anew')
    .addOption(connectOption())
    .action((name, options) =>
      runCommand(options, async (context) => (await import('../commands/vm-ssh.ts')).vmTrust(context, name, options)),
    )
  command(vm, 'logs <name>')
    .description('what the guest wrote to its serial console, or QEMU to its log')
    .option('--qemu', 'the log of QEMU')
    .option('-n, --lines <count>', 'only the last lines', '200')
    .option('--follow', 'and what comes, until Ctrl-C')
    .addOption(connectOption())
    .addHelpText('after', '\nExample:\n  $ vmr vm logs r1 --follow')
    .action((name, options) =>
      runCommand(options, async (context) => (await import('../commands/vm-logs.ts')).vmLogs(context, name, options)),
    )
  command(vm, 'events [name]')
    .description('what happens to VMs, as it happens, until Ctrl-C; with --json one object a line')
    .option('--follow', 'the same: it ends only with Ctrl-C')
    .addOption(connectOption())
    .addHelpText('after', '\nExample:\n  $ vmr vm events r1 --json')
    .action((name, options) =>
      runCommand(options, async (context) =>
        (await import('../commands/vm-events.ts')).vmEvents(context, name, options),
      ),
    )
  command(vm, 'wait <name>')
    .description('wait until a VM is stopped, answers on its console or by SSH, or has IPv6 addresses that may be used')
    .addOption(
      new Option('--for <state>', 'what to wait for')
        .choices(['console', 'ssh', 'ipv6', 'stopped'] as const)
        .default('console' as const),
    )
    .option('--timeout <seconds>', 'how long to wait; default: as long as that guest may boot, longer without KVM')
    .addOption(connectOption())
    .addHelpText(
      'after',
      `
While it waits it says where the guest stands: loader, kernel, configuration loading, configuration failed, login.
Exit status: 0 when it is so, ${exitStatus.configurationFailed} when it is and VyOS came up without part of its configuration, 6 when the boot hangs.

Example:
  $ vmr vm wait r1 --for stopped --timeout 60`,
    )
    .action((name, options) =>
      runCommand(options, async (context) => (await import('../commands/vm-wait.ts')).vmWait(context, name, options)),
    )
  command(vm, 'stats <name>')
    .description('rates of each NIC and use of the processor, measured over an interval')
    .option('--interval <seconds>', 'what is averaged over', '1')
    .option('--watch', 'again and again, until Ctrl-C')
    .addOption(connectOption())
    .addHelpText('after', '\nExample:\n  $ vmr vm stats r1 --watch')
    .action((name, options) =>
      runCommand(options, async (context) => (await import('../commands/vm-stats.ts')).vmStats(context, name, options)),
    )
}
