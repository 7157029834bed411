import assert from 'node:assert/strict'
import { ConnectionLostError, type Domain, type DomainEvent } from '../../src/libvirt/index.ts'
import { procedures } from '../../src/libvirt/protocol/procedures.ts'
import { domain as domainCodec } from '../../src/libvirt/protocol/types.ts'
import { int, string, struct } from '../../src/libvirt/protocol/xdr.ts'
import { type FakeBehaviour, type FakeCall, type FakeClient, type FakeDaemon, withFake } from './fake-daemon.ts'

const domain: Domain = { name: 'r1', uuid: '6695eb01-f6a4-8304-79aa-97f2502e193f', id: 1 }
const lifecycleMessage = struct({ callbackId: int, domain: domainCodec, event: int, detail: int })
const aliasMessage = struct({ callbackId: int, domain: domainCodec, alias: string })
const lifecycleProcedure = 318
const deviceRemovedProcedure = 333

function started(client: FakeClient, callbackId: number, detail = 0) {
  client.event(lifecycleProcedure, lifecycleMessage, { callbackId, domain, event: 2, detail })
}

/** Numbers registrations from 1 on, as libvirtd does. */
function registering(then: (call: FakeCall, callbackId: number) => void = () => {}): FakeBehaviour {
  let last = 0
  return {
    CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY: (call) => {
      last++
      call.reply(procedures.CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY, { value: last })
      then(call, last)
    },
    CONNECT_DOMAIN_EVENT_CALLBACK_DEREGISTER_ANY: (call) =>
      call.reply(procedures.CONNECT_DOMAIN_EVENT_CALLBACK_DEREGISTER_ANY, undefined),
    CONNECT_GET_TYPE: (call) => call.reply(procedures.CONNECT_GET_TYPE, { type: 'QEMU' }),
  }
}

function deregistered(daemon: FakeDaemon): number[] {
  return daemon.calls
    .filter((call) => call.name === 'CONNECT_DOMAIN_EVENT_CALLBACK_DEREGISTER_ANY')
    .map((call) => call.args(procedures.CONNECT_DOMAIN_EVENT_CALLBACK_DEREGISTER_ANY).value)
}

