import { isVmrError } from '../errors/vmr-error.ts'
import { gatherHostFacts } from '../results/host-facts.ts'
import { createRunFolder, type RunFolder, readRun, reopenRunFolder, runFolderName } from '../results/run-folder.ts'
import { type CellResult, type Costs, type Manifest, type Run, resultsFormat } from '../results/schema.ts'
import { localShell } from '../shell/local.ts'
import { withHostLock } from '../undo/host-lock.ts'
import { openJournal } from '../undo/journal.ts'
import { withUndo } from '../undo/undo-all.ts'
import { undoExecutors } from '../vm/domain-undo.ts'
import type { CellSelection, Matrix } from './matrix.ts'
import { impossibleCell, measureCell, unmeasuredCell } from './measure-cell.ts'
import { type Plan, setupOf, type Visit } from './plan.ts'
import { createStage, type StagedSetup, type StageRequest } from './stage.ts'

export interface RunRequest extends Omit<StageRequest, 'journal' | 'onCost'> {
  readonly matrixName: string
  readonly matrix: Matrix
  readonly selection: CellSelection
  readonly plan: Plan
  readonly seed: number
  readonly resultsDirectory: string
  /** Of a run that ended early: what is missing is run, and added to it. */
  readonly resume?: string
  /** Called before each visit. */
  readonly onVisit?: (visit: Visit, place: { readonly number: number; readonly of: number }) => void
  /** Called with each result as it is recorded. */
  readonly onCell?: (cell: CellResult) => void
}

export interface FinishedRun extends Run {
  readonly folder: string
}

/**
 * Runs every visit of a plan on the lab and leaves a run folder; everything else that it made is taken away, also when
 * it fails or is aborted. What cannot be set up or measured makes its cells errors, and the run goes on.
 */
export async function runPlan(request: RunRequest): Promise<FinishedRun> {
  const { journalDirectory, signal, onProgress, plan } = request
  // Two measurements at once would measure each other.
  return withHostLock({ name: 'bench', timeoutMs: 1000, signal }, async () => {
    const journal = await openJournal({ directory: journalDirectory, purpose: 'bench run' })
    return withUndo(journal, { executors: undoExecutors }, async (tracked) => {
      const record = await openRecord(request)
      const stage = createStage({ ...request, journal: tracked, onCost: record.cost })
      try {
        for (const { cell, reason } of plan.impossible)
          if (!record.isDone(cell.id)) await record.add(impossibleCell(cell, reason))
        for (const [index, visit] of plan.visits.entries()) {
          const { cell } = visit
          if (record.isVisited(visit)) continue
          request.onVisit?.(visit, { number: index + 1, of: plan.visits.length })
          const earlier = record.cells.get(cell.id)
          let staged: StagedSetup
          try {
            staged = await stage.enter(cell)
          } catch (error) {
            signal.throwIfAborted()
            await record.add(unmeasuredCell(cell, error, earlier))
            await stage.clear()
            continue
          }
          await record.setUp(setupOf(cell), staged)
          const began = performance.now()
          const result = await measureCell(
            visit,
            {
              ...staged,
              folder: record.folder,
              throughput: request.matrix.throughput,
              zeroLoss: request.matrix.zeroLoss,
              tcpTimestamps: record.manifest().host.tcpTimestamps,
              seed: request.seed,
              signal,
              onProgress: (activity) => onProgress(`${cell.id}: ${activity}`),
            },
            earlier,
          )
          record.cost('cell', (performance.now() - began) / 1000 - (result.loadSeconds - (earlier?.loadSeconds ?? 0)))
          await record.add(result)
          // Whatever went wrong may have left its traces on the machines.
          if (result.verdict.verdict === 'error') await stage.clear()
        }
      } finally {
        await stage.clear()
      }
      return record.finish()
    })
  })
}

/** The run on disk, as it grows. */
interface RunRecord {
  readonly folder: RunFolder
  readonly cells: ReadonlyMap<string, CellResult>
  manifest(): Manifest
  isDone(id: string): boolean
  isVisited(visit: Visit): boolean
  add(cell: CellResult): Promise<void>
  cost(kind: keyof Costs, seconds: number): void
  setUp(name: string, staged: StagedSetup): Promise<void>
  finish(): Promise<FinishedRun>
}

