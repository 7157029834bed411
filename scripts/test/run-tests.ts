/*
 * Runs every test, or those of the files named: each file of test/lab on a private host, several at once, and all others
 * in one run beside them. Ends with the failures of all, and one closing line.
 */
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { addReports, closingLine, readReport, type TestReport } from './report.ts'

/** Guests wait more than they compute: three at once keep two processors busy and still answer in time. */
const atOnce = 3

/** These take the longest, so they start first. */
const longest = [
  'test/lab/ipv6/faults.test.ts',
  'test/lab/vm/switch-all-pairs.test.ts',
  'test/lab/vm/switch-faults.test.ts',
  'test/lab/bench/resume.test.ts',
  'test/lab/serial/login-faults.test.ts',
  'test/lab/image/lab-router.test.ts',
  'test/lab/serial/command-faults.test.ts',
  'test/lab/bench/faulty-run.test.ts',
]

/** These hold times and rates to limits, so they have the machine to themselves. */
const timed = ['test/lab/testbed/lab.test.ts', 'test/lab/vm/boot-time.test.ts']

/** A private host reaches no archive of Debian packages. */
const needPackages = ['test/lab/image/build.test.ts']

const mocha = [
  // Not mocha's own starter: it would put another process between this one and the tests.
  ...['--import', 'tsx', 'node_modules/mocha/lib/cli/cli.js', '--no-config', '--extension', 'ts', '--forbid-only'],
  ...['--fail-zero', '--timeout', '10000', '--reporter', 'scripts/test/report-file-reporter.ts'],
]

interface Job {
  readonly files: readonly string[]
  readonly host: 'private' | 'this'
}

async function runJob({ files, host }: Job, reports: string, number: number): Promise<TestReport> {
  const report = join(reports, `${number}.json`)
  const words = [process.execPath, ...mocha, ...files]
  const [program = '', ...rest] = host === 'private' ? ['scripts/test/private-host.sh', ...words] : words
  const started = performance.now()
  const { all, exitCode, signal } = await execa(program, rest, {
    env: { VMR_TEST_REPORT: report },
    stdin: 'ignore',
    all: true,
    reject: false,
    maxBuffer: 100_000_000,
  })
  const found = await readReport(report)
  const seconds = Math.round((performance.now() - started) / 1000)
  const what = files.length === 1 ? files.join() : `${files.length} files of tests`
  // As a whole, so that several at once do not mix.
  process.stdout.write(`\n${what} (${seconds} s)\n${all ?? ''}\n`)
  const end = { title: what, message: `ended with ${signal ?? `exit status ${exitCode}`}` }
  if (found === undefined) return { passed: 0, skipped: 0, failures: [end] }
  return exitCode !== 0 && found.failures.length === 0 ? { ...found, failures: [end] } : found
}

async function everyTest(): Promise<readonly string[]> {
  const names = await readdir('test', { recursive: true })
  return names
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => join('test', name))
    .toSorted()
}

const named = process.argv.slice(2)
const files = named.length > 0 ? named : await everyTest()
const rank = (file: string) => (longest.includes(file) ? longest.indexOf(file) : longest.length)
const needsPrivateHost = (file: string) => file.startsWith('test/lab/') && !needPackages.includes(file)
const hosted = files.filter(needsPrivateHost).toSorted((a, b) => rank(a) - rank(b))
const others = files.filter((file) => !needsPrivateHost(file))
const onPrivateHost = (file: string): Job => ({ files: [file], host: 'private' })
const together: readonly Job[] = [
  ...(others.length > 0 ? [{ files: others, host: 'this' } as const] : []),
  ...hosted.filter((file) => !timed.includes(file)).map(onPrivateHost),
]
const alone = hosted.filter((file) => timed.includes(file)).map(onPrivateHost)

// Private hosts share this one's cache, and each would have to wait for the image.
await execa(process.execPath, ['dist/cli.js', 'image', 'build', 'lab'], { stdio: ['ignore', 'inherit', 'inherit'] })
const reports = await mkdtemp(join(tmpdir(), 'vmr-tests-'))
try {
  const found: TestReport[] = []
  const queue = together.entries()
  const takeJobs = async () => {
    for (const [number, job] of queue) found.push(await runJob(job, reports, number))
  }
  await Promise.all(Array.from({ length: atOnce }, takeJobs))
  for (const job of alone) found.push(await runJob(job, reports, found.length))
  const total = found.reduce(addReports)
  for (const { title, message } of total.failures) process.stdout.write(`\nFAILED ${title}\n  ${message}\n`)
  process.stdout.write(`\n${closingLine(total)}\n`)
  process.exitCode = total.failures.length > 0 || total.passed === 0 ? 1 : 0
} finally {
  await rm(reports, { recursive: true, force: true })
}
