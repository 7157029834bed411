import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { execa } from 'execa'
import { packageRoot } from '../../../src/config/package-root.ts'
import { cacheDirectory } from '../../../src/config/paths.ts'
import { type CpioEntry, writeCpio } from '../../../src/image/cpio.ts'
import { readGuestFiles } from '../../../src/image/guest-files.ts'
import { findLabImage } from '../../../src/image/lab-image.ts'

/** What the lab router's own image has no use for: the way to a drive with an ISO in it. */
const modules = ['scsi_common', 'scsi_mod', 'virtio_scsi', 'cdrom', 'sr_mod']

/** Makes an ISO that boots through the firmware and asks what VyOS's installer asks. */
export async function makeFakeInstaller(folder: string): Promise<string> {
  const image = await findLabImage(cacheDirectory())
  if (image === undefined) throw new Error('build the lab router image first: vmr image build lab')
  const tree = join(folder, 'tree')
  await mkdir(tree)
  const guest = join(packageRoot(), 'guest')
  const boot = await readFile(join(guest, 'lab-router', 'rootfs', 'etc', 'init.d', 'boot'))
  const entries: readonly CpioEntry[] = [
    ...(await readGuestFiles(join(guest, 'fake-installer', 'rootfs'))).filter(({ type }) => type === 'file'),
    { type: 'file', path: 'etc/init.d/boot.lab-router', mode: 0o755, content: boot },
    { type: 'directory', path: 'usr/lib/modules/fake-installer', mode: 0o755 },
    ...(await kernelModules(folder)),
  ]
  await writeFile(join(tree, 'vmlinuz'), await readFile(image.kernel))
  // The kernel unpacks what follows the first archive as well, over it (Documentation/driver-api/early-userspace).
  const initramfs = [await readFile(image.initramfs), writeCpio(entries)].map((each) => gzipSync(each, { level: 1 }))
  await writeFile(join(tree, 'initrd'), Buffer.concat(initramfs))
  // As VyOS's menu: it counts down and boots the first entry.
  const menu = `DEFAULT live\nPROMPT 1\nTIMEOUT 50\nSAY Automatic boot in 5 seconds...\nLABEL live\n  KERNEL /vmlinuz\n  INITRD /initrd\n  APPEND ${image.commandLine}\n`
  await mkdir(join(tree, 'isolinux'))
  await writeFile(join(tree, 'isolinux', 'isolinux.cfg'), menu)
  for (const file of ['/usr/lib/ISOLINUX/isolinux.bin', '/usr/lib/syslinux/modules/bios/ldlinux.c32'])
    await writeFile(join(tree, 'isolinux', basename(file)), await readFile(file))
  const iso = join(folder, 'VyOS-fake.iso')
  await execa('xorriso', [
    ...['-as', 'mkisofs', '-quiet', '-V', 'FAKE', '-isohybrid-mbr', '/usr/lib/ISOLINUX/isohdpfx.bin'],
    ...['-b', 'isolinux/isolinux.bin', '-c', 'isolinux/boot.cat', '-no-emul-boot', '-boot-load-size', '4'],
    ...['-boot-info-table', '-o', iso, tree],
  ])
  return iso
}

async function kernelModules(folder: string): Promise<readonly CpioEntry[]> {
  const packages = join(cacheDirectory(), 'lab-router', 'packages')
  const sizes = await Promise.all(
    (await readdir(packages)).map(async (name) => ({ name, bytes: (await stat(join(packages, name))).size })),
  )
  // The kernel's is by far the largest.
  const [kernel] = sizes.toSorted((left, right) => right.bytes - left.bytes)
  const unpacked = join(folder, 'modules')
  await mkdir(unpacked)
  await execa('bash', [
    '-c',
    'dpkg-deb --fsys-tarfile "$1" | tar -x -C "$2" --wildcards "*/drivers/scsi/*" "*/drivers/cdrom/*"',
    ...['bash', join(packages, kernel?.name ?? ''), unpacked],
  ])
  const files = (await readdir(unpacked, { recursive: true })).filter((name) => name.endsWith('.ko'))
  return Promise.all(
    modules.map(async (name): Promise<CpioEntry> => {
      const file = files.find((each) => basename(each) === `${name}.ko`)
      if (file === undefined) throw new Error(`the kernel's package has no ${name}`)
      const content = await readFile(join(unpacked, file))
      return { type: 'file', path: `usr/lib/modules/fake-installer/${name}.ko`, mode: 0o644, content }
    }),
  )
}
