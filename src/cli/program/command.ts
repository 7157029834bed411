import { type Command, Option } from '@commander-js/extra-typings'

/** A command whose output is not data: a terminal session, a schema. */
export function plainCommand<const Usage extends string>(parent: Command, usage: Usage) {
  return parent.command(usage).option('--debug', 'show the cause and the stack of an error')
}

/** A command with the options that all have, so that scripts and bug reports work the same everywhere. */
export function command<const Usage extends string>(parent: Command, usage: Usage) {
  return plainCommand(parent, usage).option('--json', 'print the result as JSON')
}

export const acceleratorOption = () =>
  new Option('--accel <kind>', 'auto takes KVM only if a test boot succeeds')
    .choices(['auto', 'kvm', 'tcg'] as const)
    .default('auto' as const)

export const connectOption = () => new Option('--connect <uri>', 'libvirt connection').default('qemu:///system')
