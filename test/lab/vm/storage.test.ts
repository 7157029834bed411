import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import { isVmrError } from '../../../src/errors/vmr-error.ts'
import { cloudInitSeed } from '../../../src/image/cloud-init-seed.ts'
import { vmDirectory } from '../../../src/vm/create.ts'
import { findDomain } from '../../../src/vm/find-vm.ts'
import { openWorkshop, type Workshop } from './booted-definition.ts'

const name = `vmr-test-disks-${process.pid}`

describe('A VM with disks of its own', function () {
  this.timeout(120_000)
  let workshop: Workshop
  let inGuest: (script: string) => Promise<string>
  let basesBefore: string

  const at = (file: string) => join(workshop.directory, file)
  const digest = async (file: string) =>
    createHash('sha256')
      .update(await readFile(file))
      .digest('hex')
  const there = (file: string) =>
    stat(file).then(
      () => true,
      () => false,
    )
  const plan = (disks: string) => workshop.plan(name, `${workshop.labRouter}nics: [{}]\n${disks}`)

  before(async () => {
    workshop = await openWorkshop(AbortSignal.timeout(240_000))
    await execa('qemu-img', ['create', '-q', '-f', 'qcow2', at('base.qcow2'), '16M'])
    await execa('qemu-io', ['-c', 'write -P 0x41 0 512', at('base.qcow2')])
    await execa('qemu-img', ['create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-b', at('base.qcow2'), at('second.qcow2')])
    await execa('qemu-io', ['-c', 'write -P 0x42 512 512', at('second.qcow2')])
    basesBefore = `${await digest(at('base.qcow2'))} ${await digest(at('second.qcow2'))}`
    await writeFile(at('user-data'), '#cloud-config\nhostname: from-seed\n')
    await writeFile(
      at('seed.iso'),
      cloudInitSeed({ userData: '#cloud-config\nhostname: from-seed\n', instanceId: 'i-1', vmName: name }),
    )
    const planned = await plan(`image: base.qcow2
disks:
  - { base: second.qcow2, allowBackingFile: true, size: 32 MiB, serial: SECOND }
  - { file: data.raw, format: raw, size: 8 MiB }
  - { file: seed.iso, format: raw, readOnly: true }
cloudInit: { userData: user-data }
`)
    inGuest = await workshop.boot(planned)
    await inGuest('modprobe -a virtio_blk isofs')
  })

  after(() => workshop?.close())

  it('sees what its bases hold, through a chain too, at the size that was asked for', async () => {
    assert.equal(
      await inGuest('cat /sys/block/vda/size /sys/block/vdb/size /sys/block/vdc/size /sys/block/vdb/serial'),
      '32768\n65536\n16384\nSECOND',
    )
    assert.equal(
      (await inGuest('head -c 4 /dev/vda; dd if=/dev/vdb bs=1 skip=510 count=4 2>/dev/null')).trim(),
      'AAAAAABB',
    )
  })

  it('writes to its overlays, and never to a base', async () => {
    await inGuest(
      'printf written | dd of=/dev/vda conv=fsync 2>/dev/null; printf data | dd of=/dev/vdc conv=fsync 2>/dev/null',
    )
    assert.equal(`${await digest(at('base.qcow2'))} ${await digest(at('second.qcow2'))}`, basesBefore)
    assert.equal((await readFile(at('data.raw'))).toString('latin1', 0, 4), 'data')
  })

  it('can mount its cloud-init seed, with the names that cloud-init looks for', async () => {
    await inGuest('mkdir -p /tmp/seed && mount -t iso9660 -o ro /dev/vdd /tmp/seed')
    assert.equal((await inGuest('ls /tmp/seed')).trim().split(/\s+/).join(' '), 'meta-data user-data')
    assert.equal(await inGuest('cat /tmp/seed/user-data'), '#cloud-config\nhostname: from-seed\n')
    assert.deepEqual(
      (await readFile(join(vmDirectory(name), 'seed.iso'))).length,
      (await readFile(at('seed.iso'))).length,
    )
  })

  it('refuses a disk that the running VM writes to', async () => {
    await assert.rejects(
      plan(`disks: [{ file: ${join(vmDirectory(name), 'disk0.qcow2')}, allowBackingFile: true }]\n`),
      {
        code: 'IMAGE_INVALID',
        message: /is being written to by another program$/,
      },
    )
  })

  it('takes its own files with it when it is deleted, and no base', async () => {
    await workshop.remove(name)
    assert.deepEqual(
      await Promise.all(
        [vmDirectory(name), at('data.raw'), at('base.qcow2'), at('second.qcow2'), at('seed.iso')].map(there),
      ),
      [false, false, true, true, true],
    )
    assert.equal(`${await digest(at('base.qcow2'))} ${await digest(at('second.qcow2'))}`, basesBefore)
    for (const file of ['base.qcow2', 'second.qcow2', 'seed.iso']) assert.equal((await stat(at(file))).uid, 0, file)
  })

  it('is not made at all when a file has appeared where its disk goes', async () => {
    const planned = await plan('disks: [{ file: fresh.raw, format: raw, size: 1 MiB }]\n')
    await writeFile(at('fresh.raw'), 'mine')
    await assert.rejects(
      workshop.boot(planned),
      (error) => isVmrError(error) && error.message === `${at('fresh.raw')} exists already`,
    )
    assert.equal(await findDomain(workshop.connection, name), undefined)
    await rm(vmDirectory(name), { recursive: true, force: true })
    assert.equal(await readFile(at('fresh.raw'), 'utf8'), 'mine')
  })
})
