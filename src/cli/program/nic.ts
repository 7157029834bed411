import type { Command } from '@commander-js/extra-typings'
import { runCommand } from '../run-command.ts'
import { command, connectOption } from './command.ts'

export function nicCommands(program: Command) {
  const nic = program
    .command('nic')
    .description('interface modes: what each needs, what it carries, and why')
    .addHelpText(
      'after',
      `
A mode is a file: vmr's own, yours in ~/.config/vmr/nics/ or in ./templates/nics/ (later ones win). It holds
libvirt's <interface> element, as in
  <interface type='direct' trustGuestRxFilters='yes'><source mode='bridge'/><model type='virtio'/></interface>`,
    )
  command(nic, 'list')
    .description('list the interface modes')
    .addOption(connectOption())
    .addHelpText('after', '\nExample:\n  $ vmr nic list')
    .action((options) =>
      runCommand(options, async (context) => (await import('../commands/nic-list.ts')).nicList(context, options)),
    )
  command(nic, 'explain <mode>')
    .description('say in plain words what a mode is, needs, carries and costs')
    .addOption(connectOption())
    .addHelpText('after', '\nExample:\n  $ vmr nic explain macvtap')
    .action((mode, options) =>
      runCommand(options, async (context) =>
        (await import('../commands/nic-explain.ts')).nicExplain(context, mode, options),
      ),
    )
}
