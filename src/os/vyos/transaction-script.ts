import type { MergeFile } from './merge-file.ts'
import { renderCommand, showCommand, type VyosCommand } from './path.ts'

/** In the same script, so that nobody who loses the guest meanwhile leaves it half changed. */
function undoing(commands: readonly VyosCommand[]): readonly string[] {
  return [
    '  if [[ -n $vmr_partly ]]; then',
    ...commands.map((command) => `    ${renderCommand(command)} >"$vmr_out" 2>&1`),
    '    commit >"$vmr_out" 2>&1',
    '    vmr_tell undo',
    '    discard >"$vmr_out" 2>&1',
    '  fi',
  ]
}

const outcomes = ['committed', 'refused', 'commitFailed', 'saveFailed', 'saveLost'] as const

/** What VyOS answered, command by command. */
export interface TransactionReport {
  /** `saveFailed`: committed, and the file is as it was; `saveLost`: committed, and the file is damaged. */
  readonly outcome: (typeof outcomes)[number]
  readonly answers: readonly VyosAnswer[]
}

export interface VyosAnswer {
  /** "set interfaces …", or "configure", "commit", "discard". */
  readonly command: string
  /** VyOS's own words, without the blank lines and the indent around them. Empty for what succeeded silently. */
  readonly text: string
}

/**
 * Words with which VyOS refuses a `set` or `delete`. Its status is 0 all the same. "already exists" and "Nothing to
 * delete" are no refusals.
 */
const refusals = [
  'Set failed',
  'Delete failed',
  'is not valid',
  'is ambiguous',
  'requires a value',
  'Need to specify the config node',
  'Invalid command',
  'Invalid value',
  'validation failed',
  'Could not execute validator',
  'Permission denied',
  'Traceback',
]
/** Words of a commit that did not do all it was asked. Parts of it may be active even so. */
const commitFailures = [
  'Commit failed',
  ']] failed',
  'had an issue completing',
  'Traceback',
  'Invalid command',
  'Permission denied',
]
/** Another operator's commit is under way: this one has not started. */
const locked = 'temporarily locked due to another commit'
const lockRetrySeconds = 3

/** Words of a `save` that did not write the file. */
const saveFailures = ['Traceback', 'No space left', 'Permission denied', 'Invalid command', 'Cannot save', 'Error']
const bootFile = '/config/config.boot'
/**
 * VyOS empties its file before it writes it, so that a full disk costs what was saved before: that is kept beside until
 * the new file has its last line, the version footer.
 */
const saving = [
  '  vmr_kept=$(mktemp)',
  `  if cp ${bootFile} "$vmr_kept" >"$vmr_out" 2>&1; then`,
  '    save >"$vmr_out" 2>&1',
  '    case $(<"$vmr_out") in',
  `    ${saveFailures.map(casePattern).join(' | ')}) vmr_outcome=saveFailed ;;`,
  '    esac',
  `    grep -q config-version ${bootFile} || vmr_outcome=saveFailed`,
  '    if [[ $vmr_outcome == saveFailed ]]; then',
  `      cat "$vmr_kept" >${bootFile} && grep -q config-version ${bootFile} || vmr_outcome=saveLost`,
  '    fi',
  '  else',
  '    vmr_outcome=saveFailed',
  '  fi',
  '  rm -f "$vmr_kept"',
  '  vmr_tell save',
]

/** All that a `merge` says that set every line of its file. Anything else, and nothing is taken as set. */
const mergeSuccess = "Merge complete. Use 'commit' to make changes effective."
/** Only the guest knows the version footer without which it would take the file for one of its oldest releases. */
const versionFooter = '^(//|/\\*).*(config-version|Release version)'

export interface TransactionScriptOptions {
  /** Starts every line that is not VyOS's; must not occur in anything that VyOS prints. */
  readonly word: string
  /** How long to wait for another operator's commit, in seconds. */
  readonly lockSeconds: number
  readonly save: boolean
  /** Takes back whatever part of the commands a failed commit made active; what is not there is passed over. */
  readonly undo?: readonly VyosCommand[]
  /** What is set by one `merge` first, and one by one where the guest does not take the file. */
  readonly mergeFile?: MergeFile | undefined
}

/**
 * A script for `vbash FILE` that sets everything, commits only if nothing was refused, and leaves no session open.
 *
 * It names no command that is a prefix of one of VyOS's (`c`, `de`, `sh`…), since the template makes aliases of those.
 * The session of the template is keyed by the parent's process number, so what an earlier, interrupted one with the
 * same number left pending is discarded first. Ctrl-C is ignored: a commit must never end halfway.
 */
