/** Anything XML 1.0 forbids in a document (production 2, Char): most controls, lone surrogates, U+FFFE and U+FFFF. */
const forbidden = /[^\t\n\r\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]/u

/** Index of the first character that no XML 1.0 document may hold, -1 if there is none. */
export function forbiddenCharacterIndex(text: string): number {
  return text.search(forbidden)
}

/** "U+0001", for messages: the character itself may not be printable. */
export function codePointName(text: string, index: number): string {
  return `U+${(text.codePointAt(index) ?? 0).toString(16).toUpperCase().padStart(4, '0')}`
}

const nameStart = String.raw`[\p{L}_]`
const namePart = String.raw`[\p{L}\p{N}\p{M}_.\-\u00B7]*`
const qualifiedName = new RegExp(`^${nameStart}${namePart}(?::${nameStart}${namePart})?$`, 'u')

/** Namespaces in XML 1.0, production 7 (QName); names that JavaScript objects give a meaning of their own are left out. */
export function isXmlName(name: string): boolean {
  return qualifiedName.test(name) && !(name in Object.prototype)
}
