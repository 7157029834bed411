import assert from 'node:assert/strict'
import fc from 'fast-check'
import { FrameError, frameReader } from '../../src/libvirt/frame-reader.ts'

function frame(payload: Uint8Array): Buffer {
  const bytes = Buffer.alloc(28 + payload.length)
  bytes.writeUInt32BE(bytes.length, 0)
  bytes.set(payload, 28)
  return bytes
}

/** Cuts bytes at the given places. */
function chunksOf(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const places = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b)
  return [0, ...places].map((start, index) => bytes.subarray(start, places[index] ?? bytes.length))
}

describe('frame reader', () => {
  it('finds the same messages however the bytes are cut', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 12 }),
        fc.array(fc.nat(5000), { maxLength: 40 }),
        (payloads, cuts) => {
          const sent = payloads.map(frame)
          const received: string[] = []
          const read = frameReader((message) => received.push(message.toString('hex')))
          for (const chunk of chunksOf(Buffer.concat(sent), cuts)) read(chunk)
          assert.deepEqual(
            received,
            sent.map((each) => each.toString('hex')),
          )
        },
      ),
    )
  })

  it('survives a slow drip, byte by byte', () => {
    const sent = frame(Buffer.alloc(200_000, 7))
    let received: Buffer | undefined
    const read = frameReader((message) => {
      received = Buffer.from(message)
    })
    for (const byte of sent) {
      assert.equal(received, undefined)
      read(Buffer.from([byte]))
    }
    assert.deepEqual(received, sent)
  })

  for (const length of [0, 4, 27, 33_554_437, 0x7fff_ffff, 0xffff_ffff]) {
    it(`refuses a message that claims ${length} bytes`, () => {
      const bytes = Buffer.alloc(28)
      bytes.writeUInt32BE(length, 0)
      assert.throws(() => frameReader(() => {})(bytes), FrameError)
      const inParts = frameReader(() => {})
      inParts(bytes.subarray(0, 2))
      assert.throws(() => inParts(bytes.subarray(2)), FrameError)
    })
  }

  it('allocates by what arrives, not by what a message claims', () => {
    const before = process.memoryUsage().arrayBuffers
    const readers = Array.from({ length: 20 }, () => frameReader(() => assert.fail('no message is complete')))
    const start = Buffer.alloc(1000)
    start.writeUInt32BE(33_554_436, 0)
    for (const read of readers) read(start)
    assert.ok(process.memoryUsage().arrayBuffers - before < 20 * 200_000)
  })
})
