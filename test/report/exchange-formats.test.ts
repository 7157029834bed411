import assert from 'node:assert/strict'
import { childElements, firstChild } from '../../src/domain/xml/element.ts'
import { parseXml } from '../../src/domain/xml/parse.ts'
import { csvReport } from '../../src/report/csv.ts'
import { junitReport } from '../../src/report/junit.ts'
import { markdownReport } from '../../src/report/markdown.ts'
import { matrixRun } from './matrix-run.ts'

const hostileRun = {
  manifest: matrixRun.manifest,
  cells: matrixRun.cells.map((cell) => ({ ...cell, mode: '=cmd()|"<b>,\n' })),
}

describe('the CSV of a run', () => {
  const lines = csvReport(matrixRun).trimEnd().split('\r\n')

  it('has a header, and a line for each figure with its verdict', () => {
    assert.match(lines[0] ?? '', /^cell,case,dut,mode,family,form,slide,verdict,direction,reached,way/)
    assert.ok(
      lines.some((line) =>
        line.startsWith('forward/vm/ipv4,forward,vm,bridge,ipv4,static,29,healthy,pc1>pc2,yes,there,tcp,1,3,690,'),
      ),
    )
    assert.ok(
      lines.some((line) => line.startsWith('nic/macvtap/vm/ipv6,nic,vm,macvtap,ipv6,static,,broken,pc1>dut,no,')),
    )
    assert.equal(new Set(lines.map((line) => line.split(',').length)).size, 1)
  })

  it('keeps what looks like a formula or a separator from becoming one', () => {
    assert.match(csvReport(hostileRun), /,"'=cmd\(\)\|""<b>,\n",/)
  })
})

describe('the JUnit XML of a run', () => {
  const root = parseXml(junitReport(matrixRun), { name: 'report.xml', code: 'INTERNAL' })
  const suites = childElements(root, 'testsuite')
  const tests = suites.flatMap((each) => childElements(each, 'testcase'))

  it('counts broken cells as failures, unmeasured ones as errors, and those not run as skipped', () => {
    assert.deepEqual([root.attributes.tests, root.attributes.failures, root.attributes.errors], ['8', '1', '1'])
    assert.equal(tests.length, 8)
    const broken = tests.find((each) => each.attributes.name === 'nic/macvtap/vm/ipv6')
    assert.ok(broken)
    assert.match(firstChild(broken, 'failure')?.attributes.message ?? '', /last seen at host uplink/)
    const notRun = tests.find((each) => each.attributes.name === 'forward/vm/ipv6')
    assert.ok(notRun && firstChild(notRun, 'skipped'))
  })

  it('is XML whatever a cell holds', () => {
    assert.doesNotThrow(() => parseXml(junitReport(hostileRun), { name: 'report.xml', code: 'INTERNAL' }))
  })
})

describe('the Markdown of a run', () => {
  const text = markdownReport(matrixRun)

  it('says first what is broken, then has a line for each cell and figure', () => {
    assert.match(text, /^# quick: 5 healthy, 1 broken, 1 could not be measured, 1 not run\n/)
    assert.match(text, /\n- \*\*macvtap\*\* breaks IPv6 in nic: PC1\\>VM lost: neighbour solicitation/)
    assert.match(text, /\| forward \| bridge \| IPv4 \| PC1\\>PC2 \| one way \| 690 \| 687–692 \| 73 % \| 74 % \|/)
  })

  it('keeps words of others from becoming markup or columns', () => {
    assert.match(markdownReport(hostileRun), /=cmd\(\)\\\|"\\<b\\>, /)
  })
})
