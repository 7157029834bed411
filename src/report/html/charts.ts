import { parse, View } from 'vega'
import { compile, type TopLevelSpec } from 'vega-lite'
import type { CpuRecord } from '../../results/schema.ts'
import { type Figure, type FigureGroup, megabits } from '../figures.ts'
import { familyLabel, modeLabel } from '../words.ts'
import type { Markup } from './markup.ts'

/** Narrow, so that a phone shows a chart at nearly its own size. In CSS pixels. */
const plotWidth = 320
const barHeight = 15

/** Colours are the page's own variables: one picture is right in light and in dark. */
const config = {
  background: 'transparent',
  font: 'system-ui, sans-serif',
  view: { stroke: 'transparent' },
  axis: {
    labelColor: 'var(--text)',
    titleColor: 'var(--faint)',
    titleFontWeight: 'normal',
    gridColor: 'var(--line)',
    domainColor: 'var(--line)',
    tickColor: 'var(--line)',
    labelFontSize: 12,
    labelLimit: 170,
  },
  legend: {
    labelColor: 'var(--text)',
    orient: 'top',
    title: null,
    labelFontSize: 12,
    symbolType: 'square',
  },
} as const

const familyColour = {
  field: 'family',
  type: 'nominal',
  scale: { domain: ['IPv4', 'IPv6'], range: ['var(--ipv4)', 'var(--ipv6)'] },
} as const

const modeAxis = { field: 'mode', type: 'nominal', sort: null, title: null } as const
const familyOffset = { field: 'family', type: 'nominal', sort: ['IPv4', 'IPv6'] } as const
const rateAxis = { type: 'quantitative', title: 'Mbit/s', scale: { zero: true } } as const

/** Medians as bars with their intervals, and the wire limit of each as a line across its bar. */
export function throughputChart({ figures, unreachable }: FigureGroup): Promise<Markup> {
  const measured = figures.map(({ cell, record: { summary, wireLimitBitsPerSecond } }) => ({
    mode: modeLabel(cell),
    family: familyLabel(cell.family),
    median: megabits(summary.median),
    low: megabits(summary.interval?.low ?? summary.min),
    high: megabits(summary.interval?.high ?? summary.max),
    limit: megabits(wireLimitBitsPerSecond),
    label: megabits(summary.median).toFixed(0),
  }))
  const lost = unreachable.map((cell) => ({
    mode: modeLabel(cell),
    family: familyLabel(cell.family),
    label: 'nothing arrives',
    lost: true,
  }))
  const values = [...measured, ...lost]
  return drawn({
    data: { values },
    width: plotWidth,
    height: { step: barHeight },
    encoding: { y: modeAxis, yOffset: familyOffset },
    layer: [
      {
        mark: { type: 'bar', cornerRadiusEnd: 2 },
        encoding: { x: { field: 'median', ...rateAxis }, color: familyColour },
      },
      {
        mark: { type: 'rule', color: 'var(--text)', strokeWidth: 1.5 },
        encoding: { x: { field: 'low', ...rateAxis }, x2: { field: 'high' } },
      },
      {
        mark: { type: 'tick', color: 'var(--limit)', thickness: 2, size: barHeight },
        encoding: { x: { field: 'limit', ...rateAxis } },
      },
      {
        mark: { type: 'text', align: 'left', baseline: 'middle', fontSize: 10.5 },
        encoding: {
          x: { datum: 0, ...rateAxis },
          xOffset: { value: 5 },
          text: { field: 'label' },
          color: { condition: { test: 'datum.lost', value: 'var(--bad)' }, value: 'var(--on-bar)' },
        },
      },
    ],
  })
}

/** Every single measurement, with the box of its quartiles. */
export function sampleChart(figures: readonly Figure[]): Promise<Markup> {
  const values = figures.flatMap(({ cell, record }) =>
    record.samples.map(({ bitsPerSecond }) => ({
      mode: modeLabel(cell),
      family: familyLabel(cell.family),
      rate: megabits(bitsPerSecond),
    })),
  )
  return drawn({
    data: { values },
    width: plotWidth,
    height: { step: barHeight },
    encoding: {
      y: modeAxis,
      yOffset: familyOffset,
      x: { field: 'rate', type: 'quantitative', title: 'Mbit/s', scale: { zero: false } },
      color: familyColour,
    },
    layer: [
      {
        mark: {
          type: 'boxplot',
          extent: 'min-max',
          size: 9,
          median: { color: 'var(--page)' },
          rule: { color: 'var(--faint)' },
          ticks: false,
        },
      },
      { mark: { type: 'point', size: 12, color: 'var(--text)', opacity: 0.7, filled: true } },
    ],
  })
}

const kinds = ['user', 'system', 'softirq', 'irq', 'steal'] as const

/** Use of the processor while each figure was measured: what the cores did on the average, summed over cores. */
export function processorChart(figures: readonly Figure[], machine: string): Promise<Markup> {
  const values = figures.flatMap(({ cell, record }) => {
    const uses = record.samples.flatMap(({ cpu = [] }) => cpu.filter((each) => each.machine === machine))
    return kinds.map((kind) => ({
      mode: `${modeLabel(cell)} ${familyLabel(cell.family)}`,
      kind,
      cores: mean(uses.map((use) => coresBusyWith(use, kind))),
    }))
  })
  return drawn({
    data: { values },
    width: plotWidth,
    height: { step: barHeight + 3 },
    mark: { type: 'bar' },
    encoding: {
      y: modeAxis,
      x: { field: 'cores', type: 'quantitative', title: 'cores in use', stack: 'zero' },
      order: { field: 'kind', sort: 'descending' },
      color: {
        field: 'kind',
        type: 'nominal',
        scale: { domain: [...kinds], range: kinds.map((kind) => `var(--${kind})`) },
      },
    },
  })
}

function coresBusyWith({ cores }: CpuRecord, kind: (typeof kinds)[number]): number {
  return cores.reduce((sum, core) => sum + core[kind], 0)
}

function mean(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length
}

async function drawn(spec: TopLevelSpec): Promise<Markup> {
  const view = new View(parse(compile({ ...spec, config }).spec), { renderer: 'none' })
  try {
    const svg = await view.toSVG()
    // A fixed width would not fit a phone; the view box keeps the proportions.
    return { html: svg.replace(/^<svg ([^>]*?) width="([\d.]+)" height="[\d.]+"/, '<svg $1 style="max-width:$2px"') }
  } finally {
    view.finalize()
  }
}
