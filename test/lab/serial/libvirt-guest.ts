import { randomUUID } from 'node:crypto'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { cacheDirectory } from '../../../src/config/paths.ts'
import { isVmrError } from '../../../src/errors/vmr-error.ts'
import { buildLabImage } from '../../../src/image/lab-image.ts'
import { type Connection, connect, type Domain } from '../../../src/libvirt/index.ts'
import { localShell } from '../../../src/shell/local.ts'
import type { ConsoleSession, ConsoleStateReport } from '../../../src/shell/serial/login.ts'
import { type SerialShell, serialShell } from '../../../src/shell/serial/serial-shell.ts'
import { openSession } from '../../../src/vm/boot.ts'

/** A lab router under libvirt, without links to anything: for what happens on its console stream. */
export interface LibvirtGuest {
  readonly connection: Connection
  readonly domain: Domain
  readonly description: string
  /** Logs in, and lets nothing else have the console until it is closed. */
  login(options?: {
    readonly password?: string
    readonly timeoutMs?: number
    readonly onState?: (report: ConsoleStateReport) => void
  }): Promise<LoggedIn>
  /** Logs in, types on the console and goes, as a person does, each step once the output of the one before matches. */
  operator(steps: readonly (readonly [typed: string, until: RegExp])[]): Promise<string>
  remove(): Promise<void>
}

interface LoggedIn {
  readonly session: ConsoleSession
  readonly shell: SerialShell
  /** Leaves the shell logged in if it was, else logs out. */
  close(): Promise<void>
  /** The stream is gone at once, as when another client takes the console. */
  cut(): Promise<void>
}

/** The console is left at once; that the daemon has heard of it takes a moment. */
async function onceFree<T>(open: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await open()
    } catch (error) {
      if (!/Active console session/.test(error instanceof Error ? `${error.message} ${error.cause}` : '')) throw error
      await delay(20)
    }
  }
}

/** @param kernelArguments see guest/lab-router/README.md */
export async function startLibvirtGuest(kernelArguments = ''): Promise<LibvirtGuest> {
  const stateBefore = process.env.VMR_STATE_DIR
  const state = await mkdtemp(join(tmpdir(), 'vmr-console-'))
  await chmod(state, 0o755)
  process.env.VMR_STATE_DIR = state
  const image = await buildLabImage({ cacheDirectory: cacheDirectory(), shell: localShell })
  const connection = await connect('qemu:///system')
  const uuid = randomUUID()
  const defined = await connection.defineDomain(
    `<domain type='qemu'>
      <name>vmrt-console-${uuid.slice(0, 8)}</name>
      <uuid>${uuid}</uuid>
      <memory unit='MiB'>384</memory>
      <os>
        <type arch='x86_64' machine='pc'>hvm</type>
        <kernel>${image.kernel}</kernel>
        <initrd>${image.initramfs}</initrd>
        <cmdline>${image.commandLine} ${kernelArguments}</cmdline>
      </os>
      <features><acpi/></features>
      <devices>
        <interface type='user'><mac address='52:54:00:12:34:01'/><model type='virtio'/></interface>
        <interface type='user'><mac address='52:54:00:12:34:02'/><model type='virtio'/></interface>
        <serial type='pty'/>
        <console type='pty'/>
        <memballoon model='none'/>
        <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
      </devices>
    </domain>`,
    { validate: true },
  )
  const remove = async () => {
    if (await connection.isDomainActive(defined)) await connection.destroyDomain(defined)
    await connection.undefineDomain(defined)
    await connection.close()
    if (stateBefore === undefined) delete process.env.VMR_STATE_DIR
    else process.env.VMR_STATE_DIR = stateBefore
    await rm(state, { recursive: true })
  }
  try {
    const domain = await connection.createDomain(defined)
    return {
      connection,
      domain,
      description: `serial console of ${domain.name}`,
      async login({ password = 'vyos', timeoutMs = 90_000, onState } = {}) {
        const session = await onceFree(() =>
          openSession(connection, domain, {
            credentials: { user: 'vyos', password },
            timeoutMs,
            ...(onState === undefined ? {} : { onState }),
          }),
        )
        const shell = serialShell(session)
        return {
          session,
          shell,
          close: async () => {
            await shell.close()
            await session.close()
          },
          cut: async () => {
            const taker = await connection.openConsole(domain, { force: true })
            taker.destroy()
          },
        }
      },
      async operator(steps) {
        const stream = await onceFree(() => connection.openConsole(domain))
        let all = ''
        let fresh = ''
        let heard = () => {}
        stream.on('data', (bytes: Buffer) => {
          fresh += bytes.toString('latin1')
          heard()
        })
        const type = async (typed: string, until: RegExp) => {
          const limit = AbortSignal.timeout(30_000)
          stream.write(typed)
          while (!until.test(fresh)) {
            await new Promise<void>((resolve, reject) => {
              heard = resolve
              limit.onabort = () =>
                reject(new Error(`no ${until} on the console: ${JSON.stringify(fresh.slice(-500))}`))
            })
          }
          const shown = fresh
          all += shown
          fresh = ''
          return shown
        }
        try {
          if (/login: $/.test(await type('\x15\r', /(?:login: |[$#] )$/))) {
            await type('vyos\r', /Password: $/)
            await type('vyos\r', /\$ $/)
          }
          for (const [typed, until] of steps) await type(typed, until)
          return all
        } finally {
          stream.destroy()
        }
      },
      remove,
    }
  } catch (error) {
    await remove()
    throw error
  }
}

/** What a person reads: one clear message and what to do, nothing of the inside. */
export function isClear(error: unknown): error is Error & { readonly code: string; readonly hint?: string } {
  return isVmrError(error) && error.code !== 'INTERNAL' && !/undefined|\[object|at .*\.ts:\d/.test(error.message)
}
