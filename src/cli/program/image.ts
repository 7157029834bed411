import type { Command } from '@commander-js/extra-typings'
import { runCommand } from '../run-command.ts'
import { acceleratorOption, command, connectOption } from './command.ts'

export function imageCommands(program: Command) {
  const image = program.command('image').description('guest images')
  command(image, 'import <file>')
    .description('keep a qcow2 disk, or what an installer ISO of VyOS installs, as a base for VMs')
    .option('--name <name>', 'what it is called from now on; default: the name of the file')
    .option('--sha256 <digest>', 'what the SHA-256 of the file must be')
    .option('--signature <file>', 'a detached signature of the file: minisign’s, or OpenPGP’s')
    .option('--key <file>', 'the public key that the signature must be of')
    .option('--cloud-init', 'the qcow2 was built with cloud-init: its VMs get their first configuration by a seed')
    .option('--disk-size <size>', 'size of the disk that an ISO is installed on', '10 GiB')
    .addOption(acceleratorOption())
    .addOption(connectOption())
    .option('--dry-run', 'check the file and what is given with it, and change nothing')
    .addHelpText(
      'after',
      `
An ISO is booted in a VM of its own, installed over its serial console, booted again from its disk to see that it is
well, and stored without SSH host keys, machine id and MAC addresses of that VM. Without KVM this takes half an hour.

Examples:
  $ vmr image import vyos-1.4.1-amd64.iso --signature vyos-1.4.1-amd64.iso.minisig --key vyos-release.pub
  $ vmr image import vyos.qcow2 --name vyos-lab && vmr vm create r1 --image vyos-lab`,
    )
    .action((file, options) =>
      runCommand(options, async (context) =>
        (await import('../commands/image-import.ts')).imageImport(context, file, options),
      ),
    )
  command(image, 'list')
    .description('list the images that VMs can be made of')
    .action((options) =>
      runCommand(options, async (context) => (await import('../commands/image-list.ts')).imageList(context, options)),
    )
  command(image, 'show <name>')
    .description('show an image: where it is, what it was made of')
    .action((name, options) =>
      runCommand(options, async (context) =>
        (await import('../commands/image-list.ts')).imageShow(context, name, options),
      ),
    )
  command(image, 'verify [names...]')
    .description('whether images are what was imported; all of them without a name')
    .addHelpText('after', '\nExample:\n  $ vmr image verify vyos-1.4.1')
    .action((names, options) =>
      runCommand(options, async (context) =>
        (await import('../commands/image-verify.ts')).imageVerify(context, names, options),
      ),
    )
  command(image, 'delete <name>')
    .description('remove an image that no VM’s disk stands on')
    .option('--yes', 'do not ask')
    .option('--dry-run', 'show what would be removed')
    .addOption(connectOption())
    .action((name, options) =>
      runCommand(options, async (context) =>
        (await import('../commands/image-delete.ts')).imageDelete(context, name, options),
      ),
    )
  command(image, 'build <kind>')
    .description('build a guest image; the kind is `lab`: a small VyOS-syntax router made from Debian packages')
    .option('--refresh', 'ask apt for newer packages even if a built image is at hand')
    .action((kind, options) =>
      runCommand(options, async (context) =>
        (await import('../commands/image-build.ts')).imageBuild(context, kind, options),
      ),
    )
}
