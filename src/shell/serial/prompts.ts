/** What waits for input in the last line of a serial console. */
export type Prompt =
  | { readonly kind: 'login' }
  | { readonly kind: 'password' }
  /** A password must be changed before the session goes on. */
  | { readonly kind: 'newPassword' }
  | { readonly kind: 'shell'; readonly user: string; readonly host: string }
  | { readonly kind: 'configure'; readonly user: string; readonly host: string }
  | { readonly kind: 'pager' }
  /** readline's "Display all 161 possibilities? (y or n)" */
  | { readonly kind: 'completion' }
  /** An open quote or here-document. */
  | { readonly kind: 'continuation' }

/** A longer last line is output, not a prompt. */
const maxPrompt = 300
/** `vyos@vyos:~$ `, `vyos@vyos(vrf:red):/tmp> `, `root@vyos:~# ` */
const shellPrompt = /^([A-Za-z0-9_][\w.-]*\$?)@([A-Za-z0-9][\w.-]*)(?:\((?:vrf|ns):[^()\s]+\))?:[~/][^\r\n]*[$#>] $/
/** `vyos@vyos# `, below a line `[edit …]` */
const configurePrompt = /^([A-Za-z0-9_][\w.-]*\$?)@([A-Za-z0-9][\w.-]*)(?:\((?:vrf|ns):[^()\s]+\))?# $/

/** @param tail the text after the last line end, once nothing more has come for a moment */
export function classifyPrompt(tail: string): Prompt | undefined {
  if (tail.length > maxPrompt) return undefined
  // Without "Last login: Mon …", which a pause can cut at the same place.
  if (/\blogin: ?$/.test(tail) && !/Last login: ?$/.test(tail)) return { kind: 'login' }
  if (/(?:New|Retype|Current|Old)\b.*password: ?$/i.test(tail)) return { kind: 'newPassword' }
  if (/^(?:Password|[\w.-]+(?:@[\w.-]+)?'s password|Password for [\w.-]+): ?$/.test(tail)) return { kind: 'password' }
  const shell = shellPrompt.exec(tail)
  if (shell !== null) return { kind: 'shell', user: shell[1] ?? '', host: shell[2] ?? '' }
  const configure = configurePrompt.exec(tail)
  if (configure !== null) return { kind: 'configure', user: configure[1] ?? '', host: configure[2] ?? '' }
  if (/^(?::|\(END\)|lines \d+-\d+.*|--More--.*|.*\(END\)) ?$/.test(tail)) return { kind: 'pager' }
  if (/possibilities\? \(y or n\)$/.test(tail)) return { kind: 'completion' }
  if (/^> $/.test(tail)) return { kind: 'continuation' }
  return undefined
}
