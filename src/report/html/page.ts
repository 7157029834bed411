import { tally } from '../../bench/verdict.ts'
import type { CellResult, Run, SetupFacts } from '../../results/schema.ts'
import { type Figure, type FigureGroup, figureGroups, figuresOf, megabits } from '../figures.ts'
import {
  acceleratorWords,
  directionLabel,
  directionsOf,
  dutLabelOf,
  familyLabel,
  formLabels,
  modeLabel,
  notesOf,
  reached,
  verdictWords,
  wayLabels,
} from '../words.ts'
import { zeroLossColumns, zeroLossRows } from '../zero-loss.ts'
import { processorChart, sampleChart, throughputChart } from './charts.ts'
import { type Markup, markup } from './markup.ts'
import { style } from './style.ts'

/**
 * One page about a run that needs no other file, no network and no script: charts are pictures drawn here, and every
 * number is in a table too.
 */
export async function htmlPage(run: Run): Promise<string> {
  const { manifest, cells } = run
  const figures = figuresOf(run)
  const groups = figureGroups(run)
  const charts = await Promise.all(groups.map(throughputFigure))
  const samples = await Promise.all(groups.filter(({ figures }) => figures.length > 0).map(sampleFigure))
  const processors = await processorFigures(groups)
  const zeroLoss = zeroLossRows(cells)
  const page = markup`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>vmr: ${manifest.matrix.name}, ${manifest.startedAt.slice(0, 10)}</title>
<style>${{ html: style }}</style>
</head>
<body>
<main>
${head(run)}
${findings(cells)}
<h2 id="reachability">Which mode carries what</h2>
<p class="faint">Probed from cold neighbour caches, in both directions, before and after the load.</p>
${heatMap(cells)}
${
  charts.length === 0
    ? undefined
    : markup`<h2 id="throughput">Throughput</h2>
<p class="faint">Bars are medians, the dark line is the ${intervalWords(figures)}, the red tick is what fits on the wire.</p>
<div class="charts">${charts}</div>
<h2 id="figures">All figures</h2>
${figureTable(figures)}
<h2 id="samples">Every single measurement</h2>
<div class="charts">${samples}</div>`
}
${
  zeroLoss.length === 0
    ? undefined
    : markup`<h2 id="zero-loss">Highest rate without loss</h2>
<p class="faint">UDP by frame size, after RFC 2544: frames in bytes, rates of payload.</p>
${zeroLossTable(zeroLoss)}`
}
${
  processors.length === 0
    ? undefined
    : markup`<h2 id="processor">Use of the processor</h2>
<div class="charts">${processors}</div>`
}
<h2 id="cells">Every cell</h2>
${cells.map((cell) => cellDetails(cell))}
<h2 id="environment">Environment</h2>
${environment(run)}
</main>
</body>
</html>
`
  return page.html
}

function head({ manifest, cells }: Run): Markup {
  const { guest, accelerator, host, libvirt, qemu } = manifest
  const counts = tally(manifest.planned, cells)
  const words = [
    `${counts.healthy} healthy`,
    ...(counts.broken > 0 ? [`${counts.broken} broken`] : []),
    ...(counts.error > 0 ? [`${counts.error} could not be measured`] : []),
    ...(counts.impossible > 0 ? [`${counts.impossible} not possible here`] : []),
    ...(counts.missing > 0 ? [`${counts.missing} not run`] : []),
  ]
  return markup`<h1>${manifest.matrix.name}: ${words.join(', ')}</h1>
<p class="faint">Run ${manifest.run}, started ${manifest.startedAt}. ${
    guest === undefined
      ? undefined
      : `Guest: ${guest.label}${accelerator === undefined ? '' : `, ${acceleratorWords[accelerator]}`}. `
  }Host: kernel ${host.kernel}${libvirt === undefined ? '' : `, libvirt ${libvirt.version}`}${
    qemu === undefined ? '' : `, QEMU ${qemu}`
  }, ${host.cpus} CPUs.</p>`
}

