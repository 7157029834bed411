import packageJson from '../../../package.json' with { type: 'json' }
import { type Matrix, matrixSchema } from '../../bench/matrix.ts'
import { planCells } from '../../bench/plan.ts'
import { runPlan } from '../../bench/runner.ts'
import { findConfigFile } from '../../config/find-config-file.ts'
import { loadDomainDefinition } from '../../config/load-domain-definition.ts'
import { loadYaml } from '../../config/load-yaml.ts'
import { journalDirectory } from '../../config/paths.ts'
import type { Accelerator } from '../../domain/domain-xml.ts'
import { findNicMode, loadNicModes } from '../../domain/nic-modes.ts'
import { VmrError } from '../../errors/vmr-error.ts'
import { runReport } from '../../report/run-report.ts'
import { terminalTable } from '../../report/terminal-table.ts'
import { loadTestbed } from '../../testbed/testbed.ts'
import { withConnection } from '../../vm/host.ts'
import { prepareGuest } from '../../vm/prepare-guest.ts'
import type { CommandContext, CommandStatus } from '../context.ts'
import { withProgress } from '../progress.ts'

interface BenchRunOptions {
  readonly json?: true | undefined
  readonly matrix: string
  readonly mode?: readonly string[] | true | undefined
  readonly family?: readonly string[] | true | undefined
  readonly tool?: 'iperf3' | 'iperf2' | undefined
  readonly duration?: string | undefined
  readonly repetitions?: string | undefined
  readonly results: string
  readonly accel: 'auto' | Accelerator
  readonly connect: string
}

export async function benchRun({ terminal, signal }: CommandContext, options: BenchRunOptions): Promise<CommandStatus> {
  const matrix = withOverrides(await loadYaml(await findConfigFile('matrices', options.matrix), matrixSchema), options)
  const modes = await loadNicModes()
  const wantedModes = options.mode === undefined || options.mode === true ? undefined : options.mode
  for (const mode of wantedModes ?? []) findNicMode(modes, mode)
  const plan = planCells(matrix, {
    ...(wantedModes === undefined ? {} : { modes: wantedModes }),
    ...(options.family === undefined || options.family === true ? {} : { families: families(options.family) }),
  })
  if (plan.cells.length === 0)
    throw new VmrError('USAGE', `no cell of the matrix ${options.matrix} is left to measure`, {
      hint: 'Choose among the modes and families that the matrix has.',
    })
  for (const cell of plan.cells) if (cell.dut === 'vm') findNicMode(modes, cell.mode)
  const definition = await loadDomainDefinition('lab-router')
  const testbedName = 'lab'
  const testbed = await loadTestbed(testbedName)
  const run = await withProgress(terminal, options.matrix, async (report) => {
    const { image, accelerator } = await prepareGuest({ requested: options.accel, signal, onProgress: report })
    return withConnection(
      options.connect,
      (connection) =>
        runPlan({
          matrixName: options.matrix,
          matrix,
          plan,
          connection,
          definition,
          modes,
          testbedName,
          testbed,
          image,
          accelerator,
          resultsDirectory: options.results,
          journalDirectory: journalDirectory(),
          vmrVersion: packageJson.version,
          signal,
          onProgress: report,
        }),
      signal,
    )
  })
  const report = runReport(run, run.folder)
  if (options.json) terminal.json(report)
  else {
    terminal.result(terminalTable(run, { colour: terminal.colour }))
    terminal.result(`results: ${run.folder}`)
  }
  return report.exitStatus
}

function families(names: readonly string[]): readonly ('ipv4' | 'ipv6')[] {
  return names.map((name) => {
    if (name === 'ipv4' || name === 'ipv6') return name
    throw new VmrError('USAGE', `--family takes ipv4 or ipv6, not ${JSON.stringify(name.slice(0, 40))}`, {
      hint: 'For example --family ipv6.',
    })
  })
}

function withOverrides(matrix: Matrix, { tool, duration, repetitions }: BenchRunOptions): Matrix {
  if (matrix.throughput === false) return matrix
  return {
    ...matrix,
    throughput: {
      ...matrix.throughput,
      ...(tool === undefined ? {} : { tool }),
      ...(duration === undefined ? {} : { seconds: wholeNumber('--duration', duration, 86_400) }),
      ...(repetitions === undefined ? {} : { repetitions: wholeNumber('--repetitions', repetitions, 1000) }),
    },
  }
}

function wholeNumber(option: string, text: string, largest: number): number {
  const value = Number(text)
  if (/^\d+$/.test(text) && value >= 1 && value <= largest) return value
  throw new VmrError(
    'USAGE',
    `${option} takes a whole number, 1 to ${largest}, not ${JSON.stringify(text.slice(0, 40))}`,
    {
      hint: `For example ${option} 5.`,
    },
  )
}
