import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { VmrError } from '../../src/errors/vmr-error.ts'
import { isShaped, shapingArguments } from '../../src/testbed/lab/shaping.ts'
import { pcMachines } from '../../src/testbed/machine.ts'
import { loadTestbed, withPrefix } from '../../src/testbed/testbed.ts'

describe('a testbed', () => {
  let directory: string
  let text: string
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'vmr-testbed-'))
    text = await readFile(new URL('../../testbeds/lab.yaml', import.meta.url), 'utf8')
  })
  after(() => rm(directory, { recursive: true }))

  const refuses = async (from: string | RegExp, to: string, pattern: RegExp) => {
    const changed = text.replace(from, to)
    assert.notEqual(changed, text)
    const path = join(directory, 'bad.yaml')
    await writeFile(path, changed)
    await assert.rejects(loadTestbed(path), (error: unknown) => {
      assert.ok(error instanceof VmrError && error.code === 'CONFIG_INVALID', String(error))
      assert.match(error.message, pattern)
      return true
    })
  }

  it('is the lab of the talk: two uplinks, two PCs, its addresses', async () => {
    const { links } = await loadTestbed('lab')
    assert.deepEqual(
      links.map(({ uplink, dut, pc }) => [uplink, ...dut.addresses.slice(0, 2), pc.name, ...pc.addresses]),
      [
        ['vmr-up1', '192.168.1.1/24', '2001:db8:dead:beaf::1/64', 'pc1', '192.168.1.2/24', '2001:db8:dead:beaf::2/64'],
        ['vmr-up2', '192.168.2.1/24', '2001:db8:dead:cafe::1/64', 'pc2', '192.168.2.2/24', '2001:db8:dead:cafe::2/64'],
      ],
    )
  })

  it('has PCs that are reached through their namespaces', async () => {
    const machines = pcMachines(await loadTestbed('lab'))
    assert.deepEqual(
      machines.map(({ name, shell, os, interfaceName }) => [name, shell.description, os.kind, interfaceName]),
      [
        ['pc1', 'network namespace vmr-pc1', 'linux', 'eth0'],
        ['pc2', 'network namespace vmr-pc2', 'linux', 'eth0'],
      ],
    )
  })

  it('can stand beside itself under another prefix', async () => {
    const lab = withPrefix(await loadTestbed('lab'), 'vmrt')
    assert.deepEqual(
      lab.links.flatMap(({ uplink, bridge, pc }) => [uplink, bridge, pc.shell.name]),
      ['vmrt-up1', 'vmrt-br1', 'vmrt-pc1', 'vmrt-up2', 'vmrt-br2', 'vmrt-pc2'],
    )
  })

  it('is refused with file, line and field when an address would hide a lost group', () =>
    refuses(
      'mac: 02:76:6d:72:50:01',
      'mac: 02:76:6d:00:00:02',
      /bad\.yaml:\d+:\d+: .*addresses\[1\].*24 bits as the MAC/,
    ))

  it('is refused when two links share a name, a MAC or an address', async () => {
    await refuses('uplink: vmr-up2', 'uplink: vmr-up1', /links\[1\]\.uplink: vmr-up1 is there twice/)
    await refuses('bridge: vmr-br2', 'bridge: vmr-up1', /links\[1\]\.bridge: vmr-up1 is there twice/)
    await refuses('name: vmr-pc2', 'name: vmr-pc1', /shell\.name: vmr-pc1 is there twice/)
    await refuses('72:50:02', '72:50:01', /mac: 02:76:6d:72:50:01 is there twice/)
    await refuses('192.168.2.2/24', '192.168.1.1/24', /pc\.addresses\[0\]: 192\.168\.1\.1 is there twice/)
  })

  it('is refused when a name is not vmr’s own, or no name', async () => {
    await refuses('uplink: vmr-up1', 'uplink: eth0', /uplink: must begin with vmr/)
    await refuses('name: vmr-pc1', 'name: ../vmr', /shell\.name: must be a namespace name/)
    await refuses('uplink: vmr-up1', 'uplink: vmr-a-very-long-name', /must be an interface name/)
    await refuses('mac: 02:76:6d:72:50:01', 'mac: 03:76:6d:72:50:01', /unicast/)
  })

  it('that does not exist is named with those there are', async () => {
    await assert.rejects(loadTestbed('nowhere'), (error: unknown) => {
      assert.ok(error instanceof VmrError && error.code === 'CONFIG_NOT_FOUND')
      assert.match(`${error.message} ${error.hint}`, /"nowhere" among the testbeds Known: lab/)
      return true
    })
  })
})

describe('the shaping of a link', () => {
  it('counts every byte that a frame takes on the wire', () => {
    assert.match(shapingArguments(1000).join(' '), /^tbf rate 1000mbit burst \d+ latency 10ms overhead 24 mpu 84$/)
  })

  it('is recognised by its rate', () => {
    const tbf = { kind: 'tbf', root: true, options: { rate: 125000000, overhead: 24, burst: '32750b/1' } }
    assert.equal(isShaped([tbf], 1000), true)
    assert.equal(isShaped([tbf], 100), false)
    assert.equal(isShaped([{ ...tbf, options: { rate: 125000000 } }], 1000), false)
    assert.equal(isShaped([{ kind: 'noqueue', root: true, options: {} }], 1000), false)
    assert.equal(isShaped([], 1000), false)
  })
})
