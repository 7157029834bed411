import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import { Readable } from 'node:stream'
import fc from 'fast-check'
import { networkConfigSchema } from '../../../src/config/network-config.ts'
import { isVmrError, type VmrError } from '../../../src/errors/vmr-error.ts'
import { parseConfigTree } from '../../../src/os/vyos/config-tree.ts'
import { httpApiAccess } from '../../../src/os/vyos/http-api.ts'
import type { VyosPath } from '../../../src/os/vyos/path.ts'
import type { VyosChange } from '../../../src/os/vyos/plan.ts'
import type { RecordedChange, UndoRecords } from '../../../src/os/vyos/undo-record.ts'
import { applyVyos, planVyos, resetVyos } from '../../../src/os/vyos/vyos-os.ts'
import { fingerprintOfPem } from '../../../src/shell/https/post-form.ts'
import { type Certificate, makeCertificate } from '../../shell/self-signed.ts'
import { type FakeHttpApi, fakeKey, startFakeHttpApi } from './fake-http-api.ts'

const words = (line: string): VyosPath => line.split(' ')
const set = (line: string): VyosChange => ({ kind: 'set', path: words(line), single: false, objects: [] })

/** Of one process, as the real ones are of one VM. */
function recordsInMemory(): UndoRecords {
  let changes: readonly RecordedChange[] = []
  return {
    add: async (_config, steps) => {
      changes = [{ at: changes.length, steps }, ...changes]
    },
    readAll: async () => changes,
    keep: async () => undefined,
    removeAll: async () => {
      changes = []
    },
  }
}

function* endlessly(piece: Buffer) {
  for (;;) yield piece
}

async function failure(task: Promise<unknown>): Promise<VmrError> {
  try {
    await task
  } catch (error) {
    assert.ok(isVmrError(error), String(error))
    assert.ok(!error.message.includes(fakeKey), 'the key is in no message')
    return error
  }
  assert.fail('it did not fail')
}

