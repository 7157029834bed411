import { exitStatus } from '../errors/codes.ts'
import type { BootOutcome } from '../vm/boot-outcome.ts'
import type { CommandStatus } from './context.ts'
import type { Terminal } from './terminal.ts'

/** Warns of a router that came up without part of its configuration, in VyOS's own words, and gives the status for it. */
export function reportBoot(terminal: Terminal, name: string, { configuration, words }: BootOutcome): CommandStatus {
  if (configuration !== 'failed') return undefined
  terminal.warn(
    [
      `${name} came up without part of its configuration: there was a config error on boot`,
      ...words.map((line) => `  ${line}`),
      `  Saving it now could overwrite what it could not load. See what: vmr vm console ${name}, and there configure, compare saved.`,
    ].join('\n'),
  )
  return exitStatus.configurationFailed
}
