import { createHash } from 'node:crypto'
import { z } from 'zod'
import type { NetworkConfig } from '../../config/network-config.ts'
import { runChecked, type Shell } from '../../shell/shell.ts'
import { maxPathWords } from './path.ts'
import type { UndoStep } from './plan.ts'

const pathSchema = z.array(z.string().max(4000)).min(1).max(maxPathWords)
const stepsSchema = z
  .array(
    z.discriminatedUnion('kind', [
      z.strictObject({ kind: z.literal('delete'), path: pathSchema, created: z.number().int().min(1) }),
      z.strictObject({ kind: z.literal('set'), path: pathSchema, single: z.boolean() }),
    ]),
  )
  .max(10_000)
/** A list of changes as it is kept, whether in the guest or beside it. */
export const recordSchema = z.strictObject({
  format: z.literal(2),
  changes: z.array(z.strictObject({ at: z.number(), steps: stepsSchema })).max(10_000),
})

/** What takes back one change. */
export interface RecordedChange {
  /** When it was made, in ms since 1970 by this host's clock: configs can have been set in turns, over each other. */
  readonly at: number
  readonly steps: readonly UndoStep[]
}

/** What takes back the changes that were made one way, kept where that way leads. */
export interface UndoRecords {
  /** Adds what takes back one more change for this config. */
  add(config: NetworkConfig, steps: readonly UndoStep[], signal: AbortSignal | undefined): Promise<void>
  /** Of every config that is set, the newest change first. */
  readAll(signal: AbortSignal | undefined): Promise<readonly RecordedChange[]>
  /** After the configuration was saved: what takes it back has to outlast a restart too. */
  keep(): Promise<void>
  /** @param saved also those of the saved configuration, for one that no longer holds any of it */
  removeAll(options: { readonly saved: boolean }): Promise<void>
}

export function newestFirst(changes: readonly RecordedChange[]): readonly RecordedChange[] {
  return changes.toSorted((left, right) => right.at - left.at)
}

/** In files of the guest. */
export function guestUndoRecords(shell: Shell): UndoRecords {
  return {
    add: (config, steps, signal) => addToUndoRecord(shell, config, steps, signal),
    readAll: (signal) => readAllUndoRecords(shell, signal),
    keep: () => keepUndoRecords(shell),
    removeAll: (options) => removeAllUndoRecords(shell, options),
  }
}

const runDirectory = '/tmp'
/** Outlasts a restart, as the saved configuration does. */
const savedDirectory = '/config'
const recordPattern = /^\/(?:tmp|config)\/(vmr-undo-[0-9a-f]{24}\.json)$/

/**
 * What takes a config back lies in the guest's /tmp: like the configuration that was committed and not saved, it is
 * gone after a restart, and it is there for another vmr process.
 */
function recordName(config: NetworkConfig): string {
  return `vmr-undo-${createHash('sha256').update(JSON.stringify(config)).digest('hex').slice(0, 24)}.json`
}

/** What takes a config back, the newest change first; undefined without a record. */
export async function readUndoRecord(
  shell: Shell,
  config: NetworkConfig,
  signal: AbortSignal | undefined,
): Promise<readonly UndoStep[] | undefined> {
  return (await readRecord(shell, config, signal))?.flatMap(({ steps }) => steps)
}

async function readRecord(
  shell: Shell,
  config: NetworkConfig,
  signal: AbortSignal | undefined,
): Promise<readonly RecordedChange[] | undefined> {
  const name = recordName(config)
  for (const directory of [runDirectory, savedDirectory]) {
    const result = await shell.run(['cat', `${directory}/${name}`], signal === undefined ? {} : { signal })
    if (result.exitCode === 0) return parseRecord(result.stdout)
  }
  return undefined
}

async function readAllUndoRecords(shell: Shell, signal: AbortSignal | undefined): Promise<readonly RecordedChange[]> {
  const options = signal === undefined ? {} : { signal }
  const pattern = 'vmr-undo-*.json'
  // Of a record in both directories the first is newer.
  const listing = await shell.run(
    ['sh', '-c', `for record in ${runDirectory}/${pattern} ${savedDirectory}/${pattern}; do echo "$record"; done`],
    options,
  )
  const paths = new Map<string, string>()
  for (const path of listing.stdout.split('\n')) {
    const name = recordPattern.exec(path)?.[1]
    if (name !== undefined && !paths.has(name)) paths.set(name, path)
  }
  const changes: RecordedChange[] = []
  for (const path of paths.values()) {
    const result = await shell.run(['cat', path], options)
    if (result.exitCode === 0) changes.push(...(parseRecord(result.stdout) ?? []))
  }
  return newestFirst(changes)
}

function parseRecord(text: string): readonly RecordedChange[] | undefined {
  try {
    return recordSchema.parse(JSON.parse(text)).changes
  } catch {
    // Something else wrote there. Without a record exactly the config's own nodes are taken back.
    return undefined
  }
}

async function addToUndoRecord(
  shell: Shell,
  config: NetworkConfig,
  steps: readonly UndoStep[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const changes = [{ at: Date.now(), steps }, ...((await readRecord(shell, config, signal)) ?? [])]
  await shell.writeFile(`${runDirectory}/${recordName(config)}`, JSON.stringify({ format: 2, changes }), {
    mode: 0o600,
  })
}

async function keepUndoRecords(shell: Shell): Promise<void> {
  await runChecked(shell, [
    'sh',
    '-c',
    `for record in ${runDirectory}/vmr-undo-*.json; do [ ! -e "$record" ] || cp -p "$record" ${savedDirectory}/ || exit; done`,
  ])
}

export async function removeUndoRecord(shell: Shell, config: NetworkConfig): Promise<void> {
  await shell.run(['rm', '-f', `${runDirectory}/${recordName(config)}`])
}

async function removeAllUndoRecords(shell: Shell, { saved }: { readonly saved: boolean }): Promise<void> {
  const directories = saved ? [runDirectory, savedDirectory] : [runDirectory]
  await runChecked(shell, ['sh', '-c', `rm -f ${directories.map((each) => `${each}/vmr-undo-*.json`).join(' ')}`])
}
