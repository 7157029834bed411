import { setTimeout as delay } from 'node:timers/promises'
import { VmrError } from '../../errors/vmr-error.ts'
import { findVm } from '../../vm/find-vm.ts'
import { withConnection } from '../../vm/host.ts'
import { isRunning } from '../../vm/power.ts'
import { type DirectionRates, ratesBetween, readCounters, type VmRates } from '../../vm/rates.ts'
import type { CommandContext, CommandStatus } from '../context.ts'
import { secondsOption } from '../number-option.ts'

interface VmStatsOptions {
  readonly json?: true | undefined
  readonly interval: string
  readonly watch?: true | undefined
  readonly connect: string
}

export async function vmStats(
  { terminal, signal }: CommandContext,
  name: string,
  { json, interval, watch, connect }: VmStatsOptions,
): Promise<CommandStatus> {
  const intervalMs = Math.max(100, secondsOption('--interval', interval) * 1000)
  await withConnection(
    connect,
    async (connection) => {
      const vm = await findVm(connection, name, signal)
      let before = await readCounters(connection, vm, signal)
      do {
        if (!(await isRunning(connection, vm, signal)))
          throw new VmrError('VM_NOT_RUNNING', `${name} does not run`, { hint: `Start it: vmr vm start ${name}` })
        await delay(intervalMs, undefined, { signal })
        const after = await readCounters(connection, vm, signal)
        const rates = ratesBetween(before, after)
        before = after
        if (json && watch) terminal.jsonLine<'vm stats'>({ at: new Date().toISOString(), name, ...rates })
        else if (json) terminal.json<'vm stats'>({ name, ...rates })
        else for (const line of linesOf(rates)) terminal.result(line)
      } while (watch)
    },
    signal,
  )
  return undefined
}

function linesOf({ processor, nics }: VmRates): readonly string[] {
  return [
    `processor  ${(processor * 100).toFixed(0)} % of a core`,
    ...nics.map(({ device, received, sent }) => `${device.padEnd(10)} in ${words(received)}   out ${words(sent)}`),
  ]
}

function words({ bitsPerSecond, packetsPerSecond, dropsPerSecond }: DirectionRates): string {
  const rate = `${(bitsPerSecond / 1e6).toFixed(2)} Mbit/s, ${packetsPerSecond.toFixed(0)} packets/s`
  return dropsPerSecond > 0 ? `${rate}, ${dropsPerSecond.toFixed(0)} dropped/s` : rate
}
