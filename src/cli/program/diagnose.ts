import { type Command, Option } from '@commander-js/extra-typings'
import { runCommand } from '../run-command.ts'
import { command, connectOption } from './command.ts'

export function diagnoseCommand(program: Command) {
  command(program, 'diagnose [name]')
    .description('find out why a VM is not reached: which hop loses which frame, for what cause, and what mends it')
    .addOption(new Option('--family <family>', 'only this family').choices(['ipv4', 'ipv6'] as const))
    .option('--direction <from>to>', 'only one direction, such as pc1>r1')
    .option('--prove', 'prove each cause by its cure: apply the fix, probe, take it back, probe again')
    .option('--fix', 'apply the safest fix that can be made while the VM runs, and keep it over restarts where vmr can')
    .option('--yes', 'with --fix and --endure: do not ask')
    .option(
      '--endure [stresses]',
      'put the VM under stress and look what it does not outlast: every stress, or names between commas',
    )
    .option('--testbed <name>', 'which PCs are at the other ends, for a VM that does not say so itself')
    .option('--log-in', 'log in to the guest of a VM that vmr did not make, with the factory login of VyOS')
    .option('--peer <vm>', 'look into another VM on this host too: whether the two reach each other')
    .option('--save <file>', 'keep the evidence in a file')
    .option('--evidence <file>', 'diagnose recorded evidence instead of a running VM')
    .option('--run <run>', 'diagnose what a run recorded, with --cell')
    .option('--cell <id>', 'the cell of that run, such as nic/macvtap/vm/ipv6')
    .option('--results <directory>', 'where run folders are', 'results')
    .addOption(connectOption())
    .addHelpText(
      'after',
      `
Nothing is changed but the neighbour caches on the paths that are probed; --prove changes one setting for seconds.

--endure shows in minutes what else takes hours. Where nobody notices: neighbour-aging, idle, membership-expiry,
address-later. After asking, or with --yes: link-flap, suspend, libvirtd-restart, guest-reboot. Timers are shortened for
seconds on what vmr made, and elsewhere after asking; the result says which, from what to what, and that they are as they
were.

It takes at most 30 s for one direction of one family, and 90 s for everything or with a peer; --prove adds at most 15 s a cause.

Exit status: 0 healthy; 3 something is broken or was lost under stress; 8 nothing could be probed; 9 it took too long.

Examples:
  $ vmr diagnose r1                      everything, both families and all directions
  $ vmr diagnose r1 --family ipv6 --prove
  $ vmr diagnose r1 --endure             what it does not outlast
  $ vmr diagnose r1 --endure=membership-expiry,guest-reboot --yes
  $ vmr diagnose r1 --peer r2            whether two VMs on this host reach each other, too
  $ vmr diagnose --run latest --cell nic/macvtap/vm/ipv6`,
    )
    .action((name, options) =>
      runCommand(options, async (context) =>
        (await import('../commands/diagnose.ts')).diagnose(context, name, options),
      ),
    )
}
