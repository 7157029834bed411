import { classifyPrompt } from './prompts.ts'

/**
 * Where a guest stands on its way from power-on to its login prompt, in the order in which a boot goes through them.
 * `waiting`: it has said nothing that tells. `configuration failed`: VyOS goes on without part of its configuration.
 */
export const bootStates = [
  'waiting',
  'loader',
  'kernel',
  'configuration loading',
  'configuration failed',
  'login',
] as const
export type BootState = (typeof bootStates)[number]

/** What a serial console has told of a boot so far. */
export interface Boot {
  readonly state: BootState
  /** When the state was entered, in milliseconds of the caller's clock. */
  readonly since: number
  /** The state was found at that time, and entered earlier. */
  readonly orEarlier: boolean
  /** What became of the boot configuration; undefined while the console has not told. */
  readonly configuration: 'loaded' | 'failed' | undefined
  /** VyOS's own words while it loaded its configuration, the last of them. */
  readonly words: readonly string[]
}

const maxWords = 20
/** What tells a state stands in the first few words of a line. */
const maxLine = 400

/** systemd-journald's way to write what a service says on the console (server_forward_console in journald-console.c). */
const journalLine = /^(?:\[ *\d+\.\d+\] )?([\w.@-]{1,64})\[\d{1,10}\]: (.*)$/
const kernelLine = /^\[ *\d+\.\d+\](?:\[ *[TC]\d+\])? /
/** systemd's own lines of units that start. */
const unitLine = /^(?:\[[ A-Z*]{6}\]| {9})/
/** Lines of VyOS's start that say nothing of its configuration. */
const usual =
  /^(?:Waiting for NICs to settle|Mounting VyOS Config|Starting VyOS router: [\w -]*\.?$|Configuration success)/

