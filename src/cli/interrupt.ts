import { setMaxListeners } from 'node:events'
import { exitStatus } from '../errors/codes.ts'
import { VmrError } from '../errors/vmr-error.ts'
import type { Terminal } from './terminal.ts'

const statusOfSignal = { SIGINT: exitStatus.interrupted, SIGTERM: exitStatus.terminated, SIGHUP: 129 } as const
type EndingSignal = keyof typeof statusOfSignal

export interface Interrupt {
  readonly signal: AbortSignal
  /** The exit status of the signal that ended the run, once there was one. */
  status(): number | undefined
  dispose(): void
}

/**
 * Turns the first ending signal into an abort, so that the command takes back what it made. A second one ends the
 * process at once: what is left then is in the undo journal, and `vmr cleanup` removes it.
 */
export function listenForInterrupt(terminal: Terminal): Interrupt {
  const controller = new AbortController()
  // Each command that runs listens to it, and many run at once.
  setMaxListeners(0, controller.signal)
  let received: EndingSignal | undefined
  const onSignal = (name: EndingSignal) => {
    if (received !== undefined) {
      terminal.notice('stopped without cleaning up; `vmr cleanup` removes what is left')
      process.exit(statusOfSignal[name])
    }
    received = name
    controller.abort(new VmrError('INTERRUPTED', `interrupted by ${name}`))
  }
  const names = Object.keys(statusOfSignal) as EndingSignal[]
  for (const name of names) process.on(name, onSignal)
  return {
    signal: controller.signal,
    status: () => (received === undefined ? undefined : statusOfSignal[received]),
    dispose: () => {
      for (const name of names) process.off(name, onSignal)
    },
  }
}
