import { VmrError } from '../errors/vmr-error.ts'
import type { Shell } from '../shell/shell.ts'

/**
 * What tells one machine from another, taken away by the system itself while it runs. Each VM makes its own at its first
 * boot: VyOS makes SSH host keys when there are none (src/conf_mode/service_ssh.py), systemd a machine id when the file is
 * empty (machine-id(5)), and VyOS notes the MAC addresses of the NICs that it finds in config.boot.
 */
const sealScript = `set -eu
config=$(readlink -f /opt/vyatta/etc/config/config.boot)
rm -f /etc/ssh/ssh_host_*
if [ -e /etc/machine-id ]; then : >/etc/machine-id; fi
if [ -f /var/lib/dbus/machine-id ] && [ ! -L /var/lib/dbus/machine-id ]; then rm -f /var/lib/dbus/machine-id; fi
sed -i '/^[[:space:]]*hw-id[[:space:]]/d' "$config"
sync
if grep -q '^[[:space:]]*hw-id' "$config"; then echo 'MAC addresses stay in config.boot'; exit 1; fi
if [ -s /etc/machine-id ]; then echo 'the machine id stays'; exit 1; fi
for key in /etc/ssh/ssh_host_*; do if [ -e "$key" ]; then echo "$key stays"; exit 1; fi; done
`
const timeoutMs = 300_000

/** @throws VmrError IMAGE_INSTALL_FAILED with the guest's words. */
export async function sealGuest(guest: Shell, { signal }: { readonly signal: AbortSignal }): Promise<void> {
  const { stdout, stderr, exitCode } = await guest.run(['sudo', 'sh', '-c', sealScript], { timeoutMs, signal })
  if (exitCode === 0) return
  throw new VmrError(
    'IMAGE_INSTALL_FAILED',
    `what is this machine's own could not be taken out of the image: ${(stderr.trim() || stdout.trim()).slice(0, 500)}`,
    { hint: 'The installed system is not as vmr knows VyOS. Install it by hand, and import the disk.' },
  )
}