const tells: readonly (readonly [BootState, RegExp])[] = [
  ['configuration failed', /Starting VyOS router:.* failed!|configure failed!|vyos-config\[\d+\]: Configuration error/],
  [
    'configuration loading',
    /Starting VyOS router|Start(?:ing|ed) \S*vyos-router\.service|vyos-router\[\d+\]: |Waiting for NICs to settle|^Mounting VyOS Config/,
  ],
  ['kernel', /^\[ *\d+\.\d{6}\] |Linux version \d|Decompressing Linux|Loading initial ramdisk/],
  [
    'loader',
    /SeaBIOS|iPXE|BdsDxe: |GNU GRUB|Welcome to GRUB|ISOLINUX|Automatic boot in|Booting from|highlighted entry will be executed/,
  ],
]
const loaded = /Starting VyOS router:.*\bconfigure\.\s*$|vyos-config\[\d+\]: Configuration success/
/** What `configure` says of the boot before it. */
const loadedWithErrors = /^WARNING: There was a config error on boot/
const stops = /Stopp(?:ing|ed) /
/** Only the start of a machine prints it: whatever there was before is gone. */
const machineStarts = /SeaBIOS \(version|BdsDxe: loading|GNU GRUB|Welcome to GRUB|ISOLINUX|Linux version \d/
/** At a login prompt, that the machine or at least its router started again, which held the prompt back before. */
const routerStarts = /Start(?:ing|ed) \S*vyos-router\.service/
/** The line of a prompt that was answered. */
const answeredPrompt =
  /^(?:[\w.-]{1,64} login: |\w[\w.-]{0,64}@[\w.-]{1,255}(?:\([^()\s]{1,64}\))?:[~/][^$#>]{0,200}[$#>] )/

/** @param at milliseconds of any clock, the same one for every later call */
export function beginBoot(at: number): Boot {
  return { state: 'waiting', since: at, orEarlier: false, configuration: undefined, words: [] }
}

/** What is known once the guest has said this line; the same object when that is no news. */
export function afterLine(boot: Boot, line: string, at: number): Boot {
  const text = line.slice(0, maxLine)
  // A machine that is reset at its prompt goes on in that line.
  const starts = machineStarts.test(text)
  const restarts = starts || routerStarts.test(text)
  if (!restarts && answeredPrompt.test(text)) return atLogin(boot, at)
  if (boot.state === 'login' && loadedWithErrors.test(text))
    return { ...boot, configuration: 'failed', words: boot.words.length > 0 ? boot.words : [text] }
  if (boot.state === 'login' && restarts) return afterLine(beginBoot(at), line, at)
  const told = stops.test(text) ? undefined : tells.find(([, pattern]) => pattern.test(text))?.[0]
  if (told !== undefined && rank(told) <= rank(boot.state) && boot.state !== 'loader' && starts)
    return afterLine(beginBoot(at), line, at)
  const further = told !== undefined && rank(told) > rank(boot.state) ? enter(boot, told, at) : boot
  const outcome = boot.configuration ?? outcomeOf(told, text)
  // The prompt can be faster than the journal, which then tells the outcome behind it, among what a shell prints.
  const loading =
    further.state === 'login' ? outcome === 'failed' : rank(further.state) >= rank('configuration loading')
  const words = loading && boot.configuration === undefined ? wordsOf(text) : undefined
  if (further === boot && outcome === boot.configuration && words === undefined) return boot
  return {
    ...further,
    configuration: outcome,
    words: words === undefined ? further.words : [...further.words, words].slice(-maxWords),
  }
}

/** What is known once this stands in the last, unfinished line: any prompt is behind the boot. */
export function afterTail(boot: Boot, tail: string, at: number): Boot {
  const kind = classifyPrompt(tail)?.kind
  return kind === undefined || kind === 'pager' || kind === 'continuation' ? boot : atLogin(boot, at)
}

function outcomeOf(told: BootState | undefined, text: string): Boot['configuration'] {
  return told === 'configuration failed' ? 'failed' : loaded.test(text) ? 'loaded' : undefined
}

function atLogin(boot: Boot, at: number): Boot {
  return boot.state === 'login' ? boot : enter(boot, 'login', at)
}

function enter(boot: Boot, state: BootState, at: number): Boot {
  return { ...boot, state, since: at, orEarlier: false }
}

function rank(state: BootState): number {
  return bootStates.indexOf(state)
}

/** What VyOS says of its configuration in this line, without what the journal puts before it. */
function wordsOf(line: string): string | undefined {
  const journal = journalLine.exec(line)
  if (journal === null && (kernelLine.test(line) || unitLine.test(line))) return undefined
  if (journal !== null && !/^vyos-(?:router|config)/.test(journal[1] ?? '')) return undefined
  const words = (journal?.[2] ?? line).trimEnd()
  return words.trim() === '' || usual.test(words) || routerStarts.test(words) ? undefined : words
}

/** "in the state kernel for 43 s, since 08:01:02 UTC". @param now milliseconds since the epoch, as the boot's own */
export function describeBootState({ state, since, orEarlier }: Boot, now: number): string {
  const clock = new Date(since).toISOString().slice(11, 19)
  const seconds = Math.max(0, Math.round((now - since) / 1000))
  return `in the state "${state}" for ${seconds} s${orEarlier ? ' at least' : ''}, since ${orEarlier ? 'before ' : ''}${clock} UTC`
}

/** What to do about a guest that got no further, by the state that it hangs in. */
export const hangHints: Readonly<Record<BootState, string>> = {
  waiting:
    'It has said nothing: its kernel may have no console on the serial line (console=ttyS0), or it waits for a key. Look yourself: vmr vm console.',
  loader: 'It finds nothing to boot, or waits in a menu. Look yourself: vmr vm console.',
  kernel:
    'Start it again: on a busy host, emulated timers can make a kernel hang. Or allow more time: without KVM a VyOS takes about four minutes.',
  'configuration loading':
    'It may be loading still: without KVM a VyOS takes about four minutes, and longer with a long configuration. Allow more time, or look yourself: vmr vm console.',
  'configuration failed': 'Its configuration has an error, and no login followed. Look yourself: vmr vm console.',
  login: 'Look yourself: vmr vm console.',
}
