import { execa } from 'execa'
import type { LabImage } from '../../../src/image/lab-image.ts'

/** A guest under plain QEMU (software emulation), its serial console on a pipe. */
export interface QemuGuest {
  /** Types text and returns what the console showed from then on, up to and including the first match at its end. */
  type(text: string, until: RegExp, timeoutMs?: number): Promise<string>
  /** Waits for console output that ends like this, from where the last wait ended. */
  awaitOutput(until: RegExp, timeoutMs?: number): Promise<string>
  /** Runs a QEMU monitor command (human monitor). */
  monitor(command: string): Promise<void>
  /** Resolves when QEMU has ended by itself. */
  readonly ended: Promise<unknown>
  stop(): Promise<void>
}

export const operationalPrompt = /vyos@[\w-]+:~\$ $/
export const configurationPrompt = /\[edit[^\]]*\]\r\r\nvyos@[\w-]+# $/

/** Boots the image with two NICs; TCP port `sshPort` on this host's loopback leads to the first NIC's address 10.0.2.15. */
export function startQemu(
  image: LabImage,
  options: { readonly sshPort: number; readonly arguments?: string },
): QemuGuest {
  const qemu = execa(
    'qemu-system-x86_64',
    [
      ...['-accel', 'tcg', '-m', '512', '-nodefaults', '-display', 'none', '-no-reboot'],
      ...['-chardev', 'stdio,id=console,signal=off,mux=on', '-serial', 'chardev:console'],
      ...['-mon', 'chardev=console,mode=readline', '-device', 'virtio-rng-pci'],
      ...['-netdev', `user,id=first,hostfwd=tcp:127.0.0.1:${options.sshPort}-10.0.2.15:22`],
      ...['-device', 'virtio-net-pci,netdev=first,mac=52:54:00:12:34:01'],
      ...['-netdev', 'hubport,hubid=1,id=second', '-device', 'virtio-net-pci,netdev=second,mac=52:54:00:12:34:02'],
      ...['-kernel', image.kernel, '-initrd', image.initramfs],
      ...['-append', `${image.commandLine}${options.arguments === undefined ? '' : ` ${options.arguments}`}`],
    ],
    { stdin: 'pipe', buffer: false, reject: false, encoding: 'latin1', stderr: 'inherit' },
  )
  let unread = ''
  let onOutput = (): void => undefined
  qemu.stdout.setEncoding('latin1')
  qemu.stdout.on('data', (chunk: string) => {
    unread += chunk
    onOutput()
  })

  const awaitOutput = (until: RegExp, timeoutMs = 30_000): Promise<string> =>
    new Promise((resolve, reject) => {
      const finish = (act: () => void): void => {
        clearTimeout(timer)
        onOutput = () => undefined
        act()
      }
      const timer = setTimeout(
        () =>
          finish(() =>
            reject(new Error(`no ${until} within ${timeoutMs} ms; the console shows ${JSON.stringify(unread)}`)),
          ),
        timeoutMs,
      )
      onOutput = () => {
        const match = until.exec(unread)
        if (match === null) return
        const end = match.index + match[0].length
        const shown = unread.slice(0, end)
        unread = unread.slice(end)
        finish(() => resolve(shown))
      }
      onOutput()
    })

  return {
    awaitOutput,
    type: (text, until, timeoutMs) => {
      qemu.stdin.write(text, 'latin1')
      return awaitOutput(until, timeoutMs)
    },
    // Control-A c switches the console between the guest and the monitor.
    monitor: async (command) => {
      qemu.stdin.write('\x01c')
      await awaitOutput(/\(qemu\) $/)
      qemu.stdin.write(`${command}\n`)
    },
    ended: qemu,
    stop: async () => {
      qemu.kill('SIGKILL')
      await qemu
    },
  }
}
