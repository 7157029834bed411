import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { isVmrError } from '../../../src/errors/vmr-error.ts'
import { parseConfigBoot } from '../../../src/os/vyos/config-boot.ts'
import { parseSetCommands } from '../../../src/os/vyos/parse-commands.ts'
import { parseTransaction } from '../../../src/os/vyos/transaction-script.ts'
import { parseVyosVersion } from '../../../src/os/vyos/version.ts'
import { processorTime } from '../../processor-time.ts'
import { fuzzRuns, mutated, randomFrom } from '../../shell/serial/mutations.ts'
import { answerTo } from '../../shell/serial/recording.ts'

const recorded = (typed: string) => {
  const answer = Buffer.from(answerTo(typed), 'latin1').toString('utf8').replaceAll('\r', '')
  return answer.slice(answer.indexOf('\n') + 1, answer.lastIndexOf('\n') + 1)
}

describe('VyOS version', () => {
  for (const [output, train] of [
    [recorded('show version'), '1.4'],
    ['Version:          VyOS 1.2.9\nRelease train:    crux\n', '1.2'],
    ['Version:          VyOS 1.3.8\nRelease Train:    equuleus\n', '1.3'],
    ['Version:          VyOS 1.5-rolling-202410280006\nRelease train:    current\n', '1.5'],
    ['Version:          VyOS 2025.11\nRelease train:    circinus\n', '1.5'],
  ] as const) {
    it(`is read from "${output.split('\n')[0]}"`, () => assert.equal(parseVyosVersion(output).train, train))
  }
  it('is refused for a guest that is no VyOS, or a release that vmr does not know', () => {
    assert.throws(() => parseVyosVersion('bash: show: command not found'), { code: 'GUEST_NOT_READY' })
    assert.throws(() => parseVyosVersion('Version:          VyOS 1.15.0\nRelease train:    future\n'), {
      code: 'GUEST_NOT_READY',
    })
  })
})

describe('VyOS configuration as commands', () => {
  it('is read from the recorded guest', () => {
    const paths = parseSetCommands(recorded('show configuration commands | no-more'))
    assert.equal(paths.length, 28)
    assert.deepEqual(paths[0], ['interfaces', 'ethernet', 'eth0', 'hw-id', '52:54:00:12:34:01'])
    assert.deepEqual(
      paths.find((path) => path.includes('plaintext-password')),
      ['system', 'login', 'user', 'vyos', 'authentication', 'plaintext-password', ''],
    )
  })

  it('is read back from any words', () => {
    const word = fc.string({ unit: 'binary', maxLength: 20 })
    fc.assert(
      fc.property(fc.array(fc.array(word, { minLength: 1, maxLength: 6 }), { maxLength: 20 }), (paths) => {
        const text = paths
          .map((path) => `set ${path.map((value) => `'${value.replaceAll("'", "'\\''")}'`).join(' ')}\n`)
          .join('')
        assert.deepEqual(parseSetCommands(text), paths)
      }),
    )
  })

  it('names the line that it cannot read', () => {
    assert.throws(() => parseSetCommands('set a b\nInvalid command: [show]\n'), {
      code: 'GUEST_NOT_READY',
      message: /at line 2: "Invalid command: \[show\]" is no set command/,
    })
    assert.throws(() => parseSetCommands("set a 'b\n"), { code: 'GUEST_NOT_READY', message: /quote is not closed/ })
  })
})

describe('VyOS configuration in braces', () => {
  it('is read with quotes, comments, tags and empty nodes', () => {
    const text = `interfaces {
    ethernet eth0 {
        address "192.0.2.1/24"
        address 2001:db8::1/64
        description "say \\"hi\\" { not a brace }"
        disable
    }
    loopback lo {
    }
}
/* a comment { */
system {
    host-name vyos
}

// Warning: Do not remove the following line.
// vyos-config-version: "bgp@5:interfaces@32"
`
    assert.deepEqual(parseConfigBoot(text), [
      ['interfaces', 'ethernet', 'eth0', 'address', '192.0.2.1/24'],
      ['interfaces', 'ethernet', 'eth0', 'address', '2001:db8::1/64'],
      ['interfaces', 'ethernet', 'eth0', 'description', 'say "hi" { not a brace }'],
      ['interfaces', 'ethernet', 'eth0', 'disable'],
      ['interfaces', 'loopback', 'lo'],
      ['system', 'host-name', 'vyos'],
    ])
  })

  it('names the line that does not fit', () => {
    for (const [text, message] of [
      ['a {\n', /line 2: 1 braces are not closed/],
      ['a\n}\n', /line 2: a brace closes/],
      ['{\n}\n', /line 1: a brace opens without a name/],
      ['a "b\nc', /line 1: a quote is not closed/],
      ['a {\n'.repeat(100), /nested deeper/],
      ['/* x', /a comment is not closed/],
      [`a\nb ${'c '.repeat(64)}{\n}\n`, /line 2: a path of more than 64 words/],
    ] as const) {
      assert.throws(() => parseConfigBoot(text), { code: 'CONFIG_INVALID', message })
    }
  })
})

