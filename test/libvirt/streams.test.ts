import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { buffer, text } from 'node:stream/consumers'
import { finished, pipeline } from 'node:stream/promises'
import fc from 'fast-check'
import { ConnectionLostError, type Domain, LibvirtError } from '../../src/libvirt/index.ts'
import { messageStatus } from '../../src/libvirt/protocol/message.ts'
import { procedures } from '../../src/libvirt/protocol/procedures.ts'
import { type FakeBehaviour, type FakeCall, type FakeClient, withFake } from './fake-daemon.ts'

const domain: Domain = { name: 'r1', uuid: '6695eb01-f6a4-8304-79aa-97f2502e193f', id: 1 }
const volume = { pool: 'default', name: 'disk', key: '/disk' }
const operationFailed = 9

/** A fake that answers the question with which these tests see that the connection goes on. */
function withStreams(behaviour: FakeBehaviour, ...rest: DropFirst<Parameters<typeof withFake>>): Promise<void> {
  const answering: FakeBehaviour = {
    CONNECT_GET_TYPE: (call) => call.reply(procedures.CONNECT_GET_TYPE, { type: 'QEMU' }),
    ...behaviour,
  }
  return withFake(answering, ...rest)
}
type DropFirst<Items extends readonly unknown[]> = Items extends readonly [unknown, ...infer Rest] ? Rest : never

/** Opens the stream, then does `then` with it. */
function opening(then: (call: FakeCall) => void): FakeBehaviour {
  return {
    DOMAIN_OPEN_CONSOLE: (call) => {
      call.reply(procedures.DOMAIN_OPEN_CONSOLE, undefined)
      then(call)
    },
    STORAGE_VOL_DOWNLOAD: (call) => {
      call.reply(procedures.STORAGE_VOL_DOWNLOAD, undefined)
      then(call)
    },
    STORAGE_VOL_UPLOAD: (call) => {
      call.reply(procedures.STORAGE_VOL_UPLOAD, undefined)
      then(call)
    },
  }
}

/** Confirms a stream's end as the daemon does, when the client says that it has finished. */
function confirming(calls: readonly FakeCall[]): (client: FakeClient) => void {
  return (client) => {
    const last = client.packets.at(-1)
    const call = calls.find((each) => each.header.serial === last?.serial)
    if (last && last.status !== messageStatus.continue) call?.stream('ok')
  }
}

const settled = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds))

