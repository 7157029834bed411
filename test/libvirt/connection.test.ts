import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect as connectSocket, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import fc from 'fast-check'
import {
  ConnectError,
  type ConnectFailure,
  ConnectionLostError,
  connect,
  connectOver,
  isDomainNotFound,
  isTimeout,
  LibvirtError,
} from '../../src/libvirt/index.ts'
import { encodeHeader, programs } from '../../src/libvirt/protocol/message.ts'
import { procedures } from '../../src/libvirt/protocol/procedures.ts'
import { type FakeBehaviour, fakeDaemon, withFake } from './fake-daemon.ts'

const run = promisify(execFile)
const domain = { name: 'r1', uuid: '6695eb01-f6a4-8304-79aa-97f2502e193f', id: 1 }
const noDomain = 42

async function inDirectory(action: (directory: string) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'libvirt-test-'))
  try {
    await action(directory)
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

function failsToConnect(reason: ConnectFailure, message: RegExp) {
  return (error: unknown) => {
    assert.ok(error instanceof ConnectError, String(error))
    assert.equal(error.reason, reason)
    assert.match(error.message, message)
    return true
  }
}

function losesConnection(reason: ConnectionLostError['reason'], message = /./) {
  return (error: unknown) => {
    assert.ok(error instanceof ConnectionLostError, String(error))
    assert.equal(error.reason, reason)
    assert.match(error.message, message)
    return true
  }
}

describe('connecting', () => {
  it('says that the socket is missing', () =>
    inDirectory(async (directory) => {
      const uri = `qemu:///system?socket=${directory}/none`
      await assert.rejects(connect(uri), failsToConnect('socket-missing', /no socket at .*none/))
    }))

  it('says that nobody serves the socket', () =>
    inDirectory(async (directory) => {
      const path = join(directory, 'sock')
      const server = createServer()
      await new Promise<void>((resolve) => server.listen(path, resolve))
      const stale = join(directory, 'stale')
      await run('ln', [path, stale])
      await new Promise((resolve) => server.close(resolve))
      await assert.rejects(
        connect(`qemu:///system?socket=${stale}`),
        failsToConnect('connection-refused', /stale: no daemon serves it/),
      )
      await writeFile(path, '')
      await assert.rejects(
        connect(`qemu:///system?socket=${path}`),
        failsToConnect('connection-refused', /no daemon serves it/),
      )
    }))

  it('says that this user may not open the socket', () =>
    inDirectory(async (directory) => {
      const path = join(directory, 'sock')
      const server = createServer()
      await new Promise<void>((resolve) => server.listen(path, resolve))
      try {
        await chmod(directory, 0o755)
        await chmod(path, 0o600)
        if (process.geteuid?.() !== 0) await chmod(path, 0o000)
        const nobody = 65534
        // Root may open everything, so become nobody once the modules are loaded, which nobody may not read.
        const script = `
          import { connect } from ${JSON.stringify(new URL('../../src/libvirt/index.ts', import.meta.url).href)}
          if (process.geteuid() === 0) process.seteuid(${nobody})
          await connect('qemu:///system?socket=${path}').catch((error) => process.stdout.write(error.reason))`
        const { stdout } = await run(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script])
        assert.equal(stdout, 'permission-denied')
      } finally {
        await new Promise((resolve) => server.close(resolve))
      }
    }))

  it('gives up a daemon that accepts and stays silent', async () => {
    const daemon = await fakeDaemon({ AUTH_LIST: () => {} })
    try {
      await assert.rejects(
        connect(daemon.uri, { connectTimeoutMs: 50 }),
        failsToConnect('daemon-silent', /no answer within 50 ms/),
      )
    } finally {
      await daemon.close()
    }
  })

  it('gives up when asked to, with the reason given', async () => {
    const daemon = await fakeDaemon({ AUTH_LIST: () => {} })
    try {
      const reason = new Error('interrupted')
      const controller = new AbortController()
      const connecting = connect(daemon.uri, { signal: controller.signal })
      controller.abort(reason)
      await assert.rejects(connecting, (error) => error === reason)
      await assert.rejects(connect(daemon.uri, { signal: AbortSignal.abort(reason) }), (error) => error === reason)
    } finally {
      await daemon.close()
    }
  })

  it('says that the daemon hung up', async () => {
    const daemon = await fakeDaemon({ CONNECT_OPEN: (call) => call.client.socket.destroy() })
    try {
      await assert.rejects(connect(daemon.uri), failsToConnect('connection-failed', /closed the connection/))
    } finally {
      await daemon.close()
    }
  })

  it('says that something else than libvirt listens', async () => {
    const daemon = await fakeDaemon({ onConnect: ({ socket }) => socket.write('SSH-2.0-OpenSSH_9.2p1 Debian\r\n') })
    try {
      await assert.rejects(connect(daemon.uri), failsToConnect('connection-failed', /a message of \d+ bytes/))
    } finally {
      await daemon.close()
    }
  })

  it('authenticates with polkit where asked to', () =>
    withFake({ AUTH_LIST: (call) => call.reply(procedures.AUTH_LIST, { types: [2] }) }, async (_connection, daemon) => {
      assert.deepEqual(
        daemon.calls.map((call) => call.name),
        ['AUTH_LIST', 'AUTH_POLKIT', 'CONNECT_SUPPORTS_FEATURE', 'CONNECT_OPEN'],
      )
    }))

  it('says that polkit refused, in its words', async () => {
    const daemon = await fakeDaemon({
      AUTH_LIST: (call) => call.reply(procedures.AUTH_LIST, { types: [2] }),
      AUTH_POLKIT: (call) => call.fail(45, 'authentication failed: access denied by policy'),
    })
    try {
      await assert.rejects(
        connect(daemon.uri),
        failsToConnect('authentication-refused', /polkit authentication: .*access denied by policy/),
      )
    } finally {
      await daemon.close()
    }
  })

  it('says that it cannot do the authentication that is asked for', async () => {
    const daemon = await fakeDaemon({ AUTH_LIST: (call) => call.reply(procedures.AUTH_LIST, { types: [1] }) })
    try {
      await assert.rejects(connect(daemon.uri), failsToConnect('authentication-refused', /SASL/))
    } finally {
      await daemon.close()
    }
  })

  it('says that the daemon has no such driver', async () => {
    const daemon = await fakeDaemon({ CONNECT_OPEN: (call) => call.fail(5, 'no connection driver available') })
    try {
      await assert.rejects(connect(daemon.uri), failsToConnect('open-refused', /no connection driver/))
    } finally {
      await daemon.close()
    }
  })

  it('tells the daemon the URI without what concerns only this side', () =>
    withFake({}, async (_connection, daemon) => {
      const opened = daemon.calls.find((call) => call.name === 'CONNECT_OPEN')
      assert.deepEqual(opened?.args(procedures.CONNECT_OPEN), { uri: 'qemu:///system', flags: 0 })
    }))

  it('works over any byte stream, which it ends', async () => {
    const daemon = await fakeDaemon({
      CONNECT_GET_HOSTNAME: (call) => call.reply(procedures.CONNECT_GET_HOSTNAME, { hostname: 'far' }),
    })
    try {
      const duplex = connectSocket(daemon.socketPath)
      const connection = await connectOver(duplex, 'qemu:///system')
      assert.equal(await connection.hostname(), 'far')
      await connection.close()
      assert.equal(duplex.destroyed, true)
      const refused = connectSocket(daemon.socketPath)
      await assert.rejects(connectOver(refused, 'esx://host/'), failsToConnect('uri-unsupported', /esx/))
      assert.equal(refused.destroyed, true)
    } finally {
      await daemon.close()
    }
  })
})

