import { tally } from '../bench/verdict.ts'
import { buildXml } from '../domain/xml/build.ts'
import { element, type XmlElement } from '../domain/xml/element.ts'
import type { CellResult, Run } from '../results/schema.ts'
import { dutLabelOf, notesOf, plain, verdictWords } from './words.ts'

/**
 * JUnit XML as continuous integration reads it: one suite a case, one test a cell. A broken cell is a failure, one that
 * could not be measured an error, one that this testbed cannot run is skipped; so is one that was planned and not run.
 */
export function junitReport({ manifest, cells }: Run): string {
  const { broken, error } = tally(manifest.planned, cells)
  const missing = manifest.planned.filter((id) => !cells.some((cell) => cell.id === id))
  const names = [...new Set(cells.map((cell) => cell.case))]
  const suites = names.map((name) => {
    const members = cells.filter((cell) => cell.case === name)
    return suite(name, members.map(testCase), {
      failures: members.filter(({ verdict }) => verdict.verdict === 'broken').length,
      errors: members.filter(({ verdict }) => verdict.verdict === 'error').length,
      skipped: members.filter(({ verdict }) => verdict.verdict === 'impossible').length,
      seconds: members.reduce((sum, { seconds }) => sum + seconds, 0),
    })
  })
  const notRun = missing.map((id) =>
    element('testcase', { name: id, classname: id.split('/')[0], time: 0 }, [
      element('skipped', { message: 'planned and not run' }),
    ]),
  )
  return buildXml(
    element(
      'testsuites',
      { name: plain(manifest.run), tests: cells.length + missing.length, failures: broken, errors: error },
      [
        ...suites,
        ...(notRun.length === 0
          ? []
          : [suite('not run', notRun, { failures: 0, errors: 0, skipped: notRun.length, seconds: 0 })]),
      ],
    ),
  )
}

interface SuiteCounts {
  readonly failures: number
  readonly errors: number
  readonly skipped: number
  readonly seconds: number
}

function suite(
  name: string,
  tests: readonly XmlElement[],
  { failures, errors, skipped, seconds }: SuiteCounts,
): XmlElement {
  return element(
    'testsuite',
    { name: plain(name), tests: tests.length, failures, errors, skipped, time: seconds.toFixed(3) },
    tests,
  )
}

function testCase(cell: CellResult): XmlElement {
  const message = notesOf(cell, dutLabelOf([cell])).join('; ')
  return element('testcase', { name: plain(cell.id), classname: plain(cell.case), time: cell.seconds.toFixed(3) }, [
    outcome(cell, message),
  ])
}

function outcome(cell: CellResult, message: string): XmlElement | undefined {
  switch (cell.verdict.verdict) {
    case 'healthy':
      return undefined
    case 'broken':
      return element('failure', { type: verdictWords(cell), message }, [message])
    case 'error':
      return element('error', { type: plain(cell.verdict.error.code), message }, [message])
    case 'impossible':
      return element('skipped', { message })
  }
}
