import type { Command } from '@commander-js/extra-typings'
import { runCommand } from '../run-command.ts'
import { command } from './command.ts'

export function imageCommands(program: Command) {
  const image = program.command('image').description('guest images')
  command(image, 'build <kind>')
    .description('build a guest image; the kind is `lab`: a small VyOS-syntax router made from Debian packages')
    .option('--refresh', 'ask apt for newer packages even if a built image is at hand')
    .action((kind, options) =>
      runCommand(options, async (context) =>
        (await import('../commands/image-build.ts')).imageBuild(context, kind, options),
      ),
    )
}
