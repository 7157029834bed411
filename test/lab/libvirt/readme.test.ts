import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { execa } from 'execa'
import { type Connection, connect, type Domain } from '../../../src/libvirt/index.ts'
import { type TestDomain, testDomain } from './test-domain.ts'

const readme = new URL('../../../src/libvirt/README.md', import.meta.url)
const library = new URL('../../../src/libvirt/index.ts', import.meta.url).href

const interfaceXml = (model: string) =>
  `<interface type='ethernet'><mac address='52:54:00:12:34:57'/><model type='${model}'/></interface>`
/** Leaves a running domain at once; a NIC on PCI waits for an operating system, and this guest has none. */
const usbNic = interfaceXml('usb-net')

async function examples(): Promise<readonly string[]> {
  const text = await readFile(readme, 'utf8')
  return [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code = '']) => code)
}

/** Runs the example that has these words, after what it takes as given and before what it leaves to the reader. */
async function runExample(
  words: string,
  { before = '', after = '', typed = '', untilShown = /^/ } = {},
): Promise<string> {
  const found = (await examples()).find((code) => code.includes(words))
  assert.ok(found !== undefined, `no example has ${words}`)
  const code = `${before}\n${found}\n${after}`.replaceAll("'./index.ts'", JSON.stringify(library))
  const child = execa(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', code], {
    stdin: 'pipe',
    timeout: 20_000,
  })
  let shown = ''
  // What is typed before the guest listens is lost.
  const typing = setInterval(() => child.stdin.write(typed), 500)
  const endOnceShown = () => {
    if (!untilShown.test(shown)) return
    clearInterval(typing)
    child.stdin.end()
  }
  child.stdout.on('data', (chunk: Buffer) => {
    shown += chunk.toString('latin1')
    endOnceShown()
  })
  endOnceShown()
  await child.finally(() => clearInterval(typing))
  return shown
}

describe('the examples of the libvirt bindings’ README', function () {
  this.timeout(30_000)
  let connection: Connection
  let test: TestDomain
  let xml: string
  before(async () => {
    connection = await connect('qemu:///system')
    test = await testDomain(connection)
    // The example's net0 and vnet0 are those of a NIC that comes later.
    xml = (await connection.domainXml(test.domain)).replace(/<interface.*<\/interface>/s, '')
  })
  beforeEach(() => connection.defineDomain(xml))
  after(async () => {
    await test?.remove()
    await connection?.close()
  })

  const connected = (start: Domain) => `
    import { connect } from './index.ts'
    const connection = await connect('qemu:///system')
    const interfaceXml = ${JSON.stringify(usbNic)}
    const signal = AbortSignal.timeout(20_000)
    const domain = await connection.createDomain(${JSON.stringify(start)})
  `
  const closed = `
    await connection.destroyDomain(domain)
    await connection.close()
  `

  // First, for libvirt numbers its taps from vnet0 and takes no number twice.
  it('define, start, change and remove a domain', () =>
    runExample('attachDevice', {
      before: `const xml = ${JSON.stringify(xml)}; const interfaceXml = ${JSON.stringify(interfaceXml('virtio'))}`,
      after: 'await connection.close()',
    }))

  it('list the domains and their states', async () => {
    assert.equal(await runExample('listAllDomains'), `${test.domain.name}: shutoff (unknown)\n`)
  })

  it('wait for a NIC to leave a running domain', () =>
    runExample('device-removed', {
      before: `${connected(test.domain)}; await connection.attachDevice(domain, interfaceXml, { live: true })`,
      after: closed,
    }))

  it('show a serial console', async () => {
    const shown = await runExample('openConsole', {
      before: connected(test.domain),
      after: `await new Promise((resolve) => console.once('close', resolve)); ${closed}`,
      typed: '\u001b',
      untilShown: /Select boot device/,
    })
    assert.match(shown, /Select boot device/)
  })
})