export function transactionScript(commands: readonly VyosCommand[], options: TransactionScriptOptions): string {
  const { word, lockSeconds, save, undo = [], mergeFile } = options
  const asked = commands.map((command, index) => [`${renderCommand(command)} >"$vmr_out" 2>&1`, `vmr_check ${index}`])
  const lines = [
    'source /opt/vyatta/etc/functions/script-template',
    "trap '' INT QUIT HUP",
    'export VYATTA_PAGER=cat',
    'vmr_out=$(mktemp)',
    "vmr_refused=''",
    "vmr_partly=''",
    `vmr_tell() { printf '\\n%s %s\\n' ${word} "$*"; cat "$vmr_out"; }`,
    'vmr_check() {',
    '  vmr_tell "answer $1"',
    '  case $(<"$vmr_out") in',
    `  ${refusals.map(casePattern).join(' | ')}) vmr_refused=yes ;;`,
    '  esac',
    '}',
    'configure >"$vmr_out" 2>&1',
    'vmr_tell configure',
    'discard >"$vmr_out" 2>&1',
    ...(mergeFile === undefined ? asked.flat() : merging(commands, asked, mergeFile)),
    'vmr_outcome=refused',
    'if [[ -z $vmr_refused ]]; then',
    '  vmr_outcome=committed',
    `  vmr_limit=$((SECONDS + ${lockSeconds}))`,
    '  while true; do',
    '    commit >"$vmr_out" 2>&1',
    '    case $(<"$vmr_out") in',
    `    ${casePattern(locked)}) (( SECONDS < vmr_limit )) || { vmr_outcome=commitFailed; break; } ;;`,
    `    ${commitFailures.map(casePattern).join(' | ')}) vmr_outcome=commitFailed vmr_partly=yes; break ;;`,
    '    *) break ;;',
    '    esac',
    `    sleep ${lockRetrySeconds}`,
    '  done',
    '  vmr_tell commit',
    'fi',
    'if [[ $vmr_outcome != committed ]]; then',
    '  discard >"$vmr_out" 2>&1',
    '  vmr_tell discard',
    ...(undo.length > 0 ? undoing(undo) : []),
    ...(save ? ['else', ...saving] : []),
    'fi',
    'exit >/dev/null 2>&1',
    ': >"$vmr_out"',
    'vmr_tell "outcome $vmr_outcome"',
    'rm -f "$vmr_out" "$0"',
    'builtin exit 0',
  ]
  return `${lines.join('\n')}\n`
}

/**
 * The commands that stand before those of the file, the file, and the others; where the guest does not take the file,
 * all that it left pending goes, and its commands are given one by one, so that the refused one is named.
 */
function merging(
  commands: readonly VyosCommand[],
  asked: readonly (readonly string[])[],
  { first, merged, text }: MergeFile,
): readonly string[] {
  const inFile = new Set(merged)
  return [
    ...asked.slice(0, first).flat(),
    "vmr_merged=''",
    // Other programs than this user's need not read it, and `merge` takes a name with "scp" or "ftp" in it for a URL.
    '(umask 077 && cat >"$0-set") <<\'vmr-end\'',
    `${text}vmr-end`,
    `if [[ -z $vmr_refused ]] && grep -q config-version ${bootFile} && grep -E '${versionFooter}' ${bootFile} >>"$0-set"; then`,
    '  merge "$0-set" >"$vmr_out" 2>&1',
    '  case $(<"$vmr_out") in',
    `  "${mergeSuccess}") vmr_merged=yes ;;`,
    '  *)',
    '    discard >"$vmr_out" 2>&1',
    ...commands.slice(0, first).map((command) => `    ${renderCommand(command)} >"$vmr_out" 2>&1`),
    '    ;;',
    '  esac',
    'fi',
    'rm -f "$0-set"',
    'if [[ -z $vmr_merged ]]; then',
    ...asked.filter((_, index) => inFile.has(index)).flat(),
    'fi',
    ...asked.filter((_, index) => index >= first && !inFile.has(index)).flat(),
  ]
}

/** Reads what the script printed. Undefined when it did not come to its end. */
export function parseTransaction(
  output: string,
  commands: readonly VyosCommand[],
  word: string,
): TransactionReport | undefined {
  const answers: VyosAnswer[] = []
  let outcome: TransactionReport['outcome'] | undefined
  for (const block of output.split(`\n${word} `).slice(1)) {
    const [head = '', ...lines] = block.split('\n')
    const [what = '', argument = ''] = head.split(' ')
    const text = lines
      .map((line) => line.trimEnd().replace(/^ {2}/, ''))
      .filter((line) => line !== '')
      .join('\n')
    if (what === 'outcome') {
      outcome = outcomes.find((known) => known === argument) ?? outcome
      continue
    }
    const command = what === 'answer' ? commands[Number(argument)] : undefined
    answers.push({ command: command === undefined ? what : showCommand(command), text })
  }
  return outcome === undefined ? undefined : { outcome, answers }
}

/** True for an answer that refuses its command: what the script itself goes by. */
export function isRefusal({ command, text }: VyosAnswer): boolean {
  // Whether a save has failed shows in the file too.
  if (command === 'save') return text !== ''
  return (command === 'commit' ? [...commitFailures, locked] : refusals).some((words) => text.includes(words))
}

function casePattern(words: string): string {
  return `*'${words}'*`
}