async function openRecord(request: RunRequest): Promise<RunRecord> {
  const { resume, resultsDirectory, matrixName, onCell } = request
  const startedAt = new Date()
  const earlier = resume === undefined ? undefined : await readRun(resume)
  const cells = new Map((earlier?.cells ?? []).map((cell) => [cell.id, cell]))
  /** Recorded, but not on disk: the disk was full. */
  const unsaved = new Map<string, CellResult>()
  const name = runFolderName(startedAt, matrixName)
  let manifest: Manifest =
    earlier === undefined
      ? await firstManifest(request, startedAt, name)
      : { ...earlier.manifest, resumedAt: [...earlier.manifest.resumedAt, startedAt.toISOString()] }
  const folder =
    resume === undefined ? await createRunFolder(resultsDirectory, name, manifest) : await reopenRunFolder(resume)
  if (resume !== undefined) await folder.writeManifest(manifest)

  /** A disk that is full may have space again by the next cell: what it holds is complete by then. */
  async function unlessDiskIsFull(write: () => Promise<void>): Promise<void> {
    try {
      await write()
    } catch (error) {
      if (!isVmrError(error) || error.code !== 'HOST_DISK_FULL') throw error
    }
  }

  const save = () =>
    unlessDiskIsFull(async () => {
      for (const cell of [...unsaved.values()]) {
        await folder.appendCell(cell)
        unsaved.delete(cell.id)
      }
    })

  return {
    folder,
    cells,
    manifest: () => manifest,
    isDone: (id) => cells.get(id)?.complete === true,
    isVisited: ({ cell, number }) => {
      const known = cells.get(cell.id)
      return known !== undefined && (known.complete || number === 1)
    },
    async add(cell) {
      cells.set(cell.id, cell)
      unsaved.set(cell.id, cell)
      await save()
      onCell?.(cell)
    },
    cost(kind, seconds) {
      manifest = {
        ...manifest,
        costs: { ...manifest.costs, [kind]: [...manifest.costs[kind], Math.max(0, Number(seconds.toFixed(2)))] },
      }
    },
    async setUp(name, { facts, guests }) {
      if (manifest.setups[name] !== undefined) return
      manifest = {
        ...manifest,
        setups: { ...manifest.setups, [name]: facts },
        guests: { ...manifest.guests, ...guests },
      }
      await unlessDiskIsFull(() => folder.writeManifest(manifest))
    },
    async finish() {
      await save()
      const { endedAt: _earlier, ...rest } = manifest
      const all = manifest.planned.every((id) => cells.get(id)?.complete === true && !unsaved.has(id))
      await unlessDiskIsFull(() =>
        folder.writeManifest({ ...rest, ...(all ? { endedAt: new Date().toISOString() } : {}) }),
      )
      return { folder: folder.path, ...(await readRun(folder.path)) }
    },
  }
}

async function firstManifest(request: RunRequest, startedAt: Date, name: string): Promise<Manifest> {
  const { connection, signal, matrixName, matrix, selection, seed, testbedName, image, accelerator, plan } = request
  return {
    format: resultsFormat,
    run: name,
    vmr: request.vmrVersion,
    startedAt: startedAt.toISOString(),
    resumedAt: [],
    matrix: { name: matrixName, definition: matrix },
    selection,
    seed,
    testbed: testbedName,
    guest: { name: image.kind, label: 'lab router (not VyOS)', version: image.digest },
    accelerator,
    host: await gatherHostFacts(localShell, { signal }),
    guests: {},
    capabilities: { ...request.capabilities },
    libvirt: { version: await connection.libvirtVersion({ signal }), uri: connection.uri },
    qemu: await connection.hypervisorVersion({ signal }),
    setups: {},
    costs: { boot: [], switchMode: [], configure: [], enterHost: [], cell: [] },
    planned: plan.cells.map(({ id }) => id),
  }
}
