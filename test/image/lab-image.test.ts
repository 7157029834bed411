import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isVmrError } from '../../src/errors/vmr-error.ts'
import { parsePackageRecords, resolvePackages } from '../../src/image/debian-packages.ts'
import { buildLabImage, findLabImage } from '../../src/image/lab-image.ts'
import type { RunResult, Shell } from '../../src/shell/shell.ts'

/** A host whose apt answers as told: for faults that a real one has only when the network or the disk is gone. */
function fakeHost(answer: (argv: readonly string[]) => Partial<RunResult>): Shell {
  return {
    description: 'a fake host',
    run: async (argv) => ({ stdout: '', stderr: '', exitCode: 0, durationMs: 1, ...answer(argv) }),
    start: () => Promise.reject(new Error('nothing is started')),
    writeFile: () => Promise.reject(new Error('nothing is written')),
  }
}

const record = (name: string, depends = '') =>
  `Package: ${name}\nArchitecture: amd64\nVersion: 1:2.0-1\nDepends: ${depends}\nSHA256: ${'a'.repeat(64)}\nSize: 100\n\n`

describe('lab router image', () => {
  let cache: string
  beforeEach(async () => {
    cache = await mkdtemp(join(tmpdir(), 'vmr-image-'))
  })
  afterEach(() => rm(cache, { recursive: true, force: true }))

  const fails = async (shell: Shell, code: string, message: RegExp, hint: RegExp) => {
    await assert.rejects(buildLabImage({ cacheDirectory: cache, shell }), (error) => {
      assert.ok(isVmrError(error))
      assert.equal(error.code, code)
      assert.match(error.message, message)
      assert.match(error.hint ?? '', hint)
      return true
    })
    const left = await readdir(join(cache, 'lab-router'))
    assert.deepEqual(left, ['packages'], 'nothing half-made stays')
    assert.equal(await findLabImage(cache), undefined)
  }
  const apt =
    (download: Partial<RunResult>) =>
    (argv: readonly string[]): Partial<RunResult> =>
      argv[0] === 'apt-cache'
        ? {
            stdout: argv
              .slice(3)
              .map((name) => record(name))
              .join(''),
          }
        : download

  it('cannot be built without apt’s lists: the hint says apt-get update', () =>
    fails(
      fakeHost(() => ({ stderr: 'N: Unable to locate package bash-static\nE: No packages found\n', exitCode: 100 })),
      'IMAGE_BUILD_FAILED',
      /apt knows no package linux-image-cloud-amd64, .*No packages found/,
      /apt-get update/,
    ))

  it('cannot be built offline: the message has apt’s words', () =>
    fails(
      fakeHost(
        apt({
          stderr: "E: Failed to fetch http://deb.example/x.deb  Could not resolve 'deb.example'\n",
          exitCode: 100,
        }),
      ),
      'IMAGE_BUILD_FAILED',
      /apt could not download .*Could not resolve 'deb\.example'/,
      /mirror/,
    ))

  it('cannot be built on a full disk', () =>
    fails(
      fakeHost(apt({ stderr: 'E: Write error - write (28: No space left on device)\n', exitCode: 100 })),
      'HOST_DISK_FULL',
      /disk is full/,
      /free some space/,
    ))

  it('is not built from a package that is not what apt announced', () =>
    fails(fakeHost(apt({})), 'IMAGE_BUILD_FAILED', /is not what apt's lists announce/, /apt-get update/))

  it('asks for libraries only, and for the first of alternatives', () => {
    const [parsed] = parsePackageRecords(
      record('iproute2', 'debconf (>= 0.5) | debconf-2.0, libbpf1 (>= 1:0.6.0), libc6'),
    )
    assert.deepEqual(parsed?.depends, ['debconf', 'libbpf1', 'libc6'])
    assert.equal(parsed?.version, '1:2.0-1')
  })

  it('takes the newest version that can be downloaded, where a newer one is known from its installation alone', async () => {
    const installed = 'Package: libssl3\nArchitecture: amd64\nVersion: 3.0.22-1\nDepends: \n\n'
    const shell = fakeHost((argv) => ({
      stdout: argv.includes('tcpdump')
        ? record('tcpdump', 'libssl3')
        : `${installed}${record('libssl3').replace('1:2.0-1', '3.0.20-1')}${record('libssl3').replace('1:2.0-1', '3.0.17-1')}`,
    }))
    const packages = await resolvePackages(shell, ['tcpdump'])
    assert.deepEqual(
      packages.map(({ name, version }) => `${name} ${version}`),
      ['libssl3 3.0.20-1', 'tcpdump 1:2.0-1'],
    )
  })

  it('does not take apt’s word for a digest that is none', () => {
    assert.deepEqual(parsePackageRecords(record('x').replace('a'.repeat(64), '$(reboot)')), [])
  })
})