/** What a reader came for: which mode breaks which family in which case, and where the frame was lost. */
function findings(cells: readonly CellResult[]): Markup {
  const broken = cells.filter(({ verdict }) => verdict.verdict === 'broken')
  if (broken.length === 0) {
    const healthy = cells.some(({ verdict }) => verdict.verdict === 'healthy')
    return healthy
      ? markup`<ul class="findings"><li class="healthy">Every cell that was measured is healthy.</li></ul>`
      : markup``
  }
  return markup`<ul class="findings">${broken.map(
    (cell) =>
      markup`<li class="broken"><strong>${modeLabel(cell)}</strong> ${verdictWords(cell)} in <em>${cell.case}</em>${
        cell.form === 'static' ? undefined : ` (${formLabels[cell.form]})`
      }<br><span class="faint">${notesOf(cell, dutLabelOf([cell])).join('; ')}</span></li>`,
  )}</ul>`
}

function heatMap(cells: readonly CellResult[]): Markup {
  const columns = [
    ...new Map(cells.flatMap(({ case: name, form }) => [[`${name}\0${form}`, { name, form }] as const])).values(),
  ]
  const rows = [...new Set(cells.map(modeLabel))]
  const cellsAt = (row: string, column: (typeof columns)[number]) =>
    cells.filter((cell) => modeLabel(cell) === row && cell.case === column.name && cell.form === column.form)
  return markup`<div class="scroll"><table class="heat">
<thead><tr><th>mode</th>${columns.map(
    ({ name, form }) => markup`<th colspan="2">${name}${form === 'static' ? undefined : `, ${formLabels[form]}`}</th>`,
  )}</tr>
<tr><th></th>${columns.map(() => markup`<th>IPv4</th><th>IPv6</th>`)}</tr></thead>
<tbody>${rows.map(
    (row) =>
      markup`<tr><th>${row}</th>${columns.map((column) =>
        (['ipv4', 'ipv6'] as const).map((family) =>
          heatCell(cellsAt(row, column).find((cell) => cell.family === family)),
        ),
      )}</tr>
`,
  )}</tbody></table></div>`
}

function heatCell(cell: CellResult | undefined): Markup {
  if (cell === undefined) return markup`<td class="none-cell">–</td>`
  const { verdict } = cell
  switch (verdict.verdict) {
    case 'healthy':
      return markup`<td class="healthy-cell">✓ works</td>`
    case 'error':
      return markup`<td class="none-cell" title="${verdict.error.message}">not measured</td>`
    case 'impossible':
      return markup`<td class="none-cell" title="${verdict.reason}">not possible here</td>`
    case 'broken': {
      const label = dutLabelOf([cell])
      const lost = verdict.directions.map((direction) => directionLabel(direction, label))
      const partly = verdict.directions.every((direction) => reached(cell, direction) === 'partly')
      return markup`<td class="${partly ? 'partly-cell' : 'broken-cell'}">✗ ${lost.join(', ')}</td>`
    }
  }
}

function intervalWords(figures: readonly Figure[]): string {
  return figures.every(({ record }) => record.summary.interval !== undefined)
    ? '95 % confidence interval of the median'
    : '95 % confidence interval of the median, or the whole range where there were too few measurements for one'
}

const groupTitle = ({ case: name, way, direction, figures, unreachable }: FigureGroup): string =>
  `${name}: ${directionLabel(direction, dutLabelOf([...figures.map(({ cell }) => cell), ...unreachable]))}${way === 'both' ? ', both ways at once' : ''}`

async function throughputFigure(group: FigureGroup): Promise<Markup> {
  return markup`<figure><h3>${groupTitle(group)}</h3>${await throughputChart(group)}</figure>`
}

async function sampleFigure(group: FigureGroup): Promise<Markup> {
  return markup`<figure><h3>${groupTitle(group)}</h3>${await sampleChart(group.figures)}</figure>`
}

