import type { CellResult, CpuRecord, Run } from '../../src/results/schema.ts'
import { healthyCell, manifest, measured, run } from '../results/example-run.ts'

const cpu = (machine: string): CpuRecord => ({
  machine,
  cores: [
    { core: 0, user: 0.1, system: 0.2, softirq: 0.6, irq: 0.02, steal: 0 },
    { core: 1, user: 0.3, system: 0.1, softirq: 0, irq: 0, steal: 0.05 },
  ],
})

function withProcessor(cell: CellResult): CellResult {
  return {
    ...cell,
    throughput: cell.throughput.map((record) =>
      record.status === 'measured'
        ? {
            ...record,
            summary: {
              ...record.summary,
              interval: { low: record.summary.min * 1.001, high: record.summary.max * 0.999 },
            },
            samples: record.samples.map((sample) => ({ ...sample, cpu: [cpu('host'), cpu('dut')] })),
          }
        : record,
    ),
  }
}

const forward = (dut: 'host' | 'vm', rate: number): CellResult => {
  const { mode, ...cell } = healthyCell(`forward/${dut}/ipv4`, 'bridge')
  const directions = { 'pc1>dut': 'pc1>pc2', 'dut>pc1': 'pc2>pc1' } as const
  const renamed = (probe: CellResult['probesBefore'][number]) => ({
    ...probe,
    direction: directions[probe.direction as keyof typeof directions],
  })
  return withProcessor({
    ...cell,
    ...(dut === 'vm' ? { mode } : {}),
    case: 'forward',
    dut,
    slide: '29',
    probesBefore: cell.probesBefore.map(renamed),
    probesAfter: cell.probesAfter.map(renamed),
    throughput: [
      measured('pc1>pc2', [rate - 3, rate, rate + 2], 941.5),
      { ...measured('pc1>pc2', [rate - 90, rate - 80, rate - 70], 915), way: 'both' },
      { ...measured('pc2>pc1', [rate - 99, rate - 90, rate - 80], 915), way: 'both' },
    ],
  })
}

const zeroLoss = [
  {
    direction: 'pc1>pc2',
    frameBytes: 128,
    wireLimitBitsPerSecond: 620e6,
    trials: [
      { offeredBitsPerSecond: 620e6, lossShare: 0.7, seconds: 2 },
      { offeredBitsPerSecond: 310e6, lossShare: 0, seconds: 2 },
    ],
    bitsPerSecond: 310e6,
    framesPerSecond: 484_375,
  },
  {
    direction: 'pc1>pc2',
    frameBytes: 1518,
    wireLimitBitsPerSecond: 954e6,
    trials: [{ offeredBitsPerSecond: 954e6, lossShare: 0.01, seconds: 2 }],
  },
]

/** A run with host and VM, two cases, both ways at once and the use of the processor. */
export const matrixRun: Run = {
  manifest: { ...manifest, planned: [...manifest.planned, 'forward/host/ipv4', 'forward/vm/ipv4', 'forward/vm/ipv6'] },
  cells: [...run.cells, forward('host', 938), { ...forward('vm', 690), zeroLoss }],
}
