/*
 * Runs every test, or those of the files named: each file of test/lab on a private host, several at once, and all others
 * in one run beside them. A file that failed beside others runs once more with the machine to itself: guests without KVM
 * miss their time limits on a machine that is busy, and what is wrong fails again. Ends with the failures of all, what
 * needed its second run, and one closing line.
 */
import { randomUUID } from 'node:crypto'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { closingLine, type FileReport, readReports } from './report.ts'

/** Guests wait more than they compute: three at once keep two processors busy and still answer in time. */
const atOnce = 3

/** These take the longest, so they start first. */
const longest = [
  'test/lab/ipv6/endurance.test.ts',
  'test/lab/ipv6/faults.test.ts',
  'test/lab/contract/vyos.test.ts',
  'test/lab/vm/switch-all-pairs.test.ts',
  'test/lab/vm/switch-faults.test.ts',
  'test/lab/bench/resume.test.ts',
  'test/lab/image/import-iso.test.ts',
  'test/lab/ipv6/every-mode.test.ts',
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

async function runJob({ files, host }: Job, folder: string): Promise<readonly FileReport[]> {
  const report = join(folder, `${randomUUID()}.json`)
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
  const found = (await readReports(report)) ?? []
  const seconds = Math.round((performance.now() - started) / 1000)
  const what = files.length === 1 ? files.join() : `${files.length} files of tests`
  // As a whole, so that several at once do not mix.
  process.stdout.write(`\n${what} (${seconds} s)\n${all ?? ''}\n`)
  if (exitCode === 0 || found.some(({ failures }) => failures.length > 0)) return found
  const message = `ended with ${signal ?? `exit status ${exitCode}`}`
  const ended = (file: string): FileReport => ({ file, passed: 0, skipped: 0, failures: [{ title: file, message }] })
  // Something was left behind, or mocha itself ended.
  return files.map((file) => {
    const own = found.find((each) => each.file === file)
    return own === undefined ? ended(file) : { ...own, failures: [{ title: file, message }] }
  })
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
const folder = await mkdtemp(join(tmpdir(), 'vmr-tests-'))
try {
  const reports = new Map<string, FileReport>()
  const note = (found: readonly FileReport[]) => {
    for (const report of found) reports.set(report.file, report)
  }
  const failed = () => [...reports.values()].filter(({ failures }) => failures.length > 0)
  const queue = together.values()
  const takeJobs = async () => {
    for (const job of queue) note(await runJob(job, folder))
  }
  await Promise.all(Array.from({ length: atOnce }, takeJobs))
  for (const job of alone) note(await runJob(job, folder))
  const again = failed().map(({ file }) => file)
  for (const file of again)
    note(await runJob({ files: [file], host: needsPrivateHost(file) ? 'private' : 'this' }, folder))
  for (const { failures } of failed())
    for (const { title, message } of failures) process.stdout.write(`\nFAILED ${title}\n  ${message}\n`)
  const passed = again.filter((file) => reports.get(file)?.failures.length === 0)
  if (passed.length > 0) process.stdout.write(`\nfailed beside others, and passed alone: ${passed.join(', ')}\n`)
  process.stdout.write(`\n${closingLine([...reports.values()])}\n`)
  const anyPassed = [...reports.values()].some((report) => report.passed > 0)
  process.exitCode = failed().length > 0 || !anyPassed ? 1 : 0
} finally {
  await rm(folder, { recursive: true, force: true })
}
