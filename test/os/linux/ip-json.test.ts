import assert from 'node:assert/strict'
import fc from 'fast-check'
import { VmrError } from '../../../src/errors/vmr-error.ts'
import { normalizeAddress } from '../../../src/os/address-text.ts'
import { readLinks, readMulticastGroups, readNeighbours, readRoutes } from '../../../src/os/linux/ip-json.ts'
import { linuxOs } from '../../../src/os/linux/linux-os.ts'
import type { Shell } from '../../../src/shell/shell.ts'

/** A fake machine whose every command prints the same: for output that no real one would print on demand. */
function printing(stdout: string, stderr = '', exitCode = 0): Shell {
  return {
    description: 'a fake machine',
    run: async () => ({ stdout, stderr, exitCode, durationMs: 0 }),
    start: () => assert.fail('nothing is started'),
    writeFile: () => assert.fail('nothing is written'),
  }
}

const address = { family: 'inet6', local: '2001:db8::1', prefixlen: 64, scope: 'global' }
const link = {
  ifindex: 3,
  ifname: 'eth0',
  flags: ['BROADCAST', 'UP', 'LOWER_UP'],
  mtu: 1500,
  link_type: 'ether',
  address: '02:00:00:00:00:01',
  promiscuity: 1,
  allmulti: 2,
  addr_info: [
    { ...address, tentative: true },
    {},
    { ...address, local: '2001:db8::2', dadfailed: true, tentative: true },
  ],
}

describe('what iproute2 prints', () => {
  it('tells which addresses are tentative and which are duplicates', async () => {
    const { interfaces } = await linuxOs.observe({
      ...printing(''),
      run: async (argv) => ({
        stdout: argv.includes('neighbour') ? '' : JSON.stringify([{}, link]),
        stderr: '',
        exitCode: 0,
        durationMs: 0,
      }),
    })
    const [eth0] = interfaces
    assert.deepEqual(
      eth0?.addresses.map(({ address, tentative, duplicate }) => [address, tentative, duplicate]),
      [
        ['2001:db8::1', true, false],
        ['2001:db8::2', true, true],
      ],
    )
    assert.deepEqual([eth0?.promiscuity, eth0?.allMulticast, eth0?.carrier, eth0?.adminUp], [1, 2, true, true])
  })

  it('is no rows when nothing is printed', async () => {
    assert.deepEqual(await readLinks(printing('')), [])
    assert.deepEqual(await readNeighbours(printing('\n')), [])
    assert.deepEqual(await readRoutes(printing('[ ]'), 'ipv6'), [])
    assert.equal((await readMulticastGroups(printing(''))).size, 0)
  })

  it('is no link when there is none of the name, and an error when the command failed otherwise', async () => {
    assert.deepEqual(await readLinks(printing('', 'Device "x" does not exist.', 1), { name: 'x' }), [])
    await assert.rejects(readLinks(printing('', 'Segmentation fault', 139), { name: 'x' }), /Segmentation fault/)
  })

  it('keeps the entries that a neighbour query for one device leaves the device out of', async () => {
    const rows = JSON.stringify([{ dst: 'fe80::1', lladdr: '02:00:00:00:00:01', state: ['STALE'] }])
    assert.equal((await readNeighbours(printing(rows), { name: 'eth0' }))[0]?.dev, 'eth0')
  })

  it('makes one clear error of anything else, and never crashes', async () => {
    const isClear = (error: unknown) =>
      error instanceof VmrError && error.code === 'HOST_COMMAND_FAILED' && /a fake machine/.test(error.message)
    await assert.rejects(readLinks(printing('not JSON')), isClear)
    await assert.rejects(readLinks(printing('[{"ifname":"eth0"}]')), isClear)
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.string(),
          fc.jsonValue().map((value) => JSON.stringify(value)),
        ),
        async (text) => {
          for (const read of [readLinks, readNeighbours, readMulticastGroups]) {
            try {
              await read(printing(text))
            } catch (error) {
              assert.ok(isClear(error), String(error))
            }
          }
        },
      ),
    )
  })
})

describe('an address', () => {
  it('is the same text however it is written', () => {
    assert.equal(normalizeAddress('2001:DB8:0:0::0:1/064'), '2001:db8::1/64')
    assert.equal(normalizeAddress('::ffff:192.0.2.1'), '::ffff:c000:201')
    assert.equal(normalizeAddress('192.0.2.1/24'), '192.0.2.1/24')
  })

  it('keeps its value', () => {
    fc.assert(
      fc.property(fc.ipV6(), (text) => {
        assert.equal(normalizeAddress(normalizeAddress(text)), normalizeAddress(text))
        assert.equal(new URL(`http://[${text}]`).hostname, new URL(`http://[${normalizeAddress(text)}]`).hostname)
      }),
    )
  })
})
