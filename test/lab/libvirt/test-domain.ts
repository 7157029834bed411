import { randomUUID } from 'node:crypto'
import { chmod, mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Connection, type Domain, isDomainNotFound } from '../../../src/libvirt/index.ts'

/** A domain of QEMU without an operating system: its BIOS talks over the serial console. */
export interface TestDomain {
  readonly domain: Domain
  readonly diskPath: string
  /** Its tap on the host. */
  readonly tap: string
  readonly remove: () => Promise<void>
}

const diskBytes = 1024 * 1024

/** Defines the domain; tests start it. Its name is unique, and `remove` leaves nothing of it. */
export async function testDomain(connection: Connection): Promise<TestDomain> {
  const directory = await mkdtemp(join(tmpdir(), 'libvirt-lab-'))
  const diskPath = join(directory, 'disk.raw')
  const file = await open(diskPath, 'w')
  await file.truncate(diskBytes)
  await file.close()
  // mkdtemp makes the folder for its owner alone, but QEMU runs as another user.
  await chmod(directory, 0o755)
  const uuid = randomUUID()
  const tap = `vmrlv${uuid.slice(0, 6)}`
  const domain = await connection.defineDomain(
    `<domain type='qemu'>
      <name>vmr-bindings-${uuid.slice(0, 8)}</name>
      <uuid>${uuid}</uuid>
      <memory unit='MiB'>64</memory>
      <vcpu current='1'>2</vcpu>
      <os>
        <type arch='x86_64' machine='pc'>hvm</type>
        <bootmenu enable='yes' timeout='60000'/>
        <bios useserial='yes'/>
      </os>
      <features><acpi/></features>
      <devices>
        <disk type='file' device='disk'>
          <driver name='qemu' type='raw'/>
          <source file='${diskPath}'/>
          <target dev='vda' bus='virtio'/>
        </disk>
        <interface type='ethernet'>
          <mac address='52:54:00:12:34:56'/>
          <target dev='${tap}'/>
          <model type='virtio'/>
        </interface>
        <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
        <serial type='pty'/>
        <console type='pty'/>
        <video><model type='vga'/></video>
        <memballoon model='virtio'/>
      </devices>
    </domain>`,
    { validate: true },
  )
  return {
    domain,
    diskPath,
    tap,
    remove: async () => {
      try {
        if (await connection.isDomainActive(domain)) await connection.destroyDomain(domain)
        await connection.undefineDomain(domain, { managedSave: true, snapshotsMetadata: true, nvram: true })
      } catch (error) {
        if (!isDomainNotFound(error)) throw error
      } finally {
        await rm(directory, { recursive: true, force: true })
      }
    },
  }
}
