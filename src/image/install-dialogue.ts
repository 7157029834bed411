/**
 * What `install image` of VyOS asks, and what is answered. 1.2 and 1.3 ask through the shell scripts of
 * vyatta-cfg-system (scripts/install), 1.4 and later through vyos-1x (src/op_mode/image_installer.py and
 * python/vyos/utils/io.py). A question is known by its words wherever it comes; one that is not known is never guessed.
 */

type Reply =
  /** Said on purpose, whatever the default is. */
  | 'yes'
  | 'no'
  /** Enter, for a question that shows its default. */
  | 'default'
  | 'password'
  /** The serial one, of the letters that it offers. */
  | 'serial'

const questions: readonly (readonly [words: RegExp, reply: Reply])[] = [
  // vmr's disk is empty, there is one of it, and nothing of before is on it.
  [/^Would you like to continue\?/, 'yes'],
  [/^Installation will delete all data on the drive\. Continue\?/, 'yes'],
  [/^Continue\? \(Yes\/No\)/, 'yes'],
  [/^Would you like to use all (?:the )?free space on the drive\?/, 'yes'],
  [/RAID-1 mirroring/, 'no'],
  [/^Would you like to use (?:this one|one of these)\?/, 'no'],
  [/^Would you like to (?:copy (?:data|the encrypted config) to the new image|copy SSH host keys)\?/, 'no'],
  [/^What would you like to name this image\?/, 'default'],
  [/^Which one should be used for installation\?/, 'default'],
  [/^Which file would you like as boot config\?/, 'default'],
  [/^Partition \(Auto\/Parted\/Skip\)/, 'default'],
  [/^Install the image on\?/, 'default'],
  [/^How big of a root partition should I create\?/, 'default'],
  [/^Which one should I copy to /, 'default'],
  [/^Which drive should GRUB modify the boot partition on\?/, 'default'],
  [/^Please (?:enter a|confirm) password for the "?vyos"? user(?::| \(Default: [^()]+\))$/, 'password'],
  [/^(?:Enter|Retype) (?:password for user '?vyos'?|vyos password):$/, 'password'],
  [/^What console should be used by default\?/, 'serial'],
]

/** How a question ends that waits for an answer: `[y/N] `, `(Yes/No) [No]: `, `(Default: 1) `, `[10737]MB: `. */
const complete = /(?:\[[yn]\/[yn]\]|\(Default: [^()]+\)|\](?:MB)?:|[:?]|\(Yes\/No\) \[(?:Yes|No)\])\s*$/i

/** What the scripts of 1.2 and 1.3 write before something that takes long; the line goes on when it is done. */
const working = /^(?:Probing drives|Creating filesystem on \S+|Setting up grub|Looking for [\w\s]+):/

export type Answer =
  | { readonly kind: 'answer'; readonly text: string; readonly secret: boolean }
  /** Waits for something that vmr does not know the answer to. */
  | { readonly kind: 'unknown' }

/**
 * @param standing the last line of the console, not ended
 * @returns undefined for what is no whole question: output, or a question of which the rest is yet to come
 */
export function answerTo(standing: string, { password }: { readonly password: string }): Answer | undefined {
  const question = standing.trim()
  if (!complete.test(question) || working.test(question)) return undefined
  const reply = questions.find(([words]) => words.test(question))?.[1]
  const plain = (text: string): Answer => ({ kind: 'answer', text, secret: false })
  switch (reply) {
    case 'yes':
    case 'no':
      if (/\[[yn]\/[yn]\]$/i.test(question)) return plain(reply === 'yes' ? 'y' : 'n')
      return /\(Yes\/No\) \[(?:Yes|No)\]:$/.test(question) ? plain(reply === 'yes' ? 'Yes' : 'No') : { kind: 'unknown' }
    case 'default':
      return /\(Default: [^()]+\)$|\[[^\]]+\](?:MB)?:$/.test(question) ? plain('') : { kind: 'unknown' }
    case 'serial':
      return /\bS: Serial\b.*\(Default: [^()]+\)$/.test(question) ? plain('S') : { kind: 'unknown' }
    case 'password':
      return { kind: 'answer', text: password, secret: true }
    case undefined:
      return { kind: 'unknown' }
  }
}

/** A line that is only printed when everything is installed. */
export function isSuccess(line: string): boolean {
  return /^The image installed successfully|^Setting up grub:.*OK$/.test(line.trim())
}
