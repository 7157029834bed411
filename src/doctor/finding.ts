/** What was found of one thing that vmr needs or that disturbs it. */
export interface Finding {
  readonly area: Area
  /** What was looked at: "KVM", "uplink vmr-up1". */
  readonly subject: string
  readonly level: Level
  readonly message: string
  /** What to do about it. */
  readonly hint?: string
  /** A change that is safe to make unasked for: it takes nothing from anybody. */
  readonly fix?: Fix
}

export type Level =
  | 'pass'
  /** vmr works, but slower, or not with everything. */
  | 'warn'
  /** What vmr is for does not work. */
  | 'fail'
  /** Could not be looked at; the message says why. */
  | 'skip'

export const areas = ['host', 'kvm', 'libvirt', 'kernel', 'tools', 'network', 'uplinks', 'tuning', 'state'] as const
export type Area = (typeof areas)[number]

export interface Fix {
  /** "give /dev/kvm to group kvm with mode 660" */
  readonly words: string
  readonly commands: readonly (readonly string[])[]
}

export const levels = ['pass', 'skip', 'warn', 'fail'] as const satisfies readonly Level[]

export function worst(findings: readonly Finding[]): Level {
  const present = new Set(findings.map(({ level }) => level))
  return levels.findLast((level) => present.has(level)) ?? 'pass'
}
