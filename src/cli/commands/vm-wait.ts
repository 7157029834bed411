import { setTimeout as delay } from 'node:timers/promises'
import { VmrError } from '../../errors/vmr-error.ts'
import { readMachineState } from '../../ipv6/evidence/machine-state.ts'
import type { Connection } from '../../libvirt/index.ts'
import { describeBootState, hangHints } from '../../shell/serial/boot-state.ts'
import { serialShell } from '../../shell/serial/serial-shell.ts'
import type { Shell } from '../../shell/shell.ts'
import { loadTestbed } from '../../testbed/testbed.ts'
import { openSession } from '../../vm/boot.ts'
import { type BootOutcome, bootInLog, bootOutcome, unfinishedBoot } from '../../vm/boot-outcome.ts'
import { findVm, type Vm } from '../../vm/find-vm.ts'
import { guestAccess } from '../../vm/guest-access.ts'
import { withConnection } from '../../vm/host.ts'
import { isRunning, waitUntilStopped } from '../../vm/power.ts'
import { findSshRoute, requireRoute, sshRoutes } from '../../vm/ssh/route.ts'
import { reportBoot } from '../boot-report.ts'
import type { CommandContext, CommandStatus } from '../context.ts'
import { secondsOption } from '../number-option.ts'
import { withProgress } from '../progress.ts'

interface VmWaitOptions {
  readonly json?: true | undefined
  readonly for: 'console' | 'ssh' | 'ipv6' | 'stopped'
  readonly timeout?: string | undefined
  readonly connect: string
}

/** Between two looks at what tells no event. */
const pollMs = 250

export async function vmWait(
  { terminal, signal }: CommandContext,
  name: string,
  { json, for: state, timeout, connect }: VmWaitOptions,
): Promise<CommandStatus> {
  const givenMs = timeout === undefined ? undefined : secondsOption('--timeout', timeout) * 1000
  const start = performance.now()
  const boot = await withConnection(
    connect,
    async (connection) => {
      const vm = await findVm(connection, name, signal)
      const timeoutMs = givenMs ?? accessOf(vm).timeoutMs
      return withProgress(terminal, `waiting for ${name}`, async (onProgress) => {
        if (state === 'stopped') {
          if (await waitUntilStopped(connection, vm, { timeoutMs, signal })) return undefined
          throw new VmrError('TIMED_OUT', `${name} still runs after ${timeoutMs / 1000} s`, {
            hint: `End it: vmr vm stop ${name}`,
          })
        }
        if (!(await isRunning(connection, vm, signal)))
          throw new VmrError('VM_NOT_RUNNING', `${name} does not run`, { hint: `Start it: vmr vm start ${name}` })
        const waiting = { vm, signal, onProgress, deadline: start + timeoutMs }
        return state === 'ssh' ? waitForSsh(waiting) : waitForConsole(connection, waiting, state === 'ipv6')
      })
    },
    signal,
  )
  const seconds = Number(((performance.now() - start) / 1000).toFixed(2))
  if (json) terminal.json<'vm wait'>({ name, state, seconds, boot })
  else terminal.result(`${name} ${reached[state]}`)
  return boot === undefined ? undefined : reportBoot(terminal, name, boot)
}

const accessOf = ({ metadata, facts }: Vm) => guestAccess(metadata.os, facts.accelerator ?? 'tcg')

const reached = {
  stopped: 'is stopped',
  console: 'is ready on its console',
  ssh: 'answers by SSH',
  ipv6: 'has IPv6 addresses that may be used',
} as const

interface Waiting {
  readonly vm: Vm
  readonly signal: AbortSignal
  readonly onProgress: (activity: string) => void
  /** As of performance.now(). */
  readonly deadline: number
}

async function waitForSsh({ vm, signal, onProgress, deadline }: Waiting): Promise<BootOutcome | undefined> {
  const { testbed } = vm.metadata
  const routes = sshRoutes(testbed === undefined ? undefined : await loadTestbed(testbed), undefined)
  for (;;) {
    const found = await findSshRoute(routes, signal)
    const seen = (await bootInLog(vm.facts))?.boot
    if (found !== undefined || routes.length === 0 || performance.now() > deadline) {
      if (found === undefined && seen !== undefined && seen.state !== 'waiting' && seen.state !== 'login')
        throw new VmrError(
          'GUEST_BOOT_TIMEOUT',
          `${vm.domain.name} has no SSH service yet: its console was last heard ${describeBootState({ ...seen, orEarlier: true }, Date.now())}`,
          { hint: hangHints[seen.state] },
        )
      requireRoute(vm.domain.name, routes, found)
      return seen === undefined ? undefined : unfinishedBoot(seen)
    }
    if (seen !== undefined) onProgress(seen.state)
    await delay(pollMs, undefined, { signal })
  }
}

async function waitForConsole(
  connection: Connection,
  { vm, signal, onProgress, deadline }: Waiting,
  forIpv6: boolean,
): Promise<BootOutcome> {
  const { domain, facts } = vm
  const session = await openSession(connection, domain, {
    ...accessOf(vm),
    earlier: await bootInLog(facts),
    timeoutMs: Math.max(1, deadline - performance.now()),
    signal,
    onState: (current) => onProgress(current.state),
  })
  const shell = serialShell(session)
  try {
    const boot = await bootOutcome(session.boot, shell, { signal })
    if (forIpv6) await waitForIpv6(domain.name, shell, { signal, onProgress, deadline })
    return boot
  } finally {
    await shell.close()
    await session.close()
  }
}

async function waitForIpv6(
  name: string,
  shell: Shell,
  { signal, onProgress, deadline }: Omit<Waiting, 'vm'>,
): Promise<void> {
  for (;;) {
    const { links } = await readMachineState(shell, { signal })
    const own = links
      .flatMap(({ addresses }) => addresses)
      .filter((each) => each.family === 'ipv6' && each.scope === 'global')
    if (own.length > 0 && own.every(({ tentative }) => !tentative)) return
    const words =
      own.length === 0
        ? 'has no global IPv6 address'
        : `still checks ${own.find(({ tentative }) => tentative)?.address}`
    if (performance.now() > deadline)
      throw new VmrError('TIMED_OUT', `${name} ${words}`, { hint: `Look at its console: vmr vm console ${name}` })
    onProgress(`${name} ${words}`)
    await delay(pollMs, undefined, { signal })
  }
}