describe('calls', () => {
  it('are answered each by its own reply, in whatever order replies come', () => {
    const held: (() => void)[] = []
    return withFake(
      {
        DOMAIN_LOOKUP_BY_NAME: (call) => {
          const { name } = call.args(procedures.DOMAIN_LOOKUP_BY_NAME)
          held.push(() => call.reply(procedures.DOMAIN_LOOKUP_BY_NAME, { domain: { ...domain, name } }))
          if (held.length === 4) for (const answer of held.splice(0).reverse()) answer()
        },
      },
      async (connection) => {
        const names = Array.from({ length: 40 }, (_, index) => `vm${index}`)
        const found = await Promise.all(names.map((name) => connection.lookupDomainByName(name)))
        assert.deepEqual(
          found.map((each) => each.name),
          names,
        )
      },
    )
  })

  it('leave the daemon room for a keep-alive: four are with it at a time', () =>
    withFake({}, async (connection, daemon) => {
      const before = daemon.calls.length
      const signal = AbortSignal.timeout(100)
      const calls = Array.from({ length: 20 }, () => connection.hostname({ signal }))
      await Promise.allSettled(calls)
      assert.equal(daemon.calls.length - before, 4)
    }))

  it('reject with libvirt’s error, by name and number', () =>
    withFake(
      { DOMAIN_LOOKUP_BY_NAME: (call) => call.fail(noDomain, 'Domain not found: no domain with matching name') },
      async (connection) => {
        await assert.rejects(connection.lookupDomainByName('r1'), (error) => {
          assert.ok(isDomainNotFound(error))
          assert.equal(error.code, 'VIR_ERR_NO_DOMAIN')
          assert.equal(error.codeNumber, noDomain)
          assert.equal(error.domain, 'VIR_FROM_QEMU')
          assert.equal(error.level, 'VIR_ERR_ERROR')
          return true
        })
      },
    ))

  it('reject with a code that is newer than this library', () =>
    withFake({ DOMAIN_RESUME: (call) => call.fail(9999, 'news') }, async (connection) => {
      await assert.rejects(
        connection.resumeDomain(domain),
        (error) => error instanceof LibvirtError && error.code === 'VIR_ERR_UNKNOWN' && error.codeNumber === 9999,
      )
    }))

  it('reject when the reply is malformed, and others go on', () =>
    withFake(
      {
        CONNECT_GET_HOSTNAME: (call) =>
          call.client.socket.write(Buffer.concat([encodeHeader({ ...call.header, type: 1 }, 4), Buffer.alloc(4, 255)])),
        DOMAIN_SUSPEND: (call) =>
          call.client.socket.write(
            Buffer.concat([encodeHeader({ ...call.header, type: 1, status: 1 }, 4), Buffer.alloc(4)]),
          ),
        DOMAIN_RESUME: (call) => call.reply(procedures.DOMAIN_RESUME, undefined),
      },
      async (connection) => {
        await assert.rejects(connection.hostname(), { code: 'VIR_ERR_RPC', message: /reply is malformed/ })
        await assert.rejects(connection.suspendDomain(domain), { code: 'VIR_ERR_RPC', message: /error is malformed/ })
        await connection.resumeDomain(domain)
      },
    ))

  it('reject arguments that cannot be sent, naming the procedure', () =>
    withFake({}, async (connection) => {
      await assert.rejects(connection.lookupDomainByName('r1\0x'), {
        code: 'VIR_ERR_INVALID_ARG',
        message: /DOMAIN_LOOKUP_BY_NAME: .*NUL/,
      })
    }))

  it('end by their time limit, and a late reply does no harm', () => {
    const late: (() => void)[] = []
    return withFake(
      {
        CONNECT_GET_HOSTNAME: (call) =>
          late.push(() => call.reply(procedures.CONNECT_GET_HOSTNAME, { hostname: 'late' })),
        CONNECT_GET_TYPE: (call) => call.reply(procedures.CONNECT_GET_TYPE, { type: 'QEMU' }),
      },
      async (connection) => {
        await assert.rejects(connection.hostname({ timeoutMs: 30 }), (error) => {
          assert.ok(isTimeout(error))
          assert.match(error.message, /CONNECT_GET_HOSTNAME: no answer within 30 ms/)
          return true
        })
        for (const answer of late) answer()
        assert.equal(await connection.hypervisorType(), 'QEMU')
      },
    )
  })

  it('share a signal by the thousand without a warning of a leak', () =>
    withFake(
      { CONNECT_GET_TYPE: (call) => call.reply(procedures.CONNECT_GET_TYPE, { type: 'QEMU' }) },
      async (connection) => {
        const warnings: Error[] = []
        const onWarning = (warning: Error) => warnings.push(warning)
        process.on('warning', onWarning)
        const { signal } = new AbortController()
        await Promise.all(Array.from({ length: 1000 }, () => connection.hypervisorType({ signal })))
        for (let round = 0; round < 20; round++) await connection.hypervisorType({ signal })
        process.off('warning', onWarning)
        assert.deepEqual(warnings, [])
      },
    ))

  it('end at once when aborted, with the reason, sent or not', () =>
    withFake({}, async (connection, daemon) => {
      const controller = new AbortController()
      const calls = Array.from({ length: 100 }, () => connection.hostname({ signal: controller.signal }))
      const before = daemon.calls.length
      controller.abort('enough')
      for (const result of await Promise.allSettled(calls)) {
        assert.deepEqual(result, { status: 'rejected', reason: 'enough' })
      }
      await assert.rejects(connection.hostname({ signal: AbortSignal.abort('before') }), (error) => error === 'before')
      assert.ok(daemon.calls.length - before <= 4)
    }))
})