describe('domain events', () => {
  it('come with names, even those in the same breath as the registration', () =>
    withFake(
      registering(({ client }, callbackId) => started(client, callbackId)),
      async (connection) => {
        const events = await connection.domainEvents({ kinds: ['lifecycle'], domain })
        assert.deepEqual((await events.next()).value, { kind: 'lifecycle', domain, event: 'started', detail: 'booted' })
      },
    ))

  it('of several kinds come in one loop, and go only to whom they are for', () =>
    withFake(registering(), async (connection, daemon) => {
      const both = await connection.domainEvents({ kinds: ['lifecycle', 'device-removed'] })
      const other = await connection.domainEvents({ kinds: ['lifecycle'] })
      const [client] = daemon.clients
      assert.ok(client)
      started(client, 1)
      started(client, 3, 2)
      client.event(deviceRemovedProcedure, aliasMessage, { callbackId: 2, domain, alias: 'net0' })
      const seen: DomainEvent[] = []
      for await (const event of both) if (seen.push(event) === 2) break
      assert.deepEqual(
        seen.map((event) => event.kind),
        ['lifecycle', 'device-removed'],
      )
      assert.deepEqual((await other.next()).value, { kind: 'lifecycle', domain, event: 'started', detail: 'restored' })
    }))

  it('are deregistered when the loop is left', () =>
    withFake(
      registering(({ client }, callbackId) => started(client, callbackId)),
      async (connection, daemon) => {
        for await (const _event of await connection.domainEvents({ kinds: ['lifecycle'] })) break
        assert.deepEqual(deregistered(daemon), [1])
        const [client] = daemon.clients
        if (client) started(client, 1)
        assert.equal(await connection.hypervisorType(), 'QEMU')
      },
    ))

  it('of newer kinds than this library knows have a name with their number', () =>
    withFake(
      registering(({ client }, callbackId) =>
        client.event(lifecycleProcedure, lifecycleMessage, { callbackId, domain, event: 77, detail: 5 }),
      ),
      async (connection) => {
        const events = await connection.domainEvents({ kinds: ['lifecycle'] })
        const { value } = await events.next()
        assert.deepEqual([value?.event, value?.detail], ['unknown-77', 'unknown-5'])
      },
    ))

  it('end with an error when more wait than the queue holds, after those that do', () =>
    withFake(registering(), async (connection, daemon) => {
      const events = await connection.domainEvents({ kinds: ['lifecycle'], queueLimit: 3 })
      const [client] = daemon.clients
      assert.ok(client)
      for (let index = 0; index < 1000; index++) started(client, 1)
      await connection.hypervisorType()
      for (let index = 0; index < 3; index++) assert.equal((await events.next()).done, false)
      await assert.rejects(events.next(), { code: 'VIR_ERR_OVERFLOW', message: /more than 3 events/ })
      assert.equal((await events.next()).done, true)
      assert.deepEqual(deregistered(daemon), [1])
    }))

  it('stop with the signal’s reason, also in the middle of waiting', () =>
    withFake(registering(), async (connection, daemon) => {
      const controller = new AbortController()
      const events = await connection.domainEvents({ kinds: ['lifecycle'], signal: controller.signal })
      const next = events.next()
      controller.abort('enough')
      await assert.rejects(next, (error) => error === 'enough')
      await connection.hypervisorType()
      assert.deepEqual(deregistered(daemon), [1])
    }))

  it('fail when the connection is lost, and simply end when it is closed', async () => {
    await withFake(registering(), async (connection, daemon) => {
      const events = await connection.domainEvents({ kinds: ['lifecycle'] })
      const next = events.next()
      daemon.clients[0]?.socket.destroy()
      await assert.rejects(next, ConnectionLostError)
      assert.equal((await events.next()).done, true)
    })
    await withFake(registering(), async (connection) => {
      const events = await connection.domainEvents({ kinds: ['lifecycle'] })
      const next = events.next()
      await connection.close()
      assert.equal((await next).done, true)
    })
  })

  it('are refused as a whole when the daemon refuses one kind', () => {
    const registers = registering()
    return withFake(
      {
        ...registers,
        CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY: (call) => {
          const { event } = call.args(procedures.CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY)
          if (event === 15) call.fail(8, 'unsupported event ID 15')
          else registers.CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY?.(call)
        },
      },
      async (connection, daemon) => {
        await assert.rejects(connection.domainEvents({ kinds: ['lifecycle', 'device-removed'] }), /event ID 15/)
        assert.deepEqual(deregistered(daemon), [1])
      },
    )
  })

  it('are not left registered when the caller gave up before the daemon answered', async () => {
    const calls: FakeCall[] = []
    await withFake(
      { ...registering(), CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY: (call) => calls.push(call) },
      async (connection, daemon) => {
        const controller = new AbortController()
        const opening = connection.domainEvents({ kinds: ['lifecycle'], signal: controller.signal })
        await connection.hypervisorType()
        controller.abort('no')
        await assert.rejects(opening, (error) => error === 'no')
        calls[0]?.reply(procedures.CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY, { value: 9 })
        await connection.hypervisorType()
        await connection.hypervisorType()
        assert.deepEqual(deregistered(daemon), [9])
      },
    )
  })

  it('end the connection when they are malformed, instead of growing or hanging', () =>
    withFake(
      registering(({ client }, callbackId) =>
        client.event(lifecycleProcedure, struct({ callbackId: int, rest: int }), { callbackId, rest: -1 }),
      ),
      async (connection) => {
        const events = await connection.domainEvents({ kinds: ['lifecycle'] })
        await assert.rejects(events.next(), ConnectionLostError)
        assert.equal((await connection.ended).reason, 'protocol-error')
      },
    ))
})
