import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import fc from 'fast-check'
import { cloudInitSeed } from '../../src/image/cloud-init-seed.ts'
import { writeIso9660 } from '../../src/image/iso9660.ts'

const sector = 2048
const seed = { userData: '#cloud-config\n', instanceId: '6f1c2a0e', vmName: 'lab_r1' }

/** The files of the Joliet root, read from the image by the standard's offsets. */
function readJoliet(image: Buffer): Readonly<Record<string, Buffer>> {
  const descriptor = image.subarray(17 * sector)
  assert.equal(descriptor[0], 2)
  const root = image.subarray(descriptor.readUInt32LE(156 + 2) * sector)
  const files = new Map<string, Buffer>()
  for (let at = 0; root[at] !== 0; at += root[at] ?? 0) {
    const record = root.subarray(at, at + (root[at] ?? 0))
    const [extent, length] = [record.readUInt32LE(2), record.readUInt32LE(10)]
    assert.equal(extent, record.readUInt32BE(6))
    assert.equal(length, record.readUInt32BE(14))
    if (((record[25] ?? 0) & 2) !== 0) continue
    const name = Buffer.from(record.subarray(33, 33 + (record[32] ?? 0)))
      .swap16()
      .toString('utf16le')
    files.set(name, image.subarray(extent * sector, extent * sector + length))
  }
  // A file may be called __proto__, which only this keeps.
  return Object.fromEntries(files)
}

describe('An ISO image', () => {
  it('holds every file under its own name, whatever the sizes', () => {
    const name = fc.stringMatching(/^[A-Za-z0-9_.-]{1,20}$/)
    const content = fc.uint8Array({ maxLength: 5000 })
    fc.assert(
      fc.property(fc.dictionary(name, content, { maxKeys: 8, noNullPrototype: true }), (files) => {
        const wanted = Object.entries(files).map(([each, bytes]) => ({ name: each, content: bytes }))
        const image = writeIso9660('cidata', wanted)
        assert.equal(image.length % sector, 0)
        const found = readJoliet(image)
        assert.deepEqual(Object.keys(found).sort(), Object.keys(files).sort())
        for (const { name: each, content: bytes } of wanted) assert.deepEqual(found[each], Buffer.from(bytes))
      }),
    )
  })

  it('is taken by the system’s own tools for a volume of that label and size', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'vmr-iso-'))
    try {
      const file = join(directory, 'seed.iso')
      const image = cloudInitSeed(seed)
      await writeFile(file, image)
      const { stdout } = await execa('blkid', ['-p', '-o', 'export', file])
      assert.match(stdout, /^LABEL=cidata$/m)
      assert.match(stdout, /^TYPE=iso9660$/m)
      assert.equal((await execa('isosize', [file])).stdout, String(image.length))
    } finally {
      await rm(directory, { recursive: true })
    }
  })

  it('refuses names that it cannot hold', () => {
    assert.throws(() => writeIso9660('cidata', [{ name: '../x', content: Buffer.alloc(0) }]), { code: 'INTERNAL' })
    assert.throws(() => writeIso9660('no label', []), { code: 'INTERNAL' })
  })
})

describe('A cloud-init seed', () => {
  it('has identity and host name of its own unless they are given', () => {
    const files = readJoliet(cloudInitSeed(seed))
    assert.deepEqual(Object.keys(files), ['meta-data', 'user-data'])
    assert.equal(files['meta-data']?.toString(), 'instance-id: 6f1c2a0e\nlocal-hostname: lab-r1\n')
    const given = readJoliet(cloudInitSeed({ ...seed, metaData: 'instance-id: x\n', networkConfig: 'version: 2\n' }))
    assert.equal(given['meta-data']?.toString(), 'instance-id: x\n')
    assert.equal(given['network-config']?.toString(), 'version: 2\n')
  })

  it('refuses user data that cloud-init would silently ignore', () => {
    assert.throws(() => cloudInitSeed({ ...seed, userData: 'hostname: r1\n' }), {
      code: 'CONFIG_INVALID',
      message: /does not begin with #cloud-config/,
    })
  })
})