async function processorFigures(groups: readonly FigureGroup[]): Promise<readonly Markup[]> {
  const wanted = groups.flatMap((group) => {
    const machines = new Set(
      group.figures.flatMap(({ record }) =>
        record.samples.flatMap(({ cpu = [] }) => cpu.map(({ machine }) => machine)),
      ),
    )
    return [...machines].map((machine) => ({ group, machine }))
  })
  return Promise.all(
    wanted.map(async ({ group, machine }) => {
      const recorded = group.figures.filter(({ record }) =>
        record.samples.some(({ cpu = [] }) => cpu.some((each) => each.machine === machine)),
      )
      return markup`<figure><h3>${groupTitle(group)}, ${machine}</h3>${await processorChart(recorded, machine)}</figure>`
    }),
  )
}

function figureTable(figures: readonly Figure[]): Markup {
  const withHost = figures.some(({ hostRatio }) => hostRatio !== undefined)
  return markup`<div class="scroll"><table>
<thead><tr><th>case</th><th>mode</th><th>family</th><th>direction</th><th>way</th><th>Mbit/s</th><th>95 % interval</th><th>min–max</th><th>of limit</th>${
    withHost ? markup`<th>of the host’s</th>` : undefined
  }<th>n</th></tr></thead>
<tbody>${figures.map(({ cell, record, hostRatio }) => {
    const { summary } = record
    return markup`<tr><td>${cell.case}</td><td>${modeLabel(cell)}</td><td>${familyLabel(cell.family)}</td><td>${directionLabel(record.direction, dutLabelOf([cell]))}</td><td>${wayLabels[record.way]}</td><td class="number">${rate(summary.median)}</td><td class="number">${
      summary.interval === undefined ? '–' : `${rate(summary.interval.low)}–${rate(summary.interval.high)}`
    }</td><td class="number">${rate(summary.min)}–${rate(summary.max)}</td><td class="number">${percent(record.shareOfWireLimit)}</td>${
      withHost ? markup`<td class="number">${hostRatio === undefined ? '–' : percent(hostRatio)}</td>` : undefined
    }<td class="number">${summary.count}</td></tr>
`
  })}</tbody></table></div>`
}

function zeroLossTable(rows: readonly (readonly string[])[]): Markup {
  const isNumber = (index: number) => index >= zeroLossColumns.indexOf('frame')
  return markup`<div class="scroll"><table>
<thead><tr>${zeroLossColumns.map((name) => markup`<th>${name}</th>`)}</tr></thead>
<tbody>${rows.map(
    (row) =>
      markup`<tr>${row.map((value, index) => (isNumber(index) ? markup`<td class="number">${value}</td>` : markup`<td>${value}</td>`))}</tr>
`,
  )}</tbody></table></div>`
}

const rate = (bitsPerSecond: number): string => megabits(bitsPerSecond).toFixed(0)
const percent = (share: number): string => `${(share * 100).toFixed(0)} %`

function cellDetails(cell: CellResult): Markup {
  const label = dutLabelOf([cell])
  const notes = notesOf(cell, label)
  const probes = directionsOf([cell]).map((direction) => ({
    direction: directionLabel(direction, label),
    before: cell.probesBefore.filter((probe) => probe.direction === direction),
    after: cell.probesAfter.filter((probe) => probe.direction === direction),
  }))
  return markup`<details id="${cell.id}"><summary><strong>${cell.id}</strong> ${verdictWords(cell)}</summary>
<dl>
<dt>started</dt><dd>${cell.startedAt}, ${cell.seconds.toFixed(1)} s, ${cell.loadSeconds.toFixed(0)} s of them under load</dd>
${cell.slide === undefined ? undefined : markup`<dt>slide</dt><dd>${cell.slide}</dd>`}
${Object.entries(cell.actors).map(
  ([role, actor]) =>
    markup`<dt>${role}</dt><dd>${actor.kind}${actor.reason === undefined ? undefined : ` (${actor.reason})`}</dd>`,
)}
${notes.length === 0 ? undefined : markup`<dt>finding</dt><dd>${notes.join('; ')}</dd>`}
${probes.map(
  ({ direction, before, after }) =>
    markup`<dt>${direction}</dt><dd>${probeWords(before)} before the load${
      after.length === 0 ? undefined : `, ${probeWords(after)} after it`
    }</dd>`,
)}
${cell.solicitations.map(
  (trace) =>
    markup`<dt>${trace.protocol}</dt><dd>${trace.hops.map(({ hop, count }) => `${hop} ${count}`).join(' → ')}: ${trace.line}</dd>`,
)}
</dl>
${cell.throughput.map((record) =>
  record.status === 'unreachable'
    ? markup`<p>${directionLabel(record.direction, label)}, ${wayLabels[record.way]}: nothing arrives.</p>`
    : markup`<div class="scroll"><table><thead><tr><th>${directionLabel(record.direction, label)}, ${wayLabels[record.way]}, ${record.protocol.toUpperCase()}</th><th>Mbit/s</th><th>s</th><th>retransmits</th><th>ping median ms</th><th>raw data</th></tr></thead><tbody>${record.samples.map(
        (sample, index) =>
          markup`<tr><td>${index + 1}, ${sample.tool}</td><td class="number">${rate(sample.bitsPerSecond)}</td><td class="number">${sample.seconds.toFixed(1)}</td><td class="number">${sample.retransmits ?? '–'}</td><td class="number">${sample.latency?.medianMs?.toFixed(1) ?? '–'}</td><td><a href="${sample.raw}">${sample.raw}</a></td></tr>`,
      )}</tbody></table></div>`,
)}
</details>`
}

