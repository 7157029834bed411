/*
 * Runs every test: those that share nothing with others beside those that share this host's libvirt and the lab's names,
 * so that the whole takes little more than the longer half. Ends with one closing line for both.
 */
import { execa } from 'execa'
import { addCounts, closingLine, type TestCounts } from './closing-line.ts'

/** Folders of tests whose guests, namespaces and files are their own. */
const unshared = ['image', 'report', 'serial', 'shell']

const halves = [
  { name: 'with libvirt and the lab', spec: [`test/lab/!(${unshared.join('|')})/**/*.test.ts`], shown: 'inherit' },
  {
    name: 'with nothing that is shared',
    spec: ['test/!(lab)/**/*.test.ts', `test/lab/{${unshared.join(',')}}/**/*.test.ts`],
    shown: 'pipe',
  },
] as const

interface HalfResult {
  readonly counts: TestCounts | undefined
  readonly exitCode: number
}

async function runHalf({ name, spec, shown }: (typeof halves)[number]): Promise<HalfResult> {
  const args = [
    // Not mocha's own starter: it would put another process between this one and the tests.
    ...['--import', 'tsx', 'node_modules/mocha/lib/cli/cli.js', '--no-config', '--extension', 'ts'],
    ...['--forbid-only', '--fail-zero', '--timeout', '10000'],
    ...['--reporter', 'scripts/test/closing-line-reporter.ts', ...spec],
  ]
  const run = execa(process.execPath, args, {
    stdin: 'ignore',
    stdout: shown,
    stderr: shown,
    all: true,
    ipc: true,
    reject: false,
    maxBuffer: 100_000_000,
    // Ctrl-C reaches both by the terminal; their tests clean up by themselves.
    cleanup: true,
  })
  let counts: TestCounts | undefined
  run.on('message', (message) => {
    counts = message as unknown as TestCounts
  })
  const { all, exitCode, signal } = await run
  // One half's report must not be scattered over the other's.
  if (shown === 'pipe') process.stdout.write(`\nTests ${name}:\n${all ?? ''}\n`)
  if (counts === undefined) process.stdout.write(`tests ${name} ended early (${signal ?? `exit status ${exitCode}`})\n`)
  return { counts, exitCode: exitCode ?? 1 }
}

const results = await Promise.all(halves.map(runHalf))
const total = results.map(({ counts }) => counts ?? { passed: 0, failed: 1, skipped: 0 }).reduce(addCounts)
process.stdout.write(`${closingLine(total)}\n`)
process.exitCode = results.some(({ exitCode }) => exitCode !== 0) || total.passed === 0 ? 1 : 0
