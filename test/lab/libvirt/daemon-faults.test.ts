import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { ConnectError, ConnectionLostError, connect } from '../../../src/libvirt/index.ts'
import { type PrivateDaemon, privateDaemon } from './private-daemon.ts'

const run = promisify(execFile)
const library = JSON.stringify(new URL('../../../src/libvirt/index.ts', import.meta.url).href)

async function withDaemon(configuration: string, action: (daemon: PrivateDaemon) => Promise<void>): Promise<void> {
  const daemon = await privateDaemon(configuration)
  try {
    await action(daemon)
  } finally {
    await daemon.stop()
  }
}

describe('a real libvirtd', function () {
  this.timeout(20_000)

  it('that is stopped (SIGSTOP) fails calls within the set time, and new connections too', () =>
    withDaemon('', async (daemon) => {
      const connection = await connect(daemon.uri, { keepAlive: { intervalMs: 200, count: 2 } })
      assert.equal((await connection.listAllDomains()).length, 1)
      daemon.process.kill('SIGSTOP')
      const start = performance.now()
      const isSilent = (error: unknown) => error instanceof ConnectionLostError && error.reason === 'daemon-silent'
      const calls = Array.from({ length: 10 }, () => connection.hostname())
      const results = await Promise.allSettled(calls)
      const took = performance.now() - start
      for (const result of results) assert.ok(result.status === 'rejected' && isSilent(result.reason))
      assert.ok(took < 1500, `${took} ms`)
      await assert.rejects(
        connect(daemon.uri, { connectTimeoutMs: 300 }),
        (error) => error instanceof ConnectError && error.reason === 'daemon-silent',
      )
      await connection.close()
    }))

  it('keeps its connection through calm times, for it answers pings', () =>
    withDaemon('', async (daemon) => {
      const connection = await connect(daemon.uri, { keepAlive: { intervalMs: 20, count: 1 } })
      await new Promise((resolve) => setTimeout(resolve, 500))
      assert.equal((await connection.listAllDomains()).length, 1)
      await connection.close()
    }))

  it('that pings a quiet client is answered', () =>
    withDaemon('keepalive_interval = 1\nkeepalive_count = 1\n', async (daemon) => {
      const connection = await connect(daemon.uri)
      const lost = connection.ended.then((error) => error.message)
      const calm = new Promise((resolve) => setTimeout(resolve, 3500, 'still there'))
      assert.equal(await Promise.race([lost, calm]), 'still there')
      await connection.close()
    }))

  it('that is killed fails what is pending and what comes later', () =>
    withDaemon('', async (daemon) => {
      const connection = await connect(daemon.uri)
      const events = await connection.domainEvents({ kinds: ['lifecycle'] })
      const next = events.next()
      daemon.process.kill('SIGKILL')
      await assert.rejects(next, (error) => error instanceof ConnectionLostError && error.reason === 'daemon-closed')
      await assert.rejects(connection.hostname(), ConnectionLostError)
      await connection.close()
    }))

  it('that asks for polkit, where polkit cannot say yes, is reported as refused', async function () {
    if (process.geteuid?.() !== 0) return this.skip()
    await withDaemon('auth_unix_rw = "polkit"\n', async (daemon) => {
      // libvirtd lets root in without polkit, so ask as the user that the daemon runs as.
      const script = `
        import { connect } from ${library}
        process.seteuid(${daemon.uid})
        await connect(${JSON.stringify(daemon.uri)}).then(
          (connection) => connection.close(),
          (error) => process.stdout.write(error.reason + ': ' + error.message))`
      const { stdout } = await run(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script])
      assert.match(stdout, /^authentication-refused: polkit authentication: ./)
    })
  })

  it('lets the process end by itself after close', () =>
    withDaemon('', async (daemon) => {
      const script = `
        import { connect } from ${library}
        const connection = await connect(${JSON.stringify(daemon.uri)})
        const events = await connection.domainEvents({ kinds: ['lifecycle'] })
        await connection.listAllDomains()
        await connection.close()`
      const arguments_ = ['--unhandled-rejections=strict', '--import', 'tsx', '--input-type=module', '-e', script]
      if (process.geteuid?.() === 0) await run(process.execPath, arguments_, { timeout: 8000 })
    }))

  it('takes 10,000 calls without this process growing', function () {
    this.timeout(90_000)
    return withDaemon('', async (daemon) => {
      const script = `
        import { connect } from ${library}
        const connection = await connect(${JSON.stringify(daemon.uri)})
        const [domain] = await connection.listAllDomains()
        const work = async (calls) => {
          for (let call = 0; call < calls; call += 4) {
            await connection.domainXml(domain)
            await connection.domainState(domain)
            await connection.lookupDomainByName('none').catch(() => {})
            // Not the host's name: libvirt asks DNS for it at each call where /etc/hosts lacks it.
            await Promise.all([connection.listAllDomains(), connection.libvirtVersion()])
          }
          gc()
        }
        await work(4000)
        const before = process.memoryUsage.rss()
        await work(10000)
        process.stdout.write(String(process.memoryUsage.rss() - before))
        await connection.close()`
      const arguments_ = ['--expose-gc', '--import', 'tsx', '--input-type=module', '-e', script]
      const { stdout } = await run(process.execPath, arguments_, { timeout: 60_000 })
      // The benchmark measures the figure; this catches a leak of as little as 1.5 kB a call.
      assert.ok(Number(stdout) < 15_000_000, `${stdout} bytes`)
    })
  })
})
