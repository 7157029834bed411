import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chown, mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A libvirtd of its own, which a test may stop and kill without disturbing anybody. */
export interface PrivateDaemon {
  readonly socketPath: string
  /** test:///default of this daemon. */
  readonly uri: string
  readonly process: ChildProcess
  /** The user that it runs as, who alone may open its socket. */
  readonly uid: number
  readonly stop: () => Promise<void>
}

const nobody = 65_534
const startLimitMs = 10_000

/**
 * Starts an unprivileged libvirtd (as nobody, when this is root) with all its files in a folder of its own. It shares
 * nothing with the system's.
 */
export async function privateDaemon(configuration = ''): Promise<PrivateDaemon> {
  const directory = await mkdtemp(join(tmpdir(), 'libvirtd-'))
  const uid = process.geteuid?.() === 0 ? nobody : (process.geteuid?.() ?? nobody)
  const runtime = join(directory, 'run')
  const configurationFile = join(directory, 'libvirtd.conf')
  await mkdir(runtime, { mode: 0o700 })
  await writeFile(configurationFile, configuration)
  if (process.geteuid?.() === 0) {
    for (const path of [directory, runtime, configurationFile]) await chown(path, uid, uid)
  }
  const daemon = spawn('libvirtd', ['--config', configurationFile, '--pid-file', join(directory, 'pid')], {
    ...(process.geteuid?.() === 0 ? { uid, gid: uid } : {}),
    cwd: directory,
    env: {
      PATH: process.env.PATH,
      HOME: directory,
      XDG_RUNTIME_DIR: runtime,
      XDG_CONFIG_HOME: join(directory, 'config'),
      XDG_CACHE_HOME: join(directory, 'cache'),
    },
    stdio: 'ignore',
  })
  const ended = once(daemon, 'close')
  const stop = async () => {
    daemon.kill('SIGCONT')
    daemon.kill('SIGKILL')
    await ended
    await rm(directory, { recursive: true, force: true })
  }
  const socketPath = join(runtime, 'libvirt', 'libvirt-sock')
  const deadline = performance.now() + startLimitMs
  while (!(await stat(socketPath).catch(() => undefined))) {
    if (daemon.exitCode !== null || performance.now() > deadline) {
      await stop()
      throw new Error('the private libvirtd did not start')
    }
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  return { socketPath, uri: `test:///default?socket=${encodeURIComponent(socketPath)}`, process: daemon, uid, stop }
}
