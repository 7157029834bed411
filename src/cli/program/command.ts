import { type Command, Option } from '@commander-js/extra-typings'

/** Options that every command has, so that scripts and bug reports work the same everywhere. */
export function command<const Usage extends string>(parent: Command, usage: Usage) {
  return parent
    .command(usage)
    .option('--json', 'print the result as JSON')
    .option('--debug', 'show the cause and the stack of an error')
}

export const acceleratorOption = () =>
  new Option('--accel <kind>', 'auto takes KVM only if a test boot succeeds')
    .choices(['auto', 'kvm', 'tcg'] as const)
    .default('auto' as const)

export const connectOption = () => new Option('--connect <uri>', 'libvirt connection').default('qemu:///system')
