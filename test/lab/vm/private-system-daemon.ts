import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { connect } from '../../../src/libvirt/index.ts'

/** A libvirtd of root's with every file of its own, which a test may kill without touching the system's. */
export interface PrivateSystemDaemon {
  /** qemu:///system of this daemon. */
  readonly uri: string
  /** A path as this daemon sees it. */
  path(inside: string): string
  /** SIGKILL; its VMs run on. */
  kill(): Promise<void>
  start(): Promise<void>
  /** Ends it and forgets its files. Its VMs must be gone. */
  remove(): Promise<void>
}

const startLimitMs = 20_000

/** Its folders are tmpfs in a mount namespace of their own; the network is the host's. */
const setUp = `
mount --make-rprivate /
cache=$(mktemp -d) && cp -a /var/cache/libvirt/. $cache/
for folder in /run/libvirt /var/lib/libvirt /var/cache/libvirt /var/log/libvirt; do
  mkdir -p $folder && mount -t tmpfs -o mode=755 tmpfs $folder || exit 1
done
mount -t tmpfs -o mode=755,size=256k tmpfs /etc/libvirt/qemu || exit 1
mkdir -p /var/lib/libvirt/qemu /var/lib/libvirt/boot /var/lib/libvirt/dnsmasq /var/lib/libvirt/images /var/log/libvirt/qemu
chown libvirt-qemu /var/lib/libvirt/qemu
cp -a $cache/. /var/cache/libvirt/ && rm -rf $cache
echo ready
exec sleep infinity
`

export async function privateSystemDaemon(): Promise<PrivateSystemDaemon> {
  const holder = spawn('unshare', ['--mount', 'bash', '-c', setUp], { stdio: ['ignore', 'pipe', 'inherit'] })
  const processes: ChildProcess[] = []
  const end = async (child: ChildProcess) => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
  }
  const remove = async () => {
    for (const child of processes.reverse()) await end(child)
    await end(holder)
  }
  const run = (program: string, ...options: readonly string[]): ChildProcess => {
    const child = spawn('nsenter', ['--mount', '--target', String(holder.pid), program, ...options], {
      stdio: 'ignore',
    })
    processes.push(child)
    return child
  }
  const path = (inside: string) => `/proc/${holder.pid}/root${inside}`
  const uri = `qemu:///system?socket=${encodeURIComponent(path('/run/libvirt/libvirt-sock'))}`
  let daemon: ChildProcess | undefined
  const start = async () => {
    daemon = run('libvirtd', '--pid-file', '/run/libvirt/libvirtd.pid')
    for (const deadline = performance.now() + startLimitMs; ; await delay(20)) {
      try {
        await (await connect(uri)).close()
        return
      } catch (error) {
        if (daemon.exitCode !== null || performance.now() > deadline) throw error
      }
    }
  }
  try {
    await Promise.race([
      once(holder.stdout, 'data'),
      once(holder, 'exit').then(() => Promise.reject(new Error('the mount namespace could not be made'))),
    ])
    run('virtlogd', '--pid-file', '/run/libvirt/virtlogd.pid')
    await start()
  } catch (error) {
    await remove()
    throw error
  }
  return {
    uri,
    path,
    start,
    remove,
    kill: async () => {
      if (daemon !== undefined) await end(daemon)
    },
  }
}