describe('console stream', () => {
  it('carries data both ways and ends when the guest stops', async () => {
    const calls: FakeCall[] = []
    await withStreams(
      {
        ...opening((call) => {
          calls.push(call)
          call.stream('continue', Buffer.from('login: '))
        }),
        onPacket: (client) => {
          const last = client.packets.at(-1)
          const [call] = calls
          if (last?.status === messageStatus.ok) call?.stream('ok')
          else if (last?.data.toString() === 'vyos\n') {
            call?.stream('continue', Buffer.from('Password: '))
            call?.stream('continue')
          }
        },
      },
      async (connection) => {
        const console = await connection.openConsole(domain)
        const output = text(console)
        console.write('vyos\n')
        assert.equal(await output, 'login: Password: ')
        await finished(console)
      },
    )
  })

  it('does not lose what comes in the same breath as the answer', () =>
    withStreams(
      opening((call) => call.stream('continue', Buffer.from('at once'))),
      async (connection) => {
        const console = await connection.openConsole(domain)
        const [chunk] = await once(console, 'data')
        assert.equal(String(chunk), 'at once')
      },
    ))

  it('says who has it, when somebody else has it', () =>
    withStreams(
      { DOMAIN_OPEN_CONSOLE: (call) => call.fail(operationFailed, 'Active console session exists for this domain') },
      async (connection) => {
        await assert.rejects(connection.openConsole(domain), {
          code: 'VIR_ERR_OPERATION_FAILED',
          message: /Active console session/,
        })
      },
    ))

  it('fails with libvirt’s error when the daemon aborts it', () =>
    withStreams(
      opening((call) => call.failStream(operationFailed, 'console was taken over')),
      async (connection) => {
        const console = await connection.openConsole(domain)
        await assert.rejects(
          text(console),
          (error) => error instanceof LibvirtError && /taken over/.test(error.message),
        )
        assert.equal(await connection.hypervisorType(), 'QEMU')
      },
    ))

  it('fails when the connection is lost in mid-stream', () =>
    withStreams(
      opening((call) => {
        call.stream('continue', Buffer.from('half a li'))
        call.client.socket.end()
      }),
      async (connection) => {
        const console = await connection.openConsole(domain)
        await assert.rejects(text(console), ConnectionLostError)
      },
    ))

  it('aborts on the daemon when destroyed, and later packets harm nobody', async () => {
    const calls: FakeCall[] = []
    await withStreams(
      opening((call) => calls.push(call)),
      async (connection, daemon) => {
        const console = await connection.openConsole(domain)
        console.destroy()
        assert.equal(await connection.hypervisorType(), 'QEMU')
        assert.deepEqual(
          daemon.clients[0]?.packets.map((packet) => packet.status),
          [messageStatus.error],
        )
        calls[0]?.stream('continue', Buffer.from('late'))
        calls[0]?.stream('ok')
        calls[0]?.stream('continue', Buffer.from('later still'))
        assert.equal(await connection.hypervisorType(), 'QEMU')
      },
    )
  })

  it('ends with the signal’s reason, long after it was opened', () =>
    withStreams(
      opening(() => {}),
      async (connection) => {
        const controller = new AbortController()
        const reason = new Error('time is up')
        const console = await connection.openConsole(domain, { signal: controller.signal })
        const ended = assert.rejects(finished(console), (error) => error === reason)
        controller.abort(reason)
        await ended
      },
    ))

  it('is given back to the daemon when it opens after the caller has given up', async () => {
    const calls: FakeCall[] = []
    await withStreams({ DOMAIN_OPEN_CONSOLE: (call) => calls.push(call) }, async (connection, daemon) => {
      const controller = new AbortController()
      const opening = connection.openConsole(domain, { signal: controller.signal })
      await connection.hypervisorType()
      controller.abort('too slow')
      await assert.rejects(opening, (error) => error === 'too slow')
      calls[0]?.reply(procedures.DOMAIN_OPEN_CONSOLE, undefined)
      await connection.hypervisorType()
      await connection.hypervisorType()
      assert.deepEqual(
        daemon.clients[0]?.packets.map((packet) => packet.status),
        [messageStatus.error],
      )
    })
  })

  it('is destroyed without an error when the connection is closed on purpose', () =>
    withStreams(
      opening(() => {}),
      async (connection) => {
        const console = await connection.openConsole(domain)
        console.on('error', (error) => assert.fail(error))
        const closed = once(console, 'close')
        await connection.close()
        await closed
      },
    ))
})