describe('both parsers', () => {
  const pieces = fc.constantFrom(
    'set ',
    'a',
    "'",
    '"',
    '\\',
    ' ',
    '\n',
    '{',
    '}',
    '/*',
    '*/',
    '//',
    '\r',
    '\x1b[m',
    'é',
    'interfaces ',
    '\0',
  )
  it('take 100,000 random texts without a crash', () => {
    const check = (parse: (text: string) => unknown, text: string) => {
      try {
        parse(text)
      } catch (error) {
        if (!isVmrError(error)) throw error
      }
    }
    fc.assert(
      fc.property(fc.array(fc.array(pieces, { maxLength: 12 }), { minLength: 100, maxLength: 100 }), (texts) => {
        for (const text of texts) {
          check(parseSetCommands, text.join(''))
          check(parseConfigBoot, text.join(''))
        }
      }),
      { numRuns: 500 },
    )
  }).timeout(20_000)

  const braces = readFileSync(new URL('../../../guest/lab-router/rootfs/config/config.boot', import.meta.url))
  const commands = Buffer.from(recorded('show configuration commands | no-more'))
  const commit = Buffer.from(
    `\nvmr-word configure\n\nvmr-word answer 0\n${recorded('commit')}\nvmr-word outcome committed\n`,
  )
  it('take mutated configurations and reports: they are read to the end or refused with the line', () => {
    for (const seed of Array(fuzzRuns(10_000)).keys()) {
      const random = randomFrom(seed)
      for (const [whole, parse] of [
        [commands, parseSetCommands],
        [braces, parseConfigBoot],
        [commit, (text: string) => parseTransaction(text, [{ kind: 'set', path: ['a'] }], 'vmr-word')],
        [commit, parseVyosVersion],
      ] as const) {
        let bytes: Buffer = whole
        for (let change = 1 + random.below(4); change > 0; change -= 1) bytes = mutated(random, bytes)
        try {
          parse(bytes.toString('utf8'))
        } catch (error) {
          if (!isVmrError(error) || error.code === 'INTERNAL') throw new Error(`seed ${seed}`, { cause: error })
        }
      }
    }
  }).timeout(600_000)

  const set = "set interfaces ethernet eth0 address '192.0.2.1/24'\n"
  const block = 'interfaces { ethernet eth0 { address "192.0.2.1/24"\n } }\n'
  const awkward: readonly (readonly [string, (text: string) => unknown, (count: number) => string])[] = [
    ['commands', parseSetCommands, (count) => set.repeat(count)],
    ['a command of many words', parseSetCommands, (count) => `set ${'a '.repeat(8 * count)}`],
    ['a value of many quotes', parseSetCommands, (count) => `set a ${`'b'"c"\\d`.repeat(count)}`],
    ['a value of many lines', parseSetCommands, (count) => `set a '${'\n'.repeat(8 * count)}'`],
    ['blocks', parseConfigBoot, (count) => block.repeat(count)],
    [
      'a block with a name of many words',
      parseConfigBoot,
      (count) => `${'a '.repeat(count)}{\n${'b\n'.repeat(count)}}\n`,
    ],
    ['many comments', parseConfigBoot, (count) => '/* a */ // b\n'.repeat(count)],
    ['an open comment', parseConfigBoot, (count) => '/* '.repeat(8 * count)],
    ['a value of many escapes', parseConfigBoot, (count) => `a "${'\\"'.repeat(4 * count)}"`],
    [
      'reports',
      (text) => parseTransaction(text, [], 'w'),
      (count) => `\nw answer 0\n  ${' '.repeat(20)}x\n`.repeat(count),
    ],
    [
      'an answer of blanks',
      (text) => parseTransaction(text, [], 'w'),
      (count) => `\nw answer 0\n${' '.repeat(8 * count)}x`,
    ],
    ['a version of blanks', parseVyosVersion, (count) => `Version: ${' '.repeat(8 * count)}x`],
  ]
  for (const [what, parse, textOf] of awkward) {
    it(`read in time that grows with the length: ${what}`, () => {
      const timeOf = (count: number) => {
        const text = textOf(count)
        const start = processorTime()
        try {
          parse(text)
        } catch (error) {
          assert.ok(isVmrError(error))
        }
        return processorTime() - start
      }
      timeOf(4000)
      const once = Math.min(timeOf(4000), timeOf(4000), timeOf(4000))
      const eightfold = Math.min(timeOf(32_000), timeOf(32_000))
      // Quadratic time would be 64 times as long.
      assert.ok(eightfold < 24 * Math.max(once, 2), `${once} ms, and ${eightfold} ms for eight times as much`)
    })
  }
})
