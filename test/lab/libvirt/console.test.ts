import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { Duplex } from 'node:stream'
import { finished } from 'node:stream/promises'
import { type Connection, connect, type Domain, LibvirtError } from '../../../src/libvirt/index.ts'
import { type TestDomain, testDomain } from './test-domain.ts'

/** Reads until the output matches; returns all of it. */
async function outputUntil(console: Duplex, pattern: RegExp): Promise<string> {
  let output = ''
  const signal = AbortSignal.timeout(20_000)
  while (!pattern.test(output)) {
    const chunk: unknown = console.read()
    if (chunk === null) await once(console, 'readable', { signal })
    else output += String(chunk)
  }
  return output
}

describe('a running domain', function () {
  this.timeout(60_000)
  let connection: Connection
  let lab: TestDomain
  let running: Domain

  beforeEach(async () => {
    connection = await connect('qemu:///system')
    lab = await testDomain(connection)
    running = await connection.createDomain(lab.domain)
  })
  afterEach(async () => {
    await lab.remove()
    await connection.close()
  })

  it('talks both ways over its console, which one client has at a time, and which ends with it', async () => {
    const console = await connection.openConsole(running)
    await assert.rejects(connection.openConsole(running), { message: /Active console session exists/ })
    // What is typed before the BIOS listens is lost, as is what it shows before QEMU has seen that somebody reads.
    const typing = setInterval(() => console.write('\u001b'), 500)
    await outputUntil(console, /Select boot device:/).finally(() => clearInterval(typing))
    const ended = once(console, 'end')
    await connection.destroyDomain(running)
    console.resume()
    await ended
  })

  it('gives its console to whoever takes it over, and back when it is left', async () => {
    // A stream is left at once; that the daemon has heard of it takes a moment.
    const openOnceFree = async (options: { readonly signal?: AbortSignal } = {}) => {
      for (;;) {
        try {
          return await connection.openConsole(running, options)
        } catch (error) {
          if (!(error instanceof LibvirtError && /Active console session/.test(error.message))) throw error
        }
      }
    }
    const first = await connection.openConsole(running)
    first.resume()
    const firstEnded = assert.rejects(finished(first), { message: /I\/O failure/ })
    const second = await connection.openConsole(running, { force: true })
    await firstEnded
    second.destroy()
    await once(second, 'close')
    const third = await openOnceFree()
    third.end()
    third.resume()
    await once(third, 'close')
    const signal = AbortSignal.timeout(5000)
    const fourth = await openOnceFree({ signal })
    fourth.destroy()
  })

  it('tells what happens to it, device by device', async () => {
    const events = await connection.domainEvents({
      kinds: ['lifecycle', 'device-added', 'device-removed'],
      domain: running,
      signal: AbortSignal.timeout(20_000),
    })
    const tablet = "<input type='tablet' bus='usb'><alias name='ua-tablet'/></input>"
    await connection.attachDevice(running, tablet, { live: true })
    await connection.detachDevice(running, tablet, { live: true })
    await connection.suspendDomain(running)
    await connection.destroyDomain(running)
    const seen: string[] = []
    for await (const event of events) {
      // QEMU may or may not get to say that it shuts down before libvirt sees it gone.
      if (event.kind === 'lifecycle' && event.event === 'shutdown') continue
      seen.push(event.kind === 'lifecycle' ? `${event.event} ${event.detail}` : `${event.kind} ${event.alias}`)
      if (seen.at(-1) === 'stopped destroyed') break
    }
    assert.deepEqual(seen, [
      'device-added ua-tablet',
      'device-removed ua-tablet',
      'suspended paused',
      'stopped destroyed',
    ])
  })
})
