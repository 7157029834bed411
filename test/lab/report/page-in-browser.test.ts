import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type Browser, launch, type Page } from 'puppeteer-core'
import { figuresOf } from '../../../src/report/figures.ts'
import { htmlPage } from '../../../src/report/html/page.ts'
import { matrixRun } from '../../report/matrix-run.ts'

const chromium = '/usr/bin/chromium'

describe('the HTML page of a run in a browser', function () {
  this.timeout(60_000)
  let folder: string
  let browser: Browser
  let page: Page
  const complaints: string[] = []

  before(async function () {
    const browserFound = existsSync(chromium)
    // Set-up installs it on Debian; elsewhere it is no package of the distribution.
    if (!browserFound && !process.env.CI) this.skip()
    assert.ok(browserFound, `${chromium} is missing`)
    folder = await mkdtemp(join(tmpdir(), 'vmr-page-'))
    const file = join(folder, 'report.html')
    await writeFile(file, await htmlPage(matrixRun))
    // Chromium refuses its own sandbox to root, and this page is one that the test wrote.
    browser = await launch({
      executablePath: chromium,
      args: ['--no-sandbox'],
      userDataDir: join(folder, 'profile'),
    })
    page = await browser.newPage()
    page.on('console', (message) => complaints.push(message.text()))
    page.on('pageerror', (error) => complaints.push(String(error)))
    page.on('requestfailed', (request) => complaints.push(`${request.url()} failed`))
    await page.goto(pathToFileURL(file).href)
  })
  after(async () => {
    await browser?.close()
    await rm(folder, { recursive: true, force: true, maxRetries: 5 })
  })

  it('opens without a complaint', () => {
    assert.deepEqual(complaints, [])
  })

  it('shows every chart, none of them empty', async () => {
    const charts = await page.$$eval('figure', (figures) =>
      figures.map((figure) => {
        const svg = figure.querySelector('svg')
        const { width = 0, height = 0 } = svg?.getBoundingClientRect() ?? {}
        return {
          title: figure.querySelector('h3')?.textContent,
          marks: svg?.querySelectorAll('path,line').length ?? 0,
          width,
          height,
        }
      }),
    )
    assert.equal(charts.length, 5 + 5 + 6)
    for (const { title, marks, width, height } of charts)
      assert.ok(marks > 5 && width > 200 && height > 50, `${title}: ${marks} marks, ${width} × ${height}`)
  })

  it('shows the numbers of the run', async () => {
    const shown = await page.$$eval('#figures + .scroll tbody tr', (rows) =>
      rows.map((row) => row.querySelectorAll('td.number')[0]?.textContent),
    )
    assert.deepEqual(
      shown,
      figuresOf(matrixRun).map(({ record }) => (record.summary.median / 1e6).toFixed(0)),
    )
  })

  it('fits a phone: only tables scroll sideways', async () => {
    await page.setViewport({ width: 390, height: 844, isMobile: true, deviceScaleFactor: 2 })
    const width = await page.evaluate('document.documentElement.scrollWidth')
    assert.equal(width, 390)
  })

  it('is light or dark as the reader’s system is', async () => {
    const background = () => page.evaluate('getComputedStyle(document.body).backgroundColor')
    await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: 'light' }])
    assert.equal(await background(), 'rgb(251, 250, 248)')
    await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: 'dark' }])
    assert.equal(await background(), 'rgb(20, 23, 29)')
    const label = await page.evaluate("getComputedStyle(document.querySelector('figure svg text')).fill")
    assert.equal(label, 'rgb(231, 234, 240)')
  })
})
