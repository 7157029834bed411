import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { cacheDirectory } from '../../../src/config/paths.ts'
import { buildLabImage } from '../../../src/image/lab-image.ts'
import { localShell } from '../../../src/shell/local.ts'

const name = 'vmrt-states'

interface Shown {
  readonly boot?: { readonly state: string; readonly configuration?: string; readonly words: readonly string[] }
  readonly error?: { readonly code: string; readonly message: string; readonly hint: string }
}

describe('a guest whose boot configuration takes its time and has an error', function () {
  this.timeout(240_000)
  let folder: string

  const vmr = async (...argv: readonly string[]) => {
    const { stdout, stderr, exitCode } = await localShell.run(
      ['env', `VMR_STATE_DIR=${folder}`, process.execPath, 'dist/cli.js', ...argv],
      { timeoutMs: 120_000 },
    )
    return { stderr, exitCode, shown: () => JSON.parse(stdout) as Shown }
  }
  const assertFailed = ({ boot }: Shown) => {
    assert.deepEqual([boot?.state, boot?.configuration], ['login', 'failed'])
    assert.match(boot?.words.join('\n') ?? '', /etherned/)
  }

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'vmr-states-'))
    const image = await buildLabImage({ cacheDirectory: cacheDirectory(), shell: localShell })
    await writeFile(
      join(folder, 'slow.yaml'),
      // JSON is YAML.
      JSON.stringify({
        os: 'lab-router',
        kernel: {
          file: image.kernel,
          initrd: image.initramfs,
          cmdline: `${image.commandLine} vmr.load_ms=12000 vmr.config_error`,
        },
        memory: '384 MiB',
        nics: [{}, {}],
      }),
    )
  })
  after(async () => {
    await vmr('vm', 'delete', name, '--yes')
    await vmr('lab', 'down')
    await rm(folder, { recursive: true })
  })

  it('comes up with a warning in the guest’s own words, and an exit status for it', async () => {
    const created = await vmr('vm', 'create', name, '--domain', join(folder, 'slow.yaml'), '--accel', 'tcg', '--json')
    assert.equal(created.exitCode, 10, created.stderr)
    assert.match(created.stderr, /^warning: vmrt-states came up without part of its configuration.*\n.*etherned/s)
    assertFailed(created.shown())
  })

  it('is waited for and shown as one, also by whoever did not see it boot', async () => {
    for (const argv of [['wait'], ['wait', '--for', 'ssh'], ['show'], ['show', '--no-guest']]) {
      const [command = '', ...options] = argv
      const { shown, exitCode, stderr } = await vmr('vm', command, name, ...options, '--json')
      assert.equal(exitCode, command === 'show' ? 0 : 10, stderr)
      assertFailed(shown())
    }
  })

  it('is seen on its way, and named with its state when the time is over', async () => {
    assert.equal((await vmr('vm', 'reset', name)).exitCode, 0)
    const seen = new Set<string | undefined>()
    while (!seen.has('configuration loading')) {
      const { shown, stderr } = await vmr('vm', 'show', name, '--no-guest', '--json')
      const { boot } = shown()
      assert.ok(boot !== undefined && (boot.state !== 'login' || seen.size < 2), `${stderr}${[...seen]}`)
      seen.add(boot.state)
      await delay(100)
    }
    const { exitCode, shown } = await vmr('vm', 'wait', name, '--timeout', '1', '--json')
    assert.equal(exitCode, 6)
    const { error } = shown()
    assert.equal(error?.code, 'GUEST_BOOT_TIMEOUT')
    assert.match(
      error?.message ?? '',
      /no login prompt came within [\d.]+ m?s on .*: the guest hangs in the state "configuration loading" for \d+ s at least, since before \d\d:\d\d:\d\d UTC; last lines:\n.*VyOS Router[^\n]*$/s,
    )
    assert.match(error?.hint ?? '', /Allow more time/)
    const waited = await vmr('vm', 'wait', name, '--json')
    assert.equal(waited.exitCode, 10, waited.stderr)
    assertFailed(waited.shown())
  })
})