describe('a lost connection', () => {
  const hang = { DOMAIN_RESET: () => {} }

  it('fails what is pending and all that comes later, at once', () =>
    withFake({ DOMAIN_RESET: (call) => call.client.socket.destroy() }, async (connection) => {
      const pending = Array.from({ length: 10 }, () => connection.resetDomain(domain))
      for (const result of await Promise.allSettled(pending)) {
        assert.equal(result.status, 'rejected')
        if (result.status === 'rejected') losesConnection('daemon-closed')(result.reason)
      }
      await assert.rejects(connection.hostname(), losesConnection('daemon-closed'))
      assert.equal(connection.isOpen(), false)
      assert.equal((await connection.ended).reason, 'daemon-closed')
    }))

  it('is noticed when the daemon is alive but answers no ping', () =>
    withFake(
      { ...hang, pong: false },
      async (connection) => {
        const start = performance.now()
        await assert.rejects(connection.resetDomain(domain), losesConnection('daemon-silent', /0\.12 s/))
        const took = performance.now() - start
        assert.ok(took < 1000, `${took} ms`)
      },
      { keepAlive: { intervalMs: 30, count: 3 } },
    ))

  it('is not assumed of a daemon that answers pings, however long a call takes', () =>
    withFake(
      {
        DOMAIN_RESET: (call) => {
          const wait = setInterval(() => {
            if (call.client.pings() < 10) return
            clearInterval(wait)
            call.reply(procedures.DOMAIN_RESET, undefined)
          }, 5)
        },
      },
      async (connection) => {
        await connection.resetDomain(domain)
      },
      { keepAlive: { intervalMs: 10, count: 1 } },
    ))

  it('is not caused by a daemon that pings: it is answered', () =>
    withFake(
      {
        DOMAIN_RESET: (call) => {
          const ping = { program: programs.keepAlive, procedure: 1, type: 2, serial: 0, status: 0 }
          call.client.socket.write(encodeHeader(ping))
          const wait = setInterval(() => {
            // The pong arrives where the fake counts keep-alive messages.
            if (call.client.pings() === 0) return
            clearInterval(wait)
            call.reply(procedures.DOMAIN_RESET, undefined)
          }, 5)
        },
      },
      async (connection) => {
        await connection.resetDomain(domain, { timeoutMs: 2000 })
      },
    ))

  const badReplies: Record<string, FakeBehaviour['DOMAIN_RESET']> = {
    'a wrong serial': (call) => call.client.socket.write(encodeHeader({ ...call.header, type: 1, serial: 77_777 })),
    'a wrong procedure': (call) => call.client.socket.write(encodeHeader({ ...call.header, type: 1, procedure: 1 })),
    'an unknown type': (call) => call.client.socket.write(encodeHeader({ ...call.header, type: 9 })),
    'a length below the header’s': (call) => call.client.socket.write(Buffer.alloc(28)),
    'a length of 4 GiB': (call) => call.client.socket.write(Buffer.alloc(64, 255)),
    garbage: (call) => call.client.socket.write('garbage that is no message of libvirt at all'),
  }
  for (const [what, reply] of Object.entries(badReplies)) {
    it(`follows ${what}`, () =>
      withFake(reply ? { DOMAIN_RESET: reply } : {}, async (connection) => {
        await assert.rejects(connection.resetDomain(domain), losesConnection('protocol-error', /the daemon sent/))
      }))
  }

  it('follows a reply that is cut off', () =>
    withFake(
      { DOMAIN_RESET: (call) => call.client.socket.end(encodeHeader({ ...call.header, type: 1 }).subarray(0, 20)) },
      async (connection) => {
        await assert.rejects(connection.resetDomain(domain), losesConnection('daemon-closed'))
      },
    ))

  it('never follows a slow drip of good bytes', () =>
    withFake(
      {
        CONNECT_GET_TYPE: async (call) => {
          const frame = Buffer.concat([
            encodeHeader({ ...call.header, type: 1 }, 8),
            Buffer.from([0, 0, 0, 4]),
            Buffer.from('QEMU'),
          ])
          for (const byte of frame) {
            call.client.socket.write(Buffer.from([byte]))
            await new Promise((resolve) => setImmediate(resolve))
          }
        },
      },
      async (connection) => {
        assert.equal(await connection.hypervisorType(), 'QEMU')
      },
    ))

  it('ends every pending call, whatever bytes the daemon sends before it hangs up', async () => {
    let bytes = Buffer.alloc(0)
    const daemon = await fakeDaemon({ DOMAIN_RESET: (call) => call.client.socket.end(bytes) })
    try {
      await fc.assert(
        fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 400 }), fc.boolean(), async (random, framed) => {
          bytes = Buffer.from(random)
          if (framed && bytes.length >= 28) {
            bytes.writeUInt32BE(bytes.length, 0)
            bytes.writeUInt32BE(1, 8)
          }
          const connection = await connect(daemon.uri)
          await assert.rejects(connection.resetDomain(domain, { timeoutMs: 5000 }), ConnectionLostError)
          await connection.close()
        }),
        { numRuns: 150 },
      )
    } finally {
      await daemon.close()
    }
  })
})

