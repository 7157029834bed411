/** Where the record of a console goes, and what must not be in it. */
export interface TranscriptOptions {
  /** Called with whole lines of JSON, each ending in a newline. */
  readonly write: (line: string) => void
  /** Never written: neither when typed nor when the guest echoes them. Empty ones are ignored. */
  readonly secrets?: readonly string[]
  /** The record ends with a note after this many characters. Default 16 Mi. */
  readonly maxLength?: number
  /** Milliseconds; default {@link performance.now}. */
  readonly now?: () => number
}

/** A record of one console: what was typed and what came back, each with its time in seconds since the start. */
export interface Transcript {
  received(text: string): void
  sent(text: string, options?: { readonly secret?: boolean }): void
  note(text: string): void
  /** What is typed and comes back during the task is left out, but for a note of what it was. */
  leaveOut<T>(what: string, task: () => Promise<T>): Promise<T>
  /** Writes what is held back to find secrets that two reads share. */
  end(): void
}

const mask = '********'
/** A received line is written whole, so that a secret split over two reads is still found; a longer one in pieces. */
const maxHeld = 4096
/** What VyOS prints of secrets in `show configuration commands`, plain or hashed. */
const secretSetting =
  /((?:encrypted-password|plaintext-password|pre-shared-secret|private-key|passphrase|\bkeys id \S{1,80} key)\s+)('[^'\n]+'|"[^"\n]+"|[^\s'"]+)/g

/** One JSON object a line: `{"t": seconds, "kind": "recv"|"send"|"note", "data": text}`. */
export function createTranscript(options: TranscriptOptions): Transcript {
  const now = options.now ?? (() => performance.now())
  const secrets = (options.secrets ?? []).filter((secret) => secret !== '').toSorted((a, b) => b.length - a.length)
  const longest = secrets[0]?.length ?? 0
  const start = now()
  let left = options.maxLength ?? 16 * 1024 * 1024
  let held = ''
  let leftOut = 0

  const masked = (text: string) => {
    let clean = text
    for (const secret of secrets) clean = clean.replaceAll(secret, mask)
    return clean.replace(secretSetting, `$1${mask}`)
  }
  const put = (kind: 'recv' | 'send' | 'note', data: string) => {
    if (left <= 0) return
    const t = Math.round(now() - start) / 1000
    const line = `${JSON.stringify({ t, kind, data })}\n`
    left -= line.length
    options.write(
      left > 0 ? line : `${JSON.stringify({ t, kind: 'note', data: 'the record ends here: it is full' })}\n`,
    )
  }
  const flush = (keep: number) => {
    const clean = masked(held)
    const cut = Math.max(0, clean.length - keep)
    if (cut > 0) put('recv', clean.slice(0, cut))
    held = clean.slice(cut)
  }

  return {
    received(text) {
      if (leftOut > 0) return
      held += text
      const lineEnd = held.lastIndexOf('\n') + 1
      if (lineEnd > 0) {
        const rest = held.slice(lineEnd)
        held = held.slice(0, lineEnd)
        flush(0)
        held = rest
      }
      if (held.length > maxHeld) flush(longest)
    },
    sent(text, { secret = false } = {}) {
      if (leftOut > 0) return
      flush(0)
      put('send', secret ? mask : masked(text))
    },
    note(text) {
      flush(0)
      put('note', masked(text))
    },
    async leaveOut(what, task) {
      flush(0)
      put('note', `left out: ${what}`)
      leftOut += 1
      try {
        return await task()
      } finally {
        leftOut -= 1
      }
    },
    end: () => flush(0),
  }
}
