import { Duplex } from 'node:stream'

/** A console whose guest does what a test says: for what a real guest does not do on demand. */
export interface FakeGuest {
  readonly stream: Duplex
  /** What has been typed so far. */
  typed(): string
  says(bytes: Uint8Array | string): void
  ends(): void
}

/** @param onTyped called with each write; whatever it says comes in a later turn of the event loop, as on a real line */
export function fakeGuest(onTyped: (text: string, guest: FakeGuest) => void = () => {}): FakeGuest {
  let typed = ''
  const stream = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      const text = chunk.toString('utf8')
      typed += text
      setImmediate(() => onTyped(text, guest))
      done()
    },
  })
  const guest: FakeGuest = {
    stream,
    typed: () => typed,
    says: (bytes) => {
      if (!stream.destroyed) stream.push(typeof bytes === 'string' ? Buffer.from(bytes, 'utf8') : bytes)
    },
    ends: () => stream.push(null),
  }
  return guest
}
