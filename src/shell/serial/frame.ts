import { createHash } from 'node:crypto'
import { type ConsoleLine, kernelMessage } from './console.ts'

const kernelLine = new RegExp(`^${kernelMessage.source}.*\n`, 'gm')

/** What one command left behind in the guest, as it came over the line. */
export type Frame =
  | { readonly kind: 'whole'; readonly exitCode: number | undefined; readonly stdout: Buffer; readonly stderr: Buffer }
  /** Sizes in bytes; the guest did not send the contents. */
  | { readonly kind: 'tooLarge'; readonly stdoutBytes: number; readonly stderrBytes: number }
  /** It came, but not as it was sent: a kernel message in between, or bytes that a terminal changes. */
  | { readonly kind: 'damaged' }

/** Collects one frame out of the lines of a console. */
export interface FrameReader {
  /** The frame, once its last line has come. */
  line(line: ConsoleLine): Frame | undefined
  /** True between the first line of the frame and its last: only there lines are a command's output. */
  inside(): boolean
}

/**
 * @param word what every frame line starts with
 * @param frame the number of the frame waited for; others are passed over
 * @param encoding how the guest was asked to send it; with base64 any bytes survive the terminal
 */
export function createFrameReader(
  word: string,
  frame: number,
  encoding: 'plain' | 'base64',
  maxBytes: number,
): FrameReader {
  const begin = `${word} begin ${frame}`
  const middle = `${word} middle ${frame}`
  const end = `${word} end ${frame} `
  // base64 adds a third and a line end to every 57 bytes; two streams.
  const maxLength = 2 * (Math.ceil(maxBytes * 1.4) + 1024)
  let part: string[] | undefined
  let stdout: string[] | undefined
  let length = 0

  const bytesOf = (pieces: readonly string[] | undefined, size: number, digest: string): Buffer | undefined => {
    // The line end before the next frame line is the frame's own.
    const text = (pieces ?? []).join('').slice(0, -1)
    // A line of the kernel's may be output (of dmesg) or have come in between: the digest decides.
    for (const candidate of [text, `${text}\n`.replaceAll(kernelLine, '').slice(0, -1)]) {
      const bytes = Buffer.from(candidate, encoding === 'base64' ? 'base64' : 'utf8')
      if (bytes.length === size && createHash('sha256').update(bytes).digest('hex') === digest) return bytes
    }
    return undefined
  }

  return {
    inside: () => part !== undefined,
    line({ text, ended }) {
      if (text.startsWith(word)) {
        if (text === begin) {
          part = []
          stdout = undefined
          length = 0
          return undefined
        }
        if (text === middle && part !== undefined) {
          stdout = part
          part = []
          return undefined
        }
        if (text.startsWith(end)) {
          const [exitCode, stdoutSize, stderrSize, stdoutDigest = '', stderrDigest = ''] = text
            .slice(end.length)
            .split(' ')
          const stdoutBytes = Number(stdoutSize)
          const stderrBytes = Number(stderrSize)
          if (stdoutBytes > maxBytes || stderrBytes > maxBytes) return { kind: 'tooLarge', stdoutBytes, stderrBytes }
          const out = bytesOf(stdout, stdoutBytes, stdoutDigest)
          const err = bytesOf(part, stderrBytes, stderrDigest)
          if (out === undefined || err === undefined) return { kind: 'damaged' }
          return { kind: 'whole', exitCode: exitCode === '-' ? undefined : Number(exitCode), stdout: out, stderr: err }
        }
      }
      if (part !== undefined && length <= maxLength) {
        length += text.length + 1
        part.push(text, ended ? '\n' : '')
      }
      return undefined
    },
  }
}
