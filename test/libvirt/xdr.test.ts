import assert from 'node:assert/strict'
import fc from 'fast-check'
import { procedures } from '../../src/libvirt/protocol/procedures.ts'
import { domain, type TypedParameter, typedParameter } from '../../src/libvirt/protocol/types.ts'
import {
  array,
  bool,
  charArray,
  counter,
  decode,
  encode,
  hyper,
  int,
  nullable,
  opaque,
  string,
  stringLimit,
  struct,
  ucounter,
  uhyper,
  uint,
  uuid,
  type Xdr,
  XdrError,
} from '../../src/libvirt/protocol/xdr.ts'

const limit = 33_554_432

function travels<T>(codec: Xdr<T>, values: fc.Arbitrary<T>): void {
  fc.assert(
    fc.property(values, (value) => {
      const bytes = encode(codec, value, limit)
      assert.equal(bytes.length % 4, 0)
      assert.deepEqual(decode(codec, bytes), value)
    }),
  )
}

const int32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 })
const uint32 = fc.integer({ min: 0, max: 2 ** 32 - 1 })
const text = fc.string({ unit: 'grapheme' }).filter((value) => !value.includes('\0'))
const uuidText = fc.uuid()
const plain = { noNullPrototype: true } as const
const domainValue = fc.record({ name: text, uuid: uuidText, id: int32 }, plain)
const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })
const uint64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })

describe('XDR codec', () => {
  it('brings every type back as it was sent', () => {
    travels(int, int32)
    travels(uint, uint32)
    travels(hyper, int64)
    travels(uhyper, uint64)
    travels(counter, fc.maxSafeInteger())
    travels(ucounter, fc.maxSafeNat())
    travels(bool, fc.boolean())
    travels(string, text)
    travels(uuid, uuidText)
    travels(nullable(string), fc.option(text))
    travels(array(int, 100), fc.array(int32, { maxLength: 100 }))
    travels(
      struct({ a: int, b: string, c: nullable(uint) }),
      fc.record({ a: int32, b: text, c: fc.option(uint32) }, plain),
    )
    travels(domain, domainValue)
    travels(charArray(32), fc.string({ maxLength: 32, unit: fc.constantFrom(...'abcXYZ-_ 019') }))
  })

  it('brings bytes back as they were sent', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (value) => {
        const codec = opaque(300)
        assert.deepEqual(Buffer.from(decode(codec, encode(codec, value, limit))), Buffer.from(value))
      }),
    )
  })

  it('brings typed parameters of all seven types back', () => {
    const parameter: fc.Arbitrary<TypedParameter> = fc.oneof(
      fc.record({ field: text, type: fc.constant('int' as const), value: int32 }, plain),
      fc.record({ field: text, type: fc.constant('uint' as const), value: uint32 }, plain),
      fc.record({ field: text, type: fc.constant('llong' as const), value: int64 }, plain),
      fc.record({ field: text, type: fc.constant('ullong' as const), value: uint64 }, plain),
      fc.record({ field: text, type: fc.constant('double' as const), value: fc.double() }, plain),
      fc.record({ field: text, type: fc.constant('boolean' as const), value: fc.boolean() }, plain),
      fc.record({ field: text, type: fc.constant('string' as const), value: text }, plain),
    )
    travels(array(typedParameter, 64), fc.array(parameter, { maxLength: 20 }))
  })

  it('encodes as RFC 4506 says', () => {
    assert.equal(encode(int, -2, limit).toString('hex'), 'fffffffe')
    assert.equal(encode(hyper, 1n, limit).toString('hex'), '0000000000000001')
    assert.equal(encode(string, 'sillyprog', limit).toString('hex'), '0000000973696c6c7970726f67000000')
    assert.equal(encode(nullable(int), null, limit).toString('hex'), '00000000')
    assert.equal(encode(charArray(2), 'A', limit).toString('hex'), '0000004100000000')
  })

  it('refuses values that do not fit, and strings that C would cut short', () => {
    assert.throws(() => encode(int, 2 ** 31, limit), XdrError)
    assert.throws(() => encode(int, 0.5, limit), XdrError)
    assert.throws(() => encode(uint, -1, limit), XdrError)
    assert.throws(() => encode(uhyper, -1n, limit), XdrError)
    assert.throws(() => encode(counter, Number.NaN, limit), XdrError)
    assert.throws(() => encode(string, 'r1\0evil', limit), XdrError)
    assert.throws(() => encode(string, 'x'.repeat(stringLimit + 1), limit), XdrError)
    assert.throws(() => encode(uuid, 'not-a-uuid', limit), XdrError)
    assert.throws(() => encode(opaque(2), new Uint8Array(3), limit), XdrError)
    assert.throws(() => encode(array(int, 1), [1, 2], limit), XdrError)
    assert.throws(() => encode(array(string, 20), Array(9).fill('x'.repeat(stringLimit)), limit), /larger than/)
  })

  it('allocates nothing for a count or a length that the message cannot hold', () => {
    const before = process.memoryUsage()
    for (let round = 0; round < 1000; round++) {
      assert.throws(() => decode(array(int, 0xffff_ffff), Buffer.from('fffffff000000001', 'hex')), XdrError)
      assert.throws(() => decode(string, Buffer.from('003fffff41414141', 'hex')), XdrError)
      assert.throws(() => decode(string, Buffer.from('7fffffff41414141', 'hex')), XdrError)
      assert.throws(() => decode(opaque(33_554_432), Buffer.from('01ffffff41414141', 'hex')), XdrError)
    }
    const after = process.memoryUsage()
    assert.ok(after.arrayBuffers - before.arrayBuffers < 1_000_000)
    assert.ok(after.heapUsed - before.heapUsed < 20_000_000)
  })

  it('refuses bytes that are left over', () => {
    assert.throws(() => decode(int, Buffer.alloc(8)), /4 bytes too many/)
  })

  it('answers arbitrary bytes as any result with a value or an XdrError, never anything else', () => {
    // Small words make lists, flags and lengths that lead deep into the structs; random bytes mostly fail at the start.
    const words = fc.array(fc.oneof(fc.nat(8), uint32), { maxLength: 60 }).map((list) => {
      const bytes = Buffer.alloc(list.length * 4)
      for (const [index, word] of list.entries()) bytes.writeUInt32BE(word, index * 4)
      return bytes
    })
    const bytes = fc.oneof(words, fc.uint8Array({ maxLength: 200 }).map(Buffer.from))
    const rows = Object.values(procedures) as { name: string; args: Xdr<unknown>; result: Xdr<unknown> }[]
    fc.assert(
      fc.property(fc.constantFrom(...rows), bytes, (row, input) => {
        for (const codec of [row.args, row.result]) {
          let value: unknown
          try {
            value = decode(codec, input)
          } catch (error) {
            assert.ok(error instanceof XdrError, `${row.name}: ${error}`)
            continue
          }
          assert.doesNotThrow(() => decode(codec, input))
          assert.notEqual(value, null)
        }
      }),
      { numRuns: 3000 },
    )
  })
})
