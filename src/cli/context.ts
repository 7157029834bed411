import type { Terminal } from './terminal.ts'

/** What every command gets from the entry point: where to write, and when to stop. */
export interface CommandContext {
  readonly terminal: Terminal
  /** Aborted with an INTERRUPTED VmrError on SIGINT, SIGTERM or SIGHUP: the command cleans up and rejects. */
  readonly signal: AbortSignal
}

/** A command's implementation resolves to its exit status when that is not 0. */
export type CommandStatus = number | undefined
