import { type Command, Option } from '@commander-js/extra-typings'
import { runCommand } from '../run-command.ts'
import { command, connectOption } from './command.ts'

const fileOption = ['--file <yaml>', 'what its network shall be; without it, the addresses of its testbed'] as const

const viaOption = () =>
  new Option(
    '--via <way>',
    'the console, which always works, SSH, or the HTTP API; auto: SSH where it answers with its pinned host key, else the console',
  )
    .choices(['console', 'ssh', 'api', 'auto'] as const)
    .default('console' as const)

const hostOption = [
  '--host <address>',
  'where SSH or the API is reached from this host, for SSH also by ssh_config; default: at the testbed’s addresses',
] as const
const keyOption = [
  '--api-key-file <file>',
  'the key of its API; default: the one that `guest enable-api` gave it',
] as const

export function guestCommands(program: Command) {
  const guest = program
    .command('guest')
    .description('configuration of the VyOS in a VM, over its console, by SSH or by its HTTP API')
  command(guest, 'plan <name>')
    .description('show the commands that `guest apply` would send: the difference to what is active')
    .option(...fileOption)
    .addOption(viaOption())
    .option(...hostOption)
    .option(...keyOption)
    .addOption(connectOption())
    .addHelpText('after', '\nExample:\n  $ vmr guest plan r1 --file net.yaml')
    .action((name, options) =>
      runCommand(options, async (context) => (await import('../commands/guest.ts')).guestPlan(context, name, options)),
    )
  command(guest, 'apply <name>')
    .description('bring the guest to a network configuration in one commit: all of it or nothing; the rest stays')
    .option(...fileOption)
    .option('--dry-run', 'show the commands and change nothing')
    .option('--save', 'also write the configuration to the guest’s disk, so that it outlasts a restart')
    .addOption(viaOption())
    .option(...hostOption)
    .option(...keyOption)
    .addOption(connectOption())
    .addHelpText(
      'after',
      `
Examples:
  $ vmr guest apply r1 --file net.yaml --dry-run
  $ vmr guest apply r1 --file net.yaml --save

net.yaml:
  ethernets:
    eth0: { addresses: [192.168.1.1/24, "2001:db8:1::1/64"], mtu: 1400 }
    eth1: { vlans: { "10": { addresses: [10.10.10.1/24] } } }
  routes:
    - { to: 10.77.0.0/16, via: 192.168.1.2 }`,
    )
    .action((name, options) =>
      runCommand(options, async (context) => (await import('../commands/guest.ts')).guestApply(context, name, options)),
    )
  command(guest, 'show <name>')
    .description('show its active configuration as set commands, without passwords and keys')
    .addOption(viaOption())
    .option(...hostOption)
    .option(...keyOption)
    .addOption(connectOption())
    .addHelpText('after', '\nExample:\n  $ vmr guest show r1 | grep eth0')
    .action((name, options) =>
      runCommand(options, async (context) => (await import('../commands/guest.ts')).guestShow(context, name, options)),
    )
  command(guest, 'reset <name>')
    .description('take back all that vmr has set in the guest; what others set stays. By the API: what came by the API')
    .option('--dry-run', 'show the commands and change nothing')
    .option('--save', 'also write the configuration to the guest’s disk')
    .addOption(viaOption())
    .option(...hostOption)
    .option(...keyOption)
    .addOption(connectOption())
    .addHelpText('after', '\nExample:\n  $ vmr guest reset r1 --dry-run')
    .action((name, options) =>
      runCommand(options, async (context) => (await import('../commands/guest.ts')).guestReset(context, name, options)),
    )
  command(guest, 'enable-api <name>')
    .description(
      'switch its HTTP API on, over its console: with a key that vmr makes and keeps, and its certificate pinned',
    )
    .option('--save', 'also write the configuration to the guest’s disk')
    .addOption(connectOption())
    .addHelpText('after', '\nExample:\n  $ vmr guest enable-api r1 --save && vmr guest show r1 --via api')
    .action((name, options) =>
      runCommand(options, async (context) =>
        (await import('../commands/guest.ts')).guestEnableApi(context, name, options),
      ),
    )
}
