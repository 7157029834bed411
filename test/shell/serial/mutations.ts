import { receivedBytes } from './recording.ts'

/** How many mutated transcripts each fuzz test takes: a few seconds' worth, or as many as VMR_TEST_FUZZ_RUNS says. */
export function fuzzRuns(usual: number): number {
  const wanted = Number(process.env.VMR_TEST_FUZZ_RUNS ?? usual)
  if (!Number.isInteger(wanted) || wanted < 1) throw new Error('VMR_TEST_FUZZ_RUNS must be a whole number')
  return wanted
}

export interface Random {
  /** A whole number from 0 up to, not including, the limit. */
  below(limit: number): number
  oneOf<T>(values: readonly [T, ...T[]]): T
}

/** The same numbers for the same seed (mulberry32), so that a failing run can be run again by itself. */
export function randomFrom(seed: number): Random {
  let state = Math.imul(seed + 1, 0x9e3779b1)
  const below = (limit: number) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit
  }
  return { below, oneOf: (values) => values[below(values.length)] ?? values[0] }
}

/** What a console can say at any moment, whole or cut. */
const pieces: readonly [string, ...string[]] = [
  'Password:',
  ...['vyos login: ', 'Password: ', 'Login incorrect\r\n', 'vyos@vyos:~$ ', '[edit]\r\r\nvyos@vyos# ', '> ', '\n:'],
  ...['\x1b[7m(END)\x1b[27m\x1b[K', 'lines 1-23', '--More--', 'Display all 161 possibilities? (y or n)\x07'],
  ...['[   12.345678] eth0: link up\r\n', '\r\n[ 1234.000001][    T7] x', '[  9.', 'Linux version 6.1.0\r\n'],
  ...['GNU GRUB\r\n', 'New password: ', 'logout\r\n', 'Last login: Mon Nov 23', "vyos's password: "],
  ...['\r', '\r\r\n', '\n', '\b \b', '\x1b[', '\x1b]0;title\x07', '\x1bP', '\x9b', '\0\0', '\x1b[6n', '\x1b(0'],
  ...['\u{1f600}', '\xe2\x94', '\x07', '\t', ' '.repeat(300), 'x'.repeat(5000), '['.repeat(600), '\x1b['.repeat(200)],
  ...['Cannot exit: configuration modified.\r\n', 'Starting VyOS router: migrate configure failed!\r\n'],
]

/** A part of a real console's bytes, changed in up to six places. */
export function mutatedTranscript(random: Random, maxLength = 2000): Buffer {
  const start = random.below(receivedBytes.length)
  let bytes: Buffer = Buffer.from(receivedBytes.subarray(start, start + random.below(maxLength)))
  for (let change = random.below(7); change > 0; change -= 1) bytes = mutated(random, bytes)
  return bytes
}

export function mutated(random: Random, bytes: Buffer): Buffer {
  const at = random.below(bytes.length + 1)
  const end = Math.min(bytes.length, at + random.below(200))
  const [before, middle, after] = [bytes.subarray(0, at), bytes.subarray(at, end), bytes.subarray(end)]
  switch (random.below(7)) {
    case 0: {
      const flipped = Buffer.from(bytes)
      if (bytes.length > 0) flipped[random.below(bytes.length)] = random.below(256)
      return flipped
    }
    case 1:
      return Buffer.concat([before, after])
    case 2:
      return Buffer.concat([before, middle, middle, after])
    case 3: {
      const piece = Buffer.from(random.oneOf(pieces))
      return Buffer.concat([before, piece.subarray(0, 1 + random.below(piece.length)), middle, after])
    }
    case 4:
      return Buffer.concat([before, Buffer.from(random.oneOf(pieces)), middle, after])
    case 5:
      return Buffer.concat([
        before,
        Buffer.from(Array.from({ length: random.below(40) }, () => random.below(256))),
        middle,
        after,
      ])
    default:
      return Buffer.concat([before, after, middle])
  }
}