function probeWords(probes: readonly CellResult['probesBefore'][number][]): string {
  if (probes.length === 0) return 'not probed'
  return probes
    .map(
      ({ address, reachable, rttMs, failure }) =>
        `${address} ${reachable ? `reached${rttMs === undefined ? '' : ` in ${rttMs} ms`}` : `lost${failure === undefined ? '' : ` (${failure})`}`}`,
    )
    .join(', ')
}

function environment({ manifest }: Run): Markup {
  const { host, guests, libvirt, qemu, accelerator, setups, seed, testbed, vmr, capabilities } = manifest
  const rows: readonly (readonly [string, string | undefined])[] = [
    ['vmr', vmr],
    ['testbed', testbed],
    ['seed', String(seed)],
    ['host', `${host.hostName}, ${host.distribution}, kernel ${host.kernel}, ${host.architecture}`],
    [
      'processor',
      `${host.cpuModel ?? 'unknown'}, ${host.cpus} CPUs${host.governor === undefined ? '' : `, ${host.governor}`}`,
    ],
    ['memory', `${(host.memoryBytes / 2 ** 30).toFixed(1)} GiB`],
    [
      'programs',
      Object.entries(host.versions)
        .map(([program, version]) => `${program} ${version}`)
        .join(', '),
    ],
    [
      'TCP',
      `timestamps ${host.tcpTimestamps ? 'on' : 'off'}${host.tcpCongestionControl === undefined ? '' : `, ${host.tcpCongestionControl}`}`,
    ],
    ['libvirt', libvirt === undefined ? undefined : `${libvirt.version} at ${libvirt.uri}`],
    ['QEMU', qemu],
    ['accelerator', accelerator],
    [
      'host’s kernel',
      Object.entries(capabilities)
        .map(([name, able]) => `${able ? '' : 'no '}${name}`)
        .join(', '),
    ],
    ...Object.entries(guests).map(([role, facts]): [string, string] => [
      `guest ${role}`,
      `${facts.distribution}, kernel ${facts.kernel}, ${facts.cpus} CPUs`,
    ]),
  ]
  return markup`<dl>${rows.map(([name, value]) =>
    value === undefined || value === ''
      ? undefined
      : markup`<dt>${name}</dt><dd>${value}</dd>
`,
  )}</dl>
${Object.entries(setups).map(([name, facts]) => setupDetails(name, facts))}
<details><summary>matrix</summary><pre>${JSON.stringify(manifest.matrix.definition, null, 2)}</pre></details>`
}

function setupDetails(name: string, { domainXml, configs, interfaces }: SetupFacts): Markup {
  return markup`<details><summary>set-up ${name}</summary>
<pre>${JSON.stringify({ configs, interfaces }, null, 2)}</pre>
${domainXml === undefined ? undefined : markup`<pre>${domainXml}</pre>`}
</details>`
}