describe('VyOS by its HTTP API', () => {
  let certificate: Certificate
  let fake: FakeHttpApi
  const factory = [
    'interfaces ethernet eth0 hw-id 52:54:00:00:00:01',
    'interfaces loopback lo',
    'system host-name vyos',
  ]
  const access = (over: { readonly key?: string; readonly fingerprint?: string; readonly port?: number } = {}) =>
    httpApiAccess({
      name: 'r1',
      host: '127.0.0.1',
      port: fake.port,
      fingerprint: certificate.fingerprint,
      key: fakeKey,
      undoRecords: recordsInMemory(),
      ...over,
    })
  const active = () => fake.active.map((path) => path.join(' ')).toSorted()
  const configured = () => fake.requests.filter(({ endpoint }) => endpoint === '/configure')

  before(async () => {
    certificate = await makeCertificate()
  })
  beforeEach(async () => {
    fake = await startFakeHttpApi(certificate)
    fake.active = factory.map(words)
  })
  afterEach(() => fake.close())

  it('is configured by one list, which is one commit, read back, saved and taken back', async () => {
    const vyos = access()
    const config = networkConfigSchema.parse({
      hostName: 'dut',
      ethernets: { eth0: { addresses: ['192.0.2.1/24', '2001:db8::1/64'] }, eth1: { vlans: { '10': {} } } },
    })
    const planned = await planVyos(vyos, config)
    assert.deepEqual(await applyVyos(vyos, config, { save: true }), planned)
    assert.equal(configured().length, 1)
    assert.deepEqual(
      configured()[0]?.data,
      planned.map(({ kind, path }) => ({ op: kind, path })),
    )
    assert.deepEqual(fake.saved, fake.active)
    assert.deepEqual(await planVyos(vyos, config), [])
    assert.deepEqual(
      (await vyos.readConfiguration()).map((path) => path.join(' ')).filter((line) => line.includes('address')),
      ['interfaces ethernet eth0 address 192.0.2.1/24', 'interfaces ethernet eth0 address 2001:db8::1/64'],
    )
    await resetVyos(vyos)
    assert.ok(!active().some((line) => /address|vif/.test(line)), active().join('\n'))
    assert.ok(active().includes('system host-name vyos'))
    for (const { head } of fake.requests) assert.ok(!head.includes(fakeKey), 'the key is in no address and no header')
  })

  it('refuses a key that is not its own', async () => {
    const error = await failure(access({ key: 'another-key' }).readConfiguration())
    assert.equal(error.code, 'GUEST_LOGIN_FAILED')
    assert.ok(!error.message.includes('another-key'))
  })

  it('names an interface that the machine does not have before anything is sent', async () => {
    const config = networkConfigSchema.parse({ ethernets: { eth7: { mtu: 1400 } } })
    assert.match((await failure(applyVyos(access(), config))).message, /no interface eth7; it has eth0, eth1, lo$/)
    assert.equal(configured().length, 0)
  })

  it('refuses a command in VyOS’s own words, and nothing has changed', async () => {
    fake.fault = ({ endpoint }, _response, answer) => {
      if (endpoint !== '/configure') return false
      answer(400, {
        success: false,
        data: null,
        error: '\n  Configuration path: [no such] is not valid\n  Set failed\n\n',
      })
      return true
    }
    const error = await failure(access().changeConfiguration(fake.active, [set('no such')]))
    assert.equal(error.code, 'GUEST_CONFIG_REFUSED')
    assert.match(
      error.message,
      /Configuration path: \[no such\] is not valid\n {2}Set failed\nThe configuration is as it was/,
    )
    assert.equal(configured().length, 1)
  })

  it('undoes what a commit that failed has left active', async () => {
    fake.fault = ({ endpoint }, _response, answer) => {
      if (endpoint !== '/configure' || configured().length > 1) return false
      fake.active = [...fake.active, words('interfaces ethernet eth0 mtu 1400')]
      answer(400, { success: false, data: null, error: '[[interfaces tunnel tun1]] failed\nCommit failed' })
      return true
    }
    const changes = [set('interfaces ethernet eth0 mtu 1400'), set('interfaces tunnel tun1 mtu 1400')]
    const error = await failure(access().changeConfiguration(fake.active, changes))
    assert.match(error.message, /Commit failed\nThe configuration is as it was before\.$/)
    assert.deepEqual(active(), factory.toSorted())
  })

  it('believes what is active, not a success that was told, and names what cannot be undone', async () => {
    fake.fault = ({ endpoint }, _response, answer) => {
      if (endpoint !== '/configure') return false
      if (configured().length === 1) fake.active = [...fake.active, words('interfaces ethernet eth0 mtu 1400')]
      answer(200, { success: true, data: null, error: null })
      return true
    }
    const changes = [set('interfaces ethernet eth0 mtu 1400'), set('system host-name dut')]
    const error = await failure(access().changeConfiguration(fake.active, changes))
    assert.match(error.message, /reported no failure, but this is not active: set system host-name dut\n/)
    assert.match(error.message, /could not be undone: delete interfaces ethernet eth0 mtu$/)
  })

  it('waits for another operator’s commit', async () => {
    fake.fault = ({ endpoint }, _response, answer) => {
      if (endpoint !== '/configure' || configured().length > 1) return false
      const error = 'Configuration system temporarily locked due to another commit in progress\n'
      answer(400, { success: false, data: null, error })
      return true
    }
    await access().changeConfiguration(fake.active, [set('system host-name dut')])
    assert.equal(configured().length, 2)
  })

  it('tells that all is active and only the file could not be written', async () => {
    fake.fault = ({ endpoint }, _response, answer) => {
      if (endpoint !== '/config-file') return false
      answer(400, { success: false, data: null, error: 'OSError: [Errno 28] No space left on device' })
      return true
    }
    const error = await failure(
      access().changeConfiguration(fake.active, [set('interfaces ethernet eth0 mtu 1400')], { save: true }),
    )
    assert.match(
      error.message,
      /committed the configuration but could not save it: .*No space left.*\nIt is active until/,
    )
    assert.ok(active().includes('interfaces ethernet eth0 mtu 1400'))
  })

  it('sends no value that a shell could not be given', async () => {
    const error = await failure(
      access().changeConfiguration(fake.active, [{ ...set('system'), path: ['system', 'host-name', "it's"] }]),
    )
    assert.equal(error.code, 'CONFIG_INVALID')
    assert.equal(fake.requests.length, 0)
  })

  it('reads a configuration of more than a megabyte, and gives up on an answer without end', async () => {
    fake.active = Array.from({ length: 20_000 }, (_, index) =>
      words(`protocols static route 10.${index >> 8}.${index & 255}.0/24 description ${'x'.repeat(30)}`),
    )
    assert.equal((await access().readConfiguration()).length, 20_000)
    fake.fault = (_request, response) => {
      response.writeHead(200)
      const endless = Readable.from(endlessly(Buffer.alloc(1 << 20, 'x')))
      endless.pipe(response)
      response.once('close', () => endless.destroy())
      return true
    }
    const error = await failure(access().readConfiguration())
    assert.equal(error.code, 'GUEST_API_LOST')
    assert.match(error.message, /longer than 8388608 bytes/)
  })

  it('tells an answer that ends early, and that a change may be active', async () => {
    fake.fault = (_request, response) => {
      response.writeHead(200, { 'content-length': '1000' })
      response.write('{"success": true, "da', () => response.destroy())
      return true
    }
    assert.equal((await failure(access().readConfiguration())).code, 'GUEST_API_LOST')
    const error = await failure(access().changeConfiguration(fake.active, [set('system host-name dut')]))
    assert.equal(error.code, 'GUEST_API_LOST')
    assert.match(error.message, /was being changed: see what is active with `vmr guest show`/)
  })

  it('is not waited for without end', async () => {
    let held: () => void = () => undefined
    fake.fault = () => new Promise<boolean>((resolve) => (held = () => resolve(true)))
    const aborting = new AbortController()
    const waiting = failure(access().readConfiguration(aborting.signal))
    while (fake.requests.length === 0) await new Promise((resolve) => setImmediate(resolve))
    aborting.abort()
    assert.equal((await waiting).code, 'INTERRUPTED')
    held()
    assert.equal((await failure(access().readConfiguration(AbortSignal.timeout(300)))).code, 'TIMED_OUT')
    held()
  })

  it('gets no byte of the key when it shows another certificate than the pinned one', async () => {
    const other = await makeCertificate()
    const error = await failure(access({ fingerprint: other.fingerprint }).readConfiguration())
    assert.equal(error.code, 'GUEST_CERTIFICATE_CHANGED')
    assert.ok(error.message.includes(certificate.fingerprint) && error.message.includes(other.fingerprint))
    assert.equal(fake.requests.length, 0)
  })

  it('is known by the certificate that its console shows, among other lines', () => {
    assert.equal(
      fingerprintOfPem(`cat: warning\r\n${certificate.cert.replaceAll('\n', '\r\n')}`),
      certificate.fingerprint,
    )
    assert.equal(fingerprintOfPem(certificate.key), undefined)
    assert.equal(fingerprintOfPem('-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'), undefined)
  })

  it('is told from what is none: nobody there, no TLS, a web server without it', async () => {
    const plain = createServer((socket) => socket.resume().end('SSH-2.0-dropbear\r\n')).listen(0, '127.0.0.1')
    try {
      await new Promise((resolve) => plain.once('listening', resolve))
      const address = plain.address()
      assert.ok(address !== null && typeof address === 'object')
      const nobody = () => failure(access({ port: address.port }).readConfiguration())
      assert.equal((await nobody()).code, 'GUEST_API_UNREACHABLE')
      await new Promise((resolve) => plain.close(resolve))
      assert.equal((await nobody()).code, 'GUEST_API_UNREACHABLE')
    } finally {
      plain.close()
    }
    for (const [status, body, code] of [
      [502, '<html>502 Bad Gateway</html>', 'GUEST_NOT_READY'],
      [404, { detail: 'Not Found' }, 'GUEST_NOT_READY'],
      [200, '<html>\u001b[2J</html>', 'GUEST_API_LOST'],
      [200, { success: 'yes' }, 'GUEST_API_LOST'],
      [200, [], 'GUEST_API_LOST'],
      [500, { success: false, error: 'An internal error occured.', data: null }, 'GUEST_NOT_READY'],
      [200, { success: true, data: 'no tree', error: null }, 'GUEST_NOT_READY'],
      [200, { success: true, data: { a: [1] }, error: null }, 'GUEST_NOT_READY'],
    ] as const) {
      fake.fault = (_request, response) => {
        response.writeHead(status)
        response.end(typeof body === 'string' ? body : JSON.stringify(body))
        return true
      }
      const error = await failure(access().readConfiguration())
      assert.equal(error.code, code, `${status} ${JSON.stringify(body)}: ${error.message}`)
      assert.ok(!error.message.includes('\u001b'))
    }
  })
})

describe('a configuration of VyOS’s HTTP API', () => {
  it('is read into paths: values, lists, empty nodes, any name', () => {
    const tree: unknown = JSON.parse('{"a": {"b": "1", "c": ["2", "3"], "d": {}}, "__proto__": {"e": "4"}, "f": {}}')
    assert.deepEqual(parseConfigTree(tree), [
      ['a', 'b', '1'],
      ['a', 'c', '2'],
      ['a', 'c', '3'],
      ['a', 'd'],
      ['__proto__', 'e', '4'],
      ['f'],
    ])
  })

  it('may be any JSON: it is read or refused', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 8 }), (value) => {
        try {
          for (const path of parseConfigTree(value)) assert.ok(path.every((word) => typeof word === 'string'))
        } catch (error) {
          if (!isVmrError(error) || error.code !== 'GUEST_NOT_READY') throw error
        }
      }),
      { numRuns: 2000 },
    )
    const deep: unknown = JSON.parse(`${'{"a":'.repeat(5000)}{}${'}'.repeat(5000)}`)
    assert.throws(() => parseConfigTree(deep), { code: 'GUEST_NOT_READY', message: /more than 64 words/ })
  })
})
