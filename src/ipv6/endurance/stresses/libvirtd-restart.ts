import { runChecked } from '../../../shell/shell.ts'
import { hostKey } from '../../evidence/topology.ts'
import type { Stress } from '../stress.ts'

/**
 * By systemd where it runs, else as the daemon was started. What was begun goes on by itself should vmr be killed. The
 * daemon is the one that has written its pid file (libvirtd(8), virtqemud(8)).
 */
const restartScript = `
if [ -d /run/systemd/system ]; then
  for unit in virtqemud libvirtd; do
    if systemctl is-active --quiet "$unit"; then systemctl restart "$unit"; exit; fi
  done
fi
for daemon in virtqemud libvirtd; do
  pid=$(cat "/run/$daemon.pid" 2>/dev/null) || continue
  [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$daemon" ] || continue
  mapfile -d '' -t words <"/proc/$pid/cmdline"
  setsid bash -c 'kill "$1"; while kill -0 "$1" 2>/dev/null; do sleep 0.1; done; shift; exec "$@"' restart "$pid" "\${words[@]}" </dev/null >/dev/null 2>&1
  exit
done
echo 'neither virtqemud nor libvirtd is known to systemd or by a pid file' >&2
exit 1`

export const libvirtdRestart: Stress = {
  name: 'libvirtd-restart',
  after: 'a restart of libvirtd',
  what: 'restarts the libvirt daemon of this host, under the running VM',
  disturbs: () => 'libvirt is away for some seconds; all VMs go on',
  limitSeconds: 150,
  plan(_evidence, uri) {
    return uri.startsWith('qemu') && uri.includes('/system')
      ? { timers: [] }
      : { impossible: `what restarts the daemon behind ${uri} is not known` }
  },
  async run(bench, _plan, probe) {
    const { machines, signal } = bench
    const shell = machines.get(hostKey)?.shell
    if (shell === undefined) throw new RangeError('the host cannot be reached')
    await bench.letGo()
    await runChecked(shell, ['bash', '-c', restartScript], { timeoutMs: 60_000, signal })
    await bench.reachAgain()
    await probe()
  },
}
