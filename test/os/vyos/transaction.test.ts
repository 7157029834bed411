import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import fc from 'fast-check'
import { planMergeFile } from '../../../src/os/vyos/merge-file.ts'
import { renderCommand, type VyosCommand } from '../../../src/os/vyos/path.ts'
import { isRefusal, parseTransaction, transactionScript } from '../../../src/os/vyos/transaction-script.ts'
import { answerTo } from '../../shell/serial/recording.ts'

const template = '/opt/vyatta/etc/functions/script-template'
const word = 'vmr-word'
const set = (line: string): VyosCommand => ({ kind: 'set', path: line.split(' ') })

/** What the recorded VyOS answered to a command in configuration mode, without the echo and the prompt. */
function recorded(typed: string): string {
  const answer = answerTo(typed).replaceAll('\r', '')
  return answer.slice(answer.indexOf('\n') + 1, answer.lastIndexOf('[edit]'))
}

/**
 * Runs the script in a real bash, where a fake of VyOS's template gives recorded answers, each with status 0, and
 * writes down what it was asked. As the real one, it makes aliases of every prefix of every command.
 */
async function run(
  commands: readonly VyosCommand[],
  answers: Readonly<Record<string, readonly string[]>>,
  options: {
    readonly save?: boolean
    readonly lockSeconds?: number
    readonly saving?: string
    readonly undo?: readonly VyosCommand[]
    readonly footer?: string
  } = {},
) {
  const folder = mkdtempSync(join(tmpdir(), 'vmr-transaction-'))
  try {
    const verbs = [
      'configure',
      'set',
      'delete',
      'commit',
      'discard',
      'save',
      'exit',
      'compare',
      'show',
      'edit',
      'run',
      'load',
      'merge',
      'rollback',
      'rename',
      'copy',
      'comment',
      'confirm',
    ]
    const prefixes = verbs.flatMap((verb) =>
      Array.from({ length: verb.length }, (_, index) => [verb.slice(0, index + 1), verb] as const),
    )
    const fake = [
      'shopt -s expand_aliases',
      'fake() {',
      `  asked="\${*//${folder.replaceAll('/', '\\/')}\\//}"`,
      `  echo "$asked" >>${folder}/asked`,
      `  if [[ $1 == merge ]]; then cat "$2" >>${folder}/merged; fi`,
      '  case "$asked" in',
      ...Object.entries(answers).flatMap(([asked, texts]) => [
        `  '${asked}')`,
        `    n=$(grep -cxF -- "$asked" ${folder}/asked)`,
        ...texts.map((text, index) => `    if (( n == ${index + 1} )); then printf '%s' ${quote(text)}; fi`),
        '    ;;',
      ]),
      '  esac',
      `  if [[ $1 == save ]]; then ${(options.saving ?? ':').replaceAll('FILE', join(folder, 'config.boot'))}; fi`,
      '}',
      ...prefixes
        .filter(([prefix]) => !['for', 'do', 'done', 'if', 'fi', 'case', 'while', 'tr'].includes(prefix))
        .map(([prefix, verb]) => `alias ${prefix}='fake ${verb}'`),
    ]
    writeFileSync(join(folder, 'template'), `${fake.join('\n')}\n`)
    const script = transactionScript(commands, {
      word,
      lockSeconds: options.lockSeconds ?? 10,
      save: options.save ?? false,
      undo: options.undo ?? [],
      mergeFile: planMergeFile([], commands),
    })
    assert.ok(script.startsWith(`source ${template}\n`))
    const path = join(folder, 'script')
    const file = join(folder, 'config.boot')
    writeFileSync(file, options.footer ?? '// vyos-config-version: "earlier"\n')
    writeFileSync(
      path,
      script
        .replace(template, join(folder, 'template'))
        .replaceAll('sleep 3', 'sleep 0.1')
        .replaceAll('/config/config.boot', file),
    )
    const { stdout, stderr } = await execa('bash', [path])
    const report = parseTransaction(stdout, commands, word)
    assert.ok(report)
    if (report.outcome !== 'saveLost') assert.equal(stderr, '')
    const merged = join(folder, 'merged')
    return {
      report,
      merged: existsSync(merged) ? readFileSync(merged, 'utf8') : undefined,
      left: readdirSync(folder).filter((name) => name.startsWith('script')),
      asked: readFileSync(join(folder, 'asked'), 'utf8').trimEnd().split('\n'),
      file: report.outcome === 'saveLost' ? undefined : readFileSync(file, 'utf8'),
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const quote = (text: string) => `'${text.replaceAll("'", "'\\''")}'`
const good = set('interfaces ethernet eth0 address 192.168.1.1/24')
const unknown = set('interfaces ethernet eth0 adress 192.168.1.1/24')
const lockedText = 'Configuration system temporarily locked due to another commit in progress\n'
const unknownAsked = 'set interfaces ethernet eth0 adress 192.168.1.1/24'

describe('VyOS transaction', () => {
  it('sets, commits and leaves the session, and saves only when asked', async () => {
    const plain = await run([good], {})
    assert.equal(plain.report.outcome, 'committed')
    assert.deepEqual(plain.asked, [
      'configure',
      'discard',
      'set interfaces ethernet eth0 address 192.168.1.1/24',
      'commit',
      'exit',
    ])
    const saved = await run([good], {}, { save: true })
    assert.equal(saved.report.outcome, 'committed')
    assert.deepEqual(saved.asked.slice(-3), ['commit', 'save', 'exit'])
  })

  const many = Array.from({ length: 8 }, (_, index) => set(`interfaces ethernet eth0 address 10.0.${index}.1/24`))
  const given = many.map(renderCommand)
  const mergeDone = "Merge complete. Use 'commit' to make changes effective.\n"
  it('gives many commands as one file, in braces, with the guest’s own version footer', async () => {
    const deletion: VyosCommand = { kind: 'delete', path: ['interfaces', 'tunnel', 'tun0'] }
    const { report, asked, merged, left } = await run([deletion, ...many, unknown], { 'merge script-set': [mergeDone] })
    assert.equal(report.outcome, 'committed')
    assert.deepEqual(asked, [
      ...['configure', 'discard', 'delete interfaces tunnel tun0', 'merge script-set', unknownAsked, 'commit', 'exit'],
    ])
    assert.equal(
      merged,
      [
        'interfaces {',
        '    ethernet eth0 {',
        ...many.map(({ path }) => `        address "${path.at(-1)}"`),
        '    }',
        '}',
        '// vyos-config-version: "earlier"',
        '',
      ].join('\n'),
    )
    assert.deepEqual(left, [])
  })

  it('names a refused command without the secret in it', () => {
    const commands = [
      set('system login user vyos authentication encrypted-password secret'),
      set('service https api keys id vmr key secret'),
      set('interfaces ethernet eth0 mtu 1400'),
    ]
    const told = commands.map((_command, index) => `\n${word} answer ${index}\n\n  Set failed\n`).join('')
    const report = parseTransaction(`${told}\n${word} outcome refused\n`, commands, word)
    assert.deepEqual(
      report?.answers.map(({ command }) => command),
      [
        "set system login user vyos authentication encrypted-password '********'",
        "set service https api keys id vmr key '********'",
        "set interfaces ethernet eth0 mtu '1400'",
      ],
    )
  })

  it('sets one by one what a merge did not take, so that the refused command is named', async () => {
    const deletion: VyosCommand = { kind: 'delete', path: ['interfaces', 'tunnel', 'tun0'] }
    const refused = 'Value is not valid\n\nValue validation failed\nSet failed\n'
    const { report, asked, left } = await run([deletion, ...many], {
      'merge script-set': [`Command '/opt/vyatta/sbin/my_set' returned 1\n${mergeDone}`],
      'set interfaces ethernet eth0 address 10.0.3.1/24': [refused],
    })
    assert.equal(report.outcome, 'refused')
    assert.deepEqual(report.answers.filter(isRefusal), [
      { command: given[3], text: refused.trimEnd().replace('\n\n', '\n') },
    ])
    const deleting = 'delete interfaces tunnel tun0'
    assert.deepEqual(asked, [
      ...['configure', 'discard', deleting, 'merge script-set', 'discard', deleting],
      ...many.map(({ path }) => `set ${path.join(' ')}`),
      ...['discard', 'exit'],
    ])
    assert.deepEqual(left, [])
  })

  it('merges nothing when the guest does not say which version its files have', async () => {
    const { report, asked } = await run(many, {}, { footer: 'interfaces {\n}\n' })
    assert.equal(report.outcome, 'committed')
    assert.deepEqual(
      asked.slice(2, -2),
      many.map(({ path }) => `set ${path.join(' ')}`),
    )
  })

  const earlier = '// vyos-config-version: "earlier"\n'
  it('puts back the file that a save emptied and could not write', async () => {
    const crash = 'Traceback (most recent call last):\nOSError: [Errno 28] No space left on device\n'
    const { report, file } = await run([good], { save: [crash] }, { save: true, saving: ': >FILE' })
    assert.equal(report.outcome, 'saveFailed')
    assert.equal(file, earlier)
    assert.match(report.answers.find(isRefusal)?.text ?? '', /No space left/)
  })

  it('believes the file, not the silence of a save', async () => {
    const { report, file } = await run(
      [good],
      {},
      { save: true, saving: 'head -c 9 FILE >FILE.cut; cat FILE.cut >FILE' },
    )
    assert.equal(report.outcome, 'saveFailed')
    assert.equal(file, earlier)
    // As where the disk is so full that nothing can be put back.
    const lost = await run([good], {}, { save: true, saving: 'rm FILE; mkdir FILE' })
    assert.equal(lost.report.outcome, 'saveLost')
  })

  for (const typed of [
    unknownAsked,
    'set interfaces ethernet eth0 address',
    'set interfaces ethernet eth0 address 1.2.3.400/24',
    'sett interfaces',
  ]) {
    it(`commits nothing when one command is answered as "${typed}" was`, async () => {
      const { report, asked } = await run([good, unknown], { [unknownAsked]: [recorded(typed)] })
      assert.equal(report.outcome, 'refused')
      assert.ok(!asked.includes('commit'))
      assert.deepEqual(asked.slice(-2), ['discard', 'exit'])
      const refused = report.answers.filter(isRefusal)
      assert.deepEqual(
        refused.map(({ command }) => command),
        ["set interfaces ethernet eth0 adress '192.168.1.1/24'"],
      )
    })
  }

  it('gives VyOS’s own words, without their frame', async () => {
    const { report } = await run([unknown], { [unknownAsked]: [recorded(unknownAsked)] })
    assert.equal(
      report.answers.find(isRefusal)?.text,
      'Configuration path: interfaces ethernet eth0 [adress] is not valid\nSet failed',
    )
  })

  for (const typed of [
    'set interfaces ethernet eth0 address 192.168.1.1/24',
    'delete interfaces ethernet eth0 address 10.1.1.1/24',
  ]) {
    it(`takes the answer to "${typed}" for no refusal`, async () => {
      const text = typed.startsWith('set')
        ? '\n  Configuration path: [interfaces ethernet eth0 address 192.168.1.1/24] already exists\n\n'
        : recorded(typed)
      const { report } = await run([good], { 'set interfaces ethernet eth0 address 192.168.1.1/24': [text] })
      assert.equal(report.outcome, 'committed')
      assert.deepEqual(report.answers.filter(isRefusal), [])
    })
  }

  it('discards what a failed commit left pending', async () => {
    const failed =
      '[ interfaces tunnel tun1 ]\nsource-address or source-interface required for tunnel!\n\n[[interfaces tunnel tun1]] failed\nCommit failed\n'
    assert.match(answerTo('commit') + failed, /Commit failed/)
    const { report, asked } = await run([good], { commit: [failed], discard: ['', recorded('discard')] })
    assert.equal(report.outcome, 'commitFailed')
    assert.deepEqual(asked.slice(-3), ['commit', 'discard', 'exit'])
    assert.match(report.answers.find(isRefusal)?.text ?? '', /source-address or source-interface required/)
  })

  it('takes back in the guest what a failed commit may have made active, but not when no commit began', async () => {
    const undo: VyosCommand[] = [{ kind: 'delete', path: good.path }]
    const asked = `delete ${good.path.join(' ')}`
    const failed = await run([good], { commit: ['[[interfaces ethernet eth0]] failed\nCommit failed\n'] }, { undo })
    assert.equal(failed.report.outcome, 'commitFailed')
    assert.deepEqual(failed.asked.slice(-6), ['commit', 'discard', asked, 'commit', 'discard', 'exit'])
    for (const [answers, options] of [
      [{ [unknownAsked]: [recorded(unknownAsked)] }, { undo }],
      [{ commit: [lockedText] }, { undo, lockSeconds: 0 }],
      [{}, { undo }],
    ] as const) {
      assert.ok(!(await run([good, unknown], answers, options)).asked.includes(asked))
    }
  })

  it('waits for another operator’s commit', async () => {
    const { report, asked } = await run([good], { commit: [lockedText, lockedText] })
    assert.equal(report.outcome, 'committed')
    assert.equal(asked.filter((line) => line === 'commit').length, 3)
  })

  it('gives up when the other commit does not end', async () => {
    const { report } = await run([good], { commit: Array(9).fill(lockedText) }, { lockSeconds: 0 })
    assert.equal(report.outcome, 'commitFailed')
    assert.match(report.answers.find(isRefusal)?.text ?? '', /temporarily locked/)
  })

  it('gives VyOS every value as one word, whatever it holds, and runs nothing of it', async () => {
    const hostile = fc.oneof(
      fc.string({ unit: 'binary', minLength: 1, maxLength: 40 }),
      fc.string({ unit: fc.constantFrom(...'\'"`$(){};\n\\ |&#?!~*[]<>=a-\t'), minLength: 1, maxLength: 40 }),
      fc.constantFrom(
        '$(touch canary)',
        '; touch canary',
        '> canary',
        '$IFS',
        '-n',
        '--',
        'set',
        'exit',
        'fi',
        'EOF',
        '2>&1',
      ),
      fc.string({ minLength: 1, maxLength: 20 }).map((text) => `' ; touch canary ; '${text}`),
    )
    const folder = mkdtempSync(join(tmpdir(), 'vmr-words-'))
    try {
      const commands: VyosCommand[] = []
      for (const value of fc.sample(hostile, 2000)) {
        const command = { kind: 'set', path: ['interfaces', 'ethernet', 'eth0', 'description', value] } as const
        try {
          renderCommand(command)
          commands.push(command)
        } catch (error) {
          // Refused: it never gets into a script.
          assert.equal((error as { code?: string }).code, 'CONFIG_INVALID')
        }
      }
      assert.ok(commands.length > 500)
      // A fake of VyOS's template: writes down its words, each ended by NUL.
      const fake = [
        'shopt -s expand_aliases',
        `fake() { printf '%s\\0' "$@" >>${folder}/words; }`,
        ...['configure', 'set', 'commit', 'discard', 'exit'].map((verb) => `alias ${verb}='fake ${verb}'`),
      ]
      writeFileSync(join(folder, 'template'), `${fake.join('\n')}\n`)
      const script = transactionScript(commands, { word, lockSeconds: 1, save: false })
      writeFileSync(join(folder, 'script'), script.replace(template, join(folder, 'template')))
      const { stderr } = await execa('bash', ['script'], { cwd: folder })
      assert.equal(stderr, '')
      const words = readFileSync(join(folder, 'words'), 'utf8').split('\0').slice(0, -1)
      const expected = commands.flatMap(({ kind, path }) => [kind, ...path])
      assert.deepEqual(words, ['configure', 'discard', ...expected, 'commit', 'exit'])
      assert.deepEqual(readdirSync(folder).toSorted(), ['template', 'words'])
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  it('tells a script that did not come to its end from one that did', () => {
    assert.equal(parseTransaction(`\n${word} configure\n\n${word} answer 0\n`, [good], word), undefined)
    assert.equal(parseTransaction('', [good], word), undefined)
  })
})
