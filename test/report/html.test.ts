import assert from 'node:assert/strict'
import fc from 'fast-check'
import { figuresOf } from '../../src/report/figures.ts'
import { markup } from '../../src/report/html/markup.ts'
import { htmlPage } from '../../src/report/html/page.ts'
import { matrixRun } from './matrix-run.ts'

describe('the HTML page of a run', () => {
  let page: string
  before(async () => {
    page = await htmlPage(matrixRun)
  })

  it('says first which mode breaks what, and where the frame was lost', () => {
    const first = page.slice(0, page.indexOf('<h2'))
    assert.match(first, /<strong>macvtap<\/strong> breaks IPv6 in <em>nic<\/em>/)
    assert.match(first, /neighbour solicitation last seen at host uplink vmr-up1/)
  })

  it('needs no script, no other file and no network', () => {
    assert.deepEqual(page.match(/<script|<link|@import|url\((?!#)|<img/gi), null)
    assert.deepEqual(page.replaceAll(/xmlns(:xlink)?="[^"]*"/g, '').match(/.{20}https?:/g), null)
  })

  it('has every median that was measured, as text', () => {
    const table = page.slice(page.indexOf('id="figures"'), page.indexOf('id="samples"'))
    const shown = [...table.matchAll(/<tr><td>(.*?)<\/td><td>(.*?)<\/td>.*?<td class="number">(\d+)<\/td>/g)].map(
      ([, name, mode, rate]) => `${name} ${mode} ${rate}`,
    )
    const recorded = figuresOf(matrixRun).map(
      ({ cell, record }) => `${cell.case} ${cell.mode ?? 'host'} ${(record.summary.median / 1e6).toFixed(0)}`,
    )
    assert.deepEqual(shown, recorded)
  })

  it('has the highest rate without loss of each frame size', () => {
    assert.match(page, /Highest rate without loss/)
    assert.match(page, /<td class="number">128<\/td><td class="number">484375<\/td><td class="number">310\.0<\/td>/)
  })

  it('compares the VM with the host in the same case, family and direction', () => {
    assert.ok(page.includes('<th>of the host’s</th>'))
    assert.ok(/<td>forward<\/td><td>bridge<\/td>.*?<td class="number">74 %<\/td><td class="number">3<\/td>/.test(page))
  })

  it('has one chart for each case, direction and way, and says in it where nothing arrives', () => {
    const throughput = page.slice(page.indexOf('id="throughput"'), page.indexOf('id="figures"'))
    assert.deepEqual(
      [...throughput.matchAll(/<h3>(.*?)<\/h3><svg/g)].map(([, title]) => title),
      [
        'nic: PC1&gt;VM',
        'nic: VM&gt;PC1',
        'forward: PC1&gt;PC2',
        'forward: PC1&gt;PC2, both ways at once',
        'forward: PC2&gt;PC1, both ways at once',
      ],
    )
    assert.equal(throughput.match(/>nothing arrives</g)?.length, 1)
    assert.deepEqual(throughput.match(/undefined|NaN|null/g), null)
  })

  it('shows the use of the processor of each machine that was watched', () => {
    assert.ok(/forward: PC1&gt;PC2, host<\/h3><svg/.test(page))
    assert.ok(page.includes('softirq'))
  })

  it('gives every element of its charts a name of its own', () => {
    const names = [...page.matchAll(/ id="([^"]+)"/g)].map(([, name]) => name)
    assert.equal(new Set(names).size, names.length)
  })

  it('of a run that has not measured yet is a page too', async () => {
    assert.match(await htmlPage({ ...matrixRun, cells: [] }), /0 healthy, 8 not run/)
  })

  it('escapes whatever guests, tools and files say', async () => {
    const hostile = '</details><script>alert("1")</script><img src=x onerror=\'alert(2)\'>'
    const [cell] = matrixRun.cells
    assert.ok(cell)
    const hostilePage = await htmlPage({
      manifest: {
        ...matrixRun.manifest,
        matrix: { name: hostile, definition: { hostile } },
        guest: { name: 'x', label: hostile },
        setups: { [hostile]: { domainXml: hostile, configs: {}, interfaces: {} } },
      },
      cells: [
        { ...cell, mode: hostile },
        { ...cell, verdict: { verdict: 'error', error: { code: 'X', message: hostile } } },
      ],
    })
    assert.deepEqual(hostilePage.match(/<script|<img/g), null)
  })
})

describe('a piece of a page', () => {
  it('never lets text become markup, nor end an attribute', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const { html } = markup`<p title="${text}">${[text, 1]}</p>`
        assert.equal(html.match(/[<>]/g)?.length, 4)
        assert.equal(html.match(/"/g)?.length, 2)
      }),
    )
  })
})
