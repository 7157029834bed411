import { connect, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { execa } from 'execa'
import type { LabImage } from '../../../src/image/lab-image.ts'

/** A guest under plain QEMU (software emulation), its serial console and its monitor on UNIX sockets. */
export interface SerialGuest {
  console(): Promise<Socket>
  monitor(command: string): Promise<void>
  stop(): Promise<void>
}

/** @param folder for the sockets; short, since a UNIX socket's path holds 107 bytes */
export function startSerialGuest(image: LabImage, folder: string): SerialGuest {
  const qemu = execa(
    'qemu-system-x86_64',
    [
      ...['-accel', 'tcg', '-m', '512', '-nodefaults', '-display', 'none', '-device', 'virtio-rng-pci'],
      ...[
        '-serial',
        `unix:${folder}/console,server=on,wait=off`,
        '-monitor',
        `unix:${folder}/monitor,server=on,wait=off`,
      ],
      ...[
        '-netdev',
        'user,id=first,restrict=on,ipv6=off',
        '-device',
        'virtio-net-pci,netdev=first,mac=52:54:00:12:34:01',
      ],
      ...[
        '-netdev',
        'user,id=second,restrict=on,ipv6=off',
        '-device',
        'virtio-net-pci,netdev=second,mac=52:54:00:12:34:02',
      ],
      ...['-kernel', image.kernel, '-initrd', image.initramfs, '-append', image.commandLine],
    ],
    { stdin: 'ignore', reject: false, stderr: 'inherit', buffer: false },
  )
  const open = async (path: string): Promise<Socket> => {
    for (let attempt = 1; ; attempt += 1) {
      const socket = connect(path)
      try {
        await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject))
        return socket
      } catch (error) {
        // QEMU makes its sockets a moment after it was started.
        if (attempt >= 100) throw error
        await delay(50)
      }
    }
  }
  return {
    console: () => open(`${folder}/console`),
    async monitor(command) {
      const socket = await open(`${folder}/monitor`)
      socket.write(`${command}\n`)
      await new Promise((resolve) => socket.once('data', resolve))
      await delay(200)
      socket.destroy()
    },
    async stop() {
      qemu.kill('SIGKILL')
      await qemu
    },
  }
}
