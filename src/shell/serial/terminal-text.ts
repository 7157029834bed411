/**
 * Turns the bytes of a serial line into plain text, piece by piece: UTF-8 decoded across chunk borders, terminal
 * control sequences removed (ECMA-48 section 5.4; nothing is ever answered, ESC[6n included), CR LF and CR CR LF made
 * one LF. A CR that no LF follows is kept where something stands in the line, which the next text replaces.
 */
export interface TerminalText {
  /** The text of these bytes. A trailing CR or a started control sequence is held back until its next byte decides. */
  write(bytes: Uint8Array): string
}

/** Longer than any sequence that a terminal program sends; bytes behind it are text again. */
const maxControlSequence = 256

type State = 'text' | 'escape' | 'charset' | 'csi' | 'string' | 'stringEscape'

const LF = 0x0a
const CR = 0x0d
const ESC = 0x1b
const BEL = 0x07
const TAB = 0x09

export function createTerminalText(): TerminalText {
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
  let state: State = 'text'
  let sequenceLength = 0
  let pendingReturn = false
  let lineEmpty = true

  const afterEscape = (code: number): State => {
    if (code === 0x5b) return 'csi'
    // OSC, DCS, SOS, PM and APC carry a string up to BEL or ST.
    if (code === 0x5d || code === 0x50 || code === 0x58 || code === 0x5e || code === 0x5f) return 'string'
    // 0x20-0x2f are intermediates: exactly one more byte ends "designate character set".
    return code >= 0x20 && code <= 0x2f ? 'charset' : 'text'
  }

  const inSequence = (code: number): State => {
    sequenceLength += 1
    if (sequenceLength > maxControlSequence || code === LF) return 'text'
    if (code === ESC) return state === 'string' ? 'stringEscape' : 'escape'
    switch (state) {
      case 'escape':
        return afterEscape(code)
      case 'csi':
        return code >= 0x40 && code <= 0x7e ? 'text' : 'csi'
      case 'string':
        return code === BEL ? 'text' : 'string'
      default:
        return 'text'
    }
  }

  return {
    write(bytes) {
      const decoded = decoder.decode(bytes, { stream: true })
      let out = ''
      let runStart = -1
      const endRun = (end: number) => {
        if (runStart >= 0) out += decoded.slice(runStart, end)
        runStart = -1
      }
      for (let index = 0; index < decoded.length; index += 1) {
        const code = decoded.charCodeAt(index)
        if (state !== 'text') {
          state = inSequence(code)
          if (state === 'text' && code === LF) {
            out += '\n'
            pendingReturn = false
            lineEmpty = true
          }
          continue
        }
        if (code >= 0x20 && code !== 0x7f && !(code >= 0x80 && code <= 0x9f)) {
          if (runStart < 0) {
            if (pendingReturn && !lineEmpty) out += '\r'
            pendingReturn = false
            lineEmpty = false
            runStart = index
          }
          continue
        }
        endRun(index)
        if (code === CR) {
          pendingReturn = true
        } else if (code === LF) {
          pendingReturn = false
          lineEmpty = true
          out += '\n'
        } else if (code === TAB) {
          out += pendingReturn && !lineEmpty ? '\r\t' : '\t'
          pendingReturn = false
          lineEmpty = false
        } else if (code === ESC) {
          state = 'escape'
          sequenceLength = 0
        }
      }
      endRun(decoded.length)
      return out
    },
  }
}