describe('volume stream', () => {
  it('downloads every byte, however it is packed, and however much of it comes before the answer', async () => {
    const calls: FakeCall[] = []
    const packetsAndAnswer = fc
      .array(fc.uint8Array({ minLength: 1, maxLength: 3000 }), { maxLength: 10 })
      .chain((packets) => fc.tuple(fc.constant(packets), fc.nat(packets.length + 1)))
    await fc.assert(
      fc.asyncProperty(packetsAndAnswer, ([packets, packetsBefore]) =>
        withStreams(
          {
            STORAGE_VOL_DOWNLOAD: (call) => {
              calls.push(call)
              const sent = [...packets.map((packet) => Buffer.from(packet)), Buffer.alloc(0)]
              for (const packet of sent.slice(0, packetsBefore)) call.stream('continue', packet)
              call.reply(procedures.STORAGE_VOL_DOWNLOAD, undefined)
              for (const packet of sent.slice(packetsBefore)) call.stream('continue', packet)
            },
            onPacket: confirming(calls),
          },
          async (connection) => {
            const received = await buffer(await connection.downloadVolume(volume))
            assert.deepEqual(received, Buffer.concat(packets))
            calls.length = 0
          },
        ),
      ),
      { numRuns: 25 },
    )
  })

  it('uploads in packets that any daemon takes, and finishes when the daemon has confirmed', async () => {
    const calls: FakeCall[] = []
    let confirmed = false
    await withStreams(
      {
        ...opening((call) => calls.push(call)),
        onPacket: (client) => {
          if (client.packets.at(-1)?.status !== messageStatus.ok) return
          setTimeout(() => {
            confirmed = true
            calls[0]?.stream('ok')
          }, 20)
        },
      },
      async (connection, daemon) => {
        const data = randomBytes(1_000_000)
        const upload = await connection.uploadVolume(volume)
        await pipeline(async function* () {
          yield data.subarray(0, 10)
          yield data.subarray(10)
        }, upload)
        assert.equal(confirmed, true)
        const packets = daemon.clients[0]?.packets.filter((packet) => packet.status === messageStatus.continue) ?? []
        assert.ok(packets.every((packet) => packet.data.length <= 262_120))
        assert.deepEqual(Buffer.concat(packets.map((packet) => packet.data)), data)
      },
    )
  })

  it('fails an upload that the daemon cannot store', async () => {
    await withStreams(
      opening((call) => call.failStream(38, 'No space left on device')),
      async (connection) => {
        const upload = await connection.uploadVolume(volume)
        await assert.rejects(
          pipeline(async function* () {
            for (;;) {
              yield Buffer.alloc(65_536)
              await settled(1)
            }
          }, upload),
          /No space left/,
        )
      },
    )
  })

  it('lets the daemon wait while nobody reads, and still delivers every byte', async () => {
    const total = 40 * 1024 * 1024
    const packet = Buffer.alloc(256 * 1024, 'x')
    const calls: FakeCall[] = []
    let sent = 0
    const sendMore = (call: FakeCall) => {
      while (sent < total) {
        sent += packet.length
        if (!call.stream('continue', packet)) {
          call.client.socket.once('drain', () => sendMore(call))
          return
        }
      }
      call.stream('continue')
    }
    await withStreams(
      {
        ...opening((call) => {
          calls.push(call)
          sendMore(call)
        }),
        onPacket: confirming(calls),
      },
      async (connection) => {
        const stream = await connection.downloadVolume(volume)
        await settled(100)
        assert.ok(sent < 4 * 1024 * 1024, `${sent} bytes were taken though nobody read`)
        assert.equal(await connection.hypervisorType(), 'QEMU')
        let received = 0
        for await (const chunk of stream) received += chunk.length
        assert.equal(received, total)
      },
    )
  })

  it('takes no more than its limit before the answer', () =>
    withStreams(
      {
        STORAGE_VOL_DOWNLOAD: (call) => {
          for (let index = 0; index < 5; index++) call.stream('continue', Buffer.alloc(256 * 1024))
        },
      },
      (connection) =>
        assert.rejects(
          connection.downloadVolume(volume),
          (error) =>
            error instanceof ConnectionLostError && /a stream whose call it has not answered/.test(error.message),
        ),
      { streamBacklogLimit: 1024 * 1024 },
    ))

  it('drops what came before a refusal', () =>
    withStreams(
      {
        STORAGE_VOL_DOWNLOAD: (call) => {
          call.stream('continue', Buffer.from('x'))
          call.fail(operationFailed, 'no such volume')
        },
      },
      async (connection) => {
        await assert.rejects(connection.downloadVolume(volume), { code: 'VIR_ERR_OPERATION_FAILED' })
        assert.equal(await connection.hypervisorType(), 'QEMU')
      },
    ))

  it('fails a stream whose reader is too far behind while calls must go on', async () => {
    const packet = Buffer.alloc(256 * 1024, 'x')
    const pending: FakeCall[] = []
    await withStreams(
      {
        ...opening((call) => {
          for (let index = 0; index < 20; index++) call.stream('continue', packet)
          for (const each of pending) each.reply(procedures.CONNECT_GET_HOSTNAME, { hostname: 'h' })
        }),
        CONNECT_GET_HOSTNAME: (call) => pending.push(call),
      },
      async (connection) => {
        const waits = connection.hostname()
        const stream = await connection.downloadVolume(volume)
        const failed = once(stream, 'error')
        assert.equal(await waits, 'h')
        const [error] = await failed
        assert.match(error.message, /reader is 1048576 bytes behind/)
        assert.equal(await connection.hypervisorType(), 'QEMU')
      },
      { streamBacklogLimit: 1024 * 1024 },
    )
  })
})
