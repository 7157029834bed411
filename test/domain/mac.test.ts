import assert from 'node:assert/strict'
import fc from 'fast-check'
import { assignMacs, low24, macPrefix } from '../../src/domain/mac.ts'

const noMacs = (count: number) => Array.from({ length: count }, () => ({}))
const macEnd = (mac: string) => Number.parseInt(mac.replaceAll(':', '').slice(6), 16)

describe('MAC addresses of a VM', () => {
  it('are the same every time for one name and position, and others for others', () => {
    const request = { vmName: 'r1', nics: noMacs(2), addresses: [] }
    const [first, second] = assignMacs(request)
    assert.deepEqual(assignMacs(request), [first, second])
    assert.notEqual(first, second)
    assert.equal(assignMacs({ ...request, nics: noMacs(5) })[0], first)
    assert.notEqual(assignMacs({ ...request, vmName: 'r2' })[0], first)
  })

  it('never end like an address of the configuration or another NIC, whose multicast group would hide a lost one', () => {
    fc.assert(
      fc.property(
        fc.string({ minLength: 1 }),
        fc.integer({ min: 1, max: 16 }),
        fc.array(fc.oneof(fc.ipV4(), fc.ipV6()), { maxLength: 8 }),
        (vmName, count, addresses) => {
          // An address that ends like the MAC that would be given otherwise is the case that matters.
          const free = assignMacs({ vmName, nics: noMacs(count), addresses: [] })
          const hostile = free.map((mac) => {
            const [, , , a, b, c] = mac.split(':')
            return `2001:db8::${a}:${b}${c}/64`
          })
          const macs = assignMacs({ vmName, nics: noMacs(count), addresses: [...addresses, ...hostile] })
          const ends = macs.map(macEnd)
          assert.equal(new Set(ends).size, count)
          for (const address of [...addresses, ...hostile]) assert.ok(!ends.includes(low24(address)))
          for (const mac of macs) assert.match(mac, new RegExp(`^${macPrefix}(:[0-9a-f]{2}){3}$`))
        },
      ),
    )
  })

  it('ascend in guest order, so that a bridge in the guest takes the first one whatever the VM is called', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), fc.integer({ min: 2, max: 16 }), (vmName, count) => {
        const macs = assignMacs({ vmName, nics: noMacs(count), addresses: [] })
        assert.deepEqual(macs.toSorted(), macs)
      }),
    )
  })

  it('are kept where the definition sets them, and a derived one keeps clear of those', () => {
    const [derived] = assignMacs({ vmName: 'r1', nics: noMacs(1), addresses: [] })
    const given = `02:00:00:${derived?.slice(9)}`.toUpperCase()
    const [first, second] = assignMacs({ vmName: 'r1', nics: [{}, { mac: given }], addresses: [] })
    assert.equal(second, given.toLowerCase())
    assert.notEqual(first, derived)
  })

  it('are refused when two NICs are given the same', () => {
    const nics = [{ mac: '52:54:00:00:00:aa' }, { mac: '52:54:00:00:00:AA' }]
    assert.throws(() => assignMacs({ vmName: 'r1', nics, addresses: [] }), {
      code: 'CONFIG_INVALID',
      message: 'two NICs of r1 have the MAC address 52:54:00:00:00:aa',
    })
  })

  for (const [address, bits] of [
    ['10.1.2.3/24', 0x010203],
    ['2001:db8::1', 0x000001],
    ['2001:db8::ab:cdef/64', 0xabcdef],
    ['2001:db8:1:2:3:4:1206:7', 0x060007],
    ['1:2:3:4:5:6:7::', 0x070000],
    ['::', 0],
    ['fe80::1%eth0', 1],
    ['::ffff:192.0.2.9', 0x000209],
  ] as const) {
    it(`know the low 24 bits of ${address}`, () => {
      assert.equal(low24(address), bits)
    })
  }
})
