import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { localShell } from '../../../src/shell/local.ts'

const name = 'vmrt-apply'

interface Applied {
  readonly changes: readonly {
    readonly what: string
    readonly from?: string
    readonly to?: string
    readonly effect: string
  }[]
  readonly applied: boolean
  readonly restarted: boolean
  readonly waitsForNextStart: boolean
}

describe('`vmr apply`', function () {
  this.timeout(180_000)
  let folder: string
  let file: string

  const run = (...argv: readonly string[]) =>
    localShell.run(['env', `VMR_STATE_DIR=${folder}/state`, process.execPath, 'dist/cli.js', ...argv], {
      timeoutMs: 90_000,
    })
  const ok = async <T>(...argv: readonly string[]): Promise<T> => {
    const { stdout, stderr, exitCode } = await run(...argv, '--json')
    assert.equal(exitCode, 0, stderr)
    return JSON.parse(stdout) as T
  }
  const write = (more: string, nics = '[{}, {}]') =>
    writeFile(file, `os: lab-router\nimage: lab-router\nvcpus: 1\nmemory: 384 MiB\nnics: ${nics}\n${more}`)
  const apply = (...more: readonly string[]) => ok<Applied>('apply', file, '--accel', 'tcg', ...more)
  const xml = async (...more: readonly string[]) => (await ok<{ readonly xml: string }>('vm', 'xml', name, ...more)).xml
  const effects = ({ changes }: Applied) => changes.map(({ what, effect }) => `${what}: ${effect}`)
  const addresses = (text: string) =>
    [...text.matchAll(/<interface.*?<\/interface>/gs)].map(([nic]) => /<address type='pci'[^>]*>/.exec(nic)?.[0])

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'vmr-apply-'))
    file = join(folder, `${name}.yaml`)
    await write('')
  })
  after(async () => {
    await run('vm', 'delete', name, '--yes')
    await run('lab', 'down')
    await rm(folder, { recursive: true })
  })

  it('makes a VM that is not there, and then finds nothing to do', async () => {
    const { exitCode, stdout } = await run('apply', file, '--accel', 'tcg', '--dry-run')
    assert.equal(exitCode, 0)
    assert.match(stdout, /<domain type="qemu">/)
    await apply()
    const before = await xml('--inactive')
    const again = await apply()
    assert.deepEqual(again, { name, changes: [], applied: false, restarted: false, waitsForNextStart: false })
    assert.equal(await xml('--inactive'), before)
  })

  it('changes at once what can be changed at once, and asks before traffic is interrupted', async () => {
    await write('', '[{ mode: macvtap-trust, link: down }, { link: down }]')
    const before = await xml()
    const { stderr, exitCode } = await run('apply', file, '--accel', 'tcg')
    assert.equal(exitCode, 2)
    assert.match(stderr, /traffic of vmrt-apply will be interrupted, and nobody said yes/)
    const planned = await apply('--dry-run')
    assert.equal(await xml(), before)
    const done = await apply('--yes')
    assert.deepEqual(done.changes, planned.changes)
    assert.deepEqual(effects(done).toSorted(), ['eth0 link: now', 'eth0 mode: now, interrupts', 'eth1 link: now'])
    const live = await xml()
    assert.match(live, /trustGuestRxFilters='yes'/)
    assert.equal(live.split("<link state='down'/>").length - 1, 2)
    assert.deepEqual(addresses(await xml('--inactive')).toSorted(), addresses(before).toSorted())
    assert.deepEqual((await apply()).changes, [])
  })

  it('leaves the rest for the next start, or restarts when it may', async () => {
    await write('watchdog: { action: reset }\n', '[{ mode: macvtap-trust }, {}]')
    const { changes } = await apply('--dry-run')
    assert.ok(
      changes.some(({ what, from }) => /watchdog/.test(what) && from === undefined),
      JSON.stringify(changes),
    )
    const waiting = await apply('--yes')
    assert.equal(waiting.waitsForNextStart, true)
    assert.doesNotMatch(await xml(), /<watchdog/)
    assert.match(await xml('--inactive'), /<watchdog/)
    assert.doesNotMatch(await xml(), /<link state='down'\/>/)
    await write('title: a router\n', '[{ mode: macvtap-trust }, {}]')
    const restarted = await apply('--yes', '--restart')
    assert.equal(restarted.restarted, true)
    assert.doesNotMatch(await xml(), /<watchdog/)
    assert.match(await xml(), /<title>a router<\/title>/)
    assert.deepEqual(addresses(await xml()), addresses(await xml('--inactive')))
  })
})