describe('closing', () => {
  it('rejects what is pending, and is safe again and again', () =>
    withFake({}, async (connection) => {
      const pending = connection.hostname()
      const rejected = assert.rejects(pending, losesConnection('closed'))
      await Promise.all([connection.close(), connection.close()])
      await connection.close()
      await rejected
      await assert.rejects(connection.hostname(), losesConnection('closed', /the connection is closed/))
      assert.equal((await connection.ended).reason, 'closed')
    }))

  it('is safe after the daemon went away', () =>
    withFake({}, async (connection, daemon) => {
      daemon.clients[0]?.socket.destroy()
      await connection.ended
      await connection.close()
    }))

  it('lets the process end by itself, without an unhandled rejection', async () => {
    const daemon = await fakeDaemon({
      DOMAIN_OPEN_CONSOLE: (call) => call.reply(procedures.DOMAIN_OPEN_CONSOLE, undefined),
    })
    try {
      const script = `
        import { connect } from ${JSON.stringify(new URL('../../src/libvirt/index.ts', import.meta.url).href)}
        const connection = await connect(${JSON.stringify(daemon.uri)})
        const domain = ${JSON.stringify(domain)}
        connection.resetDomain(domain).catch(() => {})
        connection.domainEvents({ kinds: ['lifecycle'] }).catch(() => {})
        await connection.openConsole(domain)
        await connection.close()
        process.on('exit', () => process.stdout.write('ended by itself'))`
      const { stdout } = await run(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
        timeout: 8000,
      })
      assert.equal(stdout, 'ended by itself')
    } finally {
      await daemon.close()
    }
  })
})
