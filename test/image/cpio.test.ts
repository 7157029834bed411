import assert from 'node:assert/strict'
import { execa } from 'execa'
import fc from 'fast-check'
import { type CpioEntry, writeCpio } from '../../src/image/cpio.ts'

interface Unpacked {
  readonly path: string
  readonly mode: number
  readonly uid: number
  readonly content: string
}

/** Reads a newc archive by its documented layout, independently of the writer. */
function readCpio(archive: Buffer): readonly Unpacked[] {
  const entries: Unpacked[] = []
  for (let at = 0; ; ) {
    assert.equal(archive.toString('ascii', at, at + 6), '070701')
    const field = (index: number) =>
      Number.parseInt(archive.toString('ascii', at + 6 + index * 8, at + 14 + index * 8), 16)
    const nameEnd = at + 110 + field(11)
    const path = archive.toString('utf8', at + 110, nameEnd - 1)
    const start = (nameEnd + 3) & ~3
    if (path === 'TRAILER!!!') return entries
    assert.equal(field(5), 0, 'the time is fixed')
    entries.push({ path, mode: field(1), uid: field(2), content: archive.toString('latin1', start, start + field(6)) })
    at = (start + field(6) + 3) & ~3
  }
}

const name = fc
  .string({ unit: fc.constantFrom(...'aé.-_Z9 '), minLength: 1, maxLength: 8 })
  .filter((text) => text !== '.' && text !== '..')
const entry: fc.Arbitrary<CpioEntry> = fc.oneof(
  fc.record({
    type: fc.constant('file' as const),
    path: fc.array(name, { minLength: 1, maxLength: 3 }).map((parts) => parts.join('/')),
    mode: fc.integer({ min: 0, max: 0o7777 }),
    content: fc.uint8Array({ maxLength: 50 }),
  }),
  fc.record({
    type: fc.constant('directory' as const),
    path: name,
    mode: fc.constant(0o755),
    owner: fc.record({ uid: fc.nat(70_000), gid: fc.nat(70_000) }),
  }),
)
const entries = fc.uniqueArray(entry, { selector: (each) => each.path, maxLength: 12 })

describe('initramfs archive', () => {
  it('holds every entry as it was given', () =>
    fc.assert(
      fc.property(entries, (given) => {
        const read = new Map(readCpio(writeCpio(given)).map((each) => [each.path, each]))
        assert.equal(read.size, given.length)
        for (const each of given) {
          const found = read.get(each.path)
          assert.equal(found?.mode, each.mode | (each.type === 'file' ? 0o100000 : 0o040000))
          assert.equal(found?.uid, each.owner?.uid ?? 0)
          assert.equal(found?.content, each.type === 'file' ? Buffer.from(each.content).toString('latin1') : '')
        }
      }),
    ))

  it('has the same bytes whatever order the entries came in', () =>
    fc.assert(
      fc.property(entries, fc.infiniteStream(fc.nat()), (given, random) => {
        const weights = new Map(given.map((each) => [each, random.next().value]))
        const shuffled = [...given].sort((a, b) => (weights.get(a) ?? 0) - (weights.get(b) ?? 0))
        assert.ok(writeCpio(shuffled).equals(writeCpio(given)))
      }),
    ))

  it('names directories before what is in them, since the kernel unpacks in order', () => {
    const archive = writeCpio([
      { type: 'file', path: 'a/b', mode: 0o644, content: Buffer.from('x') },
      { type: 'directory', path: 'a', mode: 0o755 },
      { type: 'directory', path: 'a-b', mode: 0o755 },
    ])
    assert.deepEqual(
      readCpio(archive).map((each) => each.path),
      ['a', 'a-b', 'a/b'],
    )
  })

  it('is read by busybox cpio, with links and devices', async () => {
    const archive = writeCpio([
      { type: 'directory', path: 'dev', mode: 0o755 },
      { type: 'character-device', path: 'dev/console', mode: 0o600, major: 5, minor: 1 },
      { type: 'symlink', path: 'sh', mode: 0o777, target: 'bin/busybox' },
      { type: 'file', path: 'sudo', mode: 0o4755, content: Buffer.from('12345') },
    ])
    const { stdout } = await execa('busybox', ['cpio', '-tv'], { input: archive })
    assert.match(
      stdout,
      /^drwxr-xr-x .* dev\ncrw------- .* dev\/console\nlrwxrwxrwx .* sh -> bin\/busybox\n-rwsr-xr-x .* 5 .* sudo$/,
    )
  })

  for (const path of ['/etc/passwd', '', 'a//b', '../x', 'a/./b', 'TRAILER!!!']) {
    it(`refuses the path ${JSON.stringify(path)}`, () => {
      assert.throws(() => writeCpio([{ type: 'directory', path, mode: 0o755 }]), RangeError)
    })
  }
})
