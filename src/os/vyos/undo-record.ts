import { createHash } from 'node:crypto'
import { z } from 'zod'
import type { NetworkConfig } from '../../config/network-config.ts'
import type { Shell } from '../../shell/shell.ts'
import { maxPathWords } from './path.ts'
import type { UndoStep } from './plan.ts'

const pathSchema = z.array(z.string().max(4000)).min(1).max(maxPathWords)
const recordSchema = z.strictObject({
  format: z.literal(1),
  steps: z
    .array(
      z.discriminatedUnion('kind', [
        z.strictObject({ kind: z.literal('delete'), path: pathSchema, created: z.number().int().min(1) }),
        z.strictObject({ kind: z.literal('set'), path: pathSchema, single: z.boolean() }),
      ]),
    )
    .max(10_000),
})

/**
 * What takes a config back lies in the guest's /tmp: like the configuration that was committed and not saved, it is
 * gone after a restart, and it is there for another vmr process.
 */
function recordPath(config: NetworkConfig): string {
  return `/tmp/vmr-undo-${createHash('sha256').update(JSON.stringify(config)).digest('hex').slice(0, 24)}.json`
}

export async function readUndoRecord(
  shell: Shell,
  config: NetworkConfig,
  signal: AbortSignal | undefined,
): Promise<readonly UndoStep[] | undefined> {
  const result = await shell.run(['cat', recordPath(config)], signal === undefined ? {} : { signal })
  if (result.exitCode !== 0) return undefined
  try {
    return recordSchema.parse(JSON.parse(result.stdout)).steps
  } catch {
    // Something else wrote there. Without a record exactly the config's own nodes are taken back.
    return undefined
  }
}

export async function writeUndoRecord(shell: Shell, config: NetworkConfig, steps: readonly UndoStep[]): Promise<void> {
  await shell.writeFile(recordPath(config), JSON.stringify({ format: 1, steps }), { mode: 0o600 })
}

export async function removeUndoRecord(shell: Shell, config: NetworkConfig): Promise<void> {
  await shell.run(['rm', '-f', recordPath(config)])
}
