import { VmrError } from '../../errors/vmr-error.ts'

/**
 * One word for an interactive bash on a terminal. Printable ASCII goes in single quotes. Anything else, and the
 * characters that an interactive shell acts on before it parses (`?` and tab open VyOS's completion, `!` is history),
 * goes as `$'\xHH'` (bash manual, "ANSI-C Quoting"), so that only printable ASCII without them is ever typed.
 * Refuses NUL, which no argument can hold.
 */
export function quoteForTyping(word: string): string {
  if (word.includes('\0')) throw nulError()
  if (/^[A-Za-z0-9_@%+=:,./-]+$/.test(word)) return word
  if (/^[\x20-\x7e]*$/.test(word) && !/[?!'\\]/.test(word)) return `'${word}'`
  let quoted = "$'"
  for (const byte of Buffer.from(word, 'utf8')) {
    const plain = byte >= 0x20 && byte <= 0x7e && byte !== 0x3f && byte !== 0x21 && byte !== 0x27 && byte !== 0x5c
    quoted += plain ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, '0')}`
  }
  return `${quoted}'`
}

export function quoteArgvForTyping(argv: readonly string[]): string {
  return argv.map(quoteForTyping).join(' ')
}

/** One word for a script in a file (POSIX 2.2.2): there no shell acts on characters before it parses. Refuses NUL. */
export function quoteForScript(word: string): string {
  if (word.includes('\0')) throw nulError()
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`
}

function nulError(): VmrError {
  return new VmrError('USAGE', 'a command argument holds a NUL character, which no program can be given')
}
