import assert from 'node:assert/strict'
import { isIPv4, isIPv6 } from 'node:net'
import fc from 'fast-check'
import { type Engine, type Path, type SessionResult, startEngine } from './engine.ts'

const address = fc.oneof(
  fc.tuple(fc.ipV4(), fc.integer({ min: 31, max: 32 })).map(([ip, length]) => `${ip}/${length}`),
  fc.tuple(fc.ipV6(), fc.integer({ min: 0, max: 128 })).map(([ip, length]) => `${ip}/${length}`),
)
/** Any text that the configuration may hold: printable, no single quote (the CLI refuses it), quotes and braces welcome. */
const description = fc.string({ unit: fc.constantFrom(...'aZ0 "\\{}#/*;$`|&'), maxLength: 40 })
const ethernet = fc.constantFrom('eth0', 'eth1', 'eth2', 'eth10')
const path: fc.Arbitrary<Path> = fc.oneof(
  fc.tuple(ethernet, address).map(([name, value]) => ['interfaces', 'ethernet', name, 'address', value]),
  fc.tuple(ethernet, description).map(([name, text]) => ['interfaces', 'ethernet', name, 'description', text]),
  fc
    .tuple(ethernet, fc.integer({ min: 68, max: 16000 }))
    .map(([name, mtu]) => ['interfaces', 'ethernet', name, 'mtu', `${mtu}`]),
  fc
    .tuple(ethernet, fc.integer({ min: 0, max: 4094 }), address)
    .map(([name, id, value]) => [...['interfaces', 'ethernet', name, 'vif', `${id}`, 'address', value]]),
  ethernet.map((name) => ['interfaces', 'ethernet', name, 'disable']),
  ethernet.map((name) => ['interfaces', 'bridge', 'br0', 'member', 'interface', name]),
  fc.constantFrom('1.1.1.1', '2.2.2.2').map((hop) => ['protocols', 'static', 'route', '10.0.0.0/8', 'next-hop', hop]),
  fc.constant(['service', 'ssh']),
)
const configuration = fc.array(path, { maxLength: 12 })

const keys = (paths: readonly Path[]): readonly string[] => paths.map((words) => words.join('\0')).sort()

describe('lab router: configuration engine', function () {
  this.timeout(60_000)
  let engine: Engine
  before(() => {
    engine = startEngine()
  })
  after(() => engine.stop())

  const session = async (base: readonly Path[], ...steps: readonly (readonly unknown[])[]) =>
    (await engine.call('session', base, ...steps)) as SessionResult
  const normalized = async (paths: readonly Path[]) => (await session(paths)).paths

  it('reads back from config.boot every configuration that it wrote', () =>
    fc.assert(
      fc.asyncProperty(configuration, async (paths) => {
        const text = (await engine.call('render', paths)) as string
        const parsed = (await engine.call('parse', text)) as { paths: Path[]; problems: string[] }
        assert.deepEqual(parsed.problems, [])
        assert.deepEqual(parsed.paths, await normalized(paths))
      }),
      { numRuns: 200 },
    ))

  it('accepts exactly the addresses that are addresses', () =>
    fc.assert(
      fc.asyncProperty(
        fc.oneof(fc.ipV4(), fc.ipV6(), fc.string({ unit: fc.constantFrom(...'0129afF:.'), maxLength: 24 })),
        async (text) => {
          const family = isIPv4(text) ? 4 : isIPv6(text) ? 6 : null
          assert.equal(await engine.call('family', text), family)
        },
      ),
      { numRuns: 1000 },
    ))

  it('turns one configuration into another by the commands that compare shows', () =>
    fc.assert(
      fc.asyncProperty(configuration, configuration, async (before, after) => {
        const wanted = await normalized(after)
        const changes = await session(
          before,
          ['rebase', before],
          ['load', (await engine.call('render', after)) as string],
          ['compare', 'commands'],
        )
        const commands = (changes.texts.at(-1) ?? '').split('\n').filter((line) => /^(?:set|delete) /.test(line))
        const steps = commands.map((line) => {
          const words = line.split(' ')
          const quoted = /^(.*) '(.*)'$/s.exec(line)
          return quoted === null ? words : [...(quoted[1] ?? '').split(' '), quoted[2] ?? '']
        })
        const replayed = await session(before, ...steps)
        // Emptied parents may stay behind, as on VyOS: only what carries a value counts.
        assert.deepEqual(keys(replayed.paths.filter(hasValue)), keys(wanted.filter(hasValue)))
      }),
      { numRuns: 200 },
    ))
  const hasValue = (words: Path): boolean =>
    ['address', 'description', 'mtu', 'disable', 'member', 'next-hop'].some((word) => words.includes(word)) &&
    words.at(-1) !== 'member'

  it('shows nothing to compare after a discard, whatever was set and deleted', () =>
    fc.assert(
      fc.asyncProperty(configuration, configuration, configuration, async (base, set, deleted) => {
        const result = await session(
          base,
          ...set.map((words) => ['set', ...words]),
          ...deleted.map((words) => ['delete', ...words]),
          ['discard'],
          ['compare'],
        )
        assert.equal(result.texts.at(-1), 'No changes between working and active configurations.\n\n')
        assert.deepEqual(result.paths, await normalized(base))
      }),
      { numRuns: 100 },
    ))

  it('survives every text in a command: it changes nothing or is answered', () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(fc.oneof(fc.string({ maxLength: 12 }), fc.constantFrom('interfaces', 'ethernet', 'eth0', 'mtu')), {
          maxLength: 6,
        }),
        async (words) => {
          const result = await session([], ['set', ...words])
          assert.ok(
            result.texts[0] === ''
              ? result.paths.length === 1
              : /Set failed\n\n$|already exists\n\n$/.test(result.texts[0] ?? ''),
          )
        },
      ),
      { numRuns: 500 },
    ))

  it('survives every text as a configuration file', () =>
    fc.assert(
      fc.asyncProperty(
        fc.string({ unit: fc.constantFrom(...'interfaces {}\n"\\/*eth0 '), maxLength: 80 }),
        async (text) => {
          const parsed = (await engine.call('parse', text)) as { paths: Path[]; problems: string[] }
          assert.ok(Array.isArray(parsed.paths))
        },
      ),
      { numRuns: 500 },
    ))

  it('keeps a session’s changes when another operator commits meanwhile', async () => {
    const base = [
      ['system', 'host-name', 'a'],
      ['interfaces', 'ethernet', 'eth0', 'mtu', '1400'],
    ]
    const result = await session(
      base,
      ['set', 'interfaces', 'ethernet', 'eth0', 'mtu', '1500'],
      [
        'rebase',
        [
          ['system', 'host-name', 'b'],
          ['interfaces', 'ethernet', 'eth0', 'mtu', '1400'],
        ],
      ],
    )
    assert.deepEqual(result.paths, [
      ['interfaces', 'ethernet', 'eth0', 'mtu', '1500'],
      ['system', 'host-name', 'b'],
    ])
  })

  const answers: readonly (readonly [string, readonly string[], string])[] = [
    ['an unknown first word', ['set', 'firewall'], '\n  Configuration path: [firewall] is not valid\n  Set failed\n\n'],
    [
      'an ambiguous prefix',
      ['set', 'interfaces', 'ethernet', 'eth0', 'd'],
      '\n  Configuration path: interfaces ethernet eth0 [d] is ambiguous\n  Possible completions:\n    description\n    disable\n  Set failed\n\n',
    ],
    [
      'a tag without its value',
      ['set', 'interfaces', 'ethernet'],
      '\n  Configuration path: [interfaces ethernet] requires a value\n  Set failed\n\n',
    ],
    ['a bare set', ['set'], '\n  Need to specify the config node to set\n  Set failed\n\n'],
    ['a unique prefix', ['set', 'int', 'eth', 'eth0', 'dis'], ''],
    [
      'dhcp, which it has no client for',
      ['set', 'interfaces', 'ethernet', 'eth0', 'address', 'dhcp'],
      '\n  dhcp needs a DHCP client, which the lab router does not have\n  Value validation failed\n  Set failed\n\n',
    ],
    [
      'a network where a host is needed',
      ['set', 'interfaces', 'ethernet', 'eth0', 'address', '10.0.0.0/24'],
      '\n  Error: 10.0.0.0/24 is not a valid IP host\n  \n  \n  \n  Invalid value\n  Value validation failed\n  Set failed\n\n',
    ],
    [
      'a single quote',
      ['set', 'interfaces', 'ethernet', 'eth0', 'description', "it's"],
      '\n  Cannot use the "\'" (single quote) character in a value string\n  Set failed\n\n',
    ],
    [
      'deleting a node that is not there',
      ['delete', 'service', 'ssh'],
      '\n  Nothing to delete (the specified node does not exist)\n\n',
    ],
    [
      'deleting an unknown word',
      ['delete', 'interfaces', 'etherned'],
      '\n  Configuration path: interfaces [etherned] is not valid\n  Delete failed\n\n',
    ],
    ['showing nothing', ['show', 'protocols'], 'Configuration under specified path is empty\n'],
    ['edit without a word', ['edit'], '\n  Need to specify the config node to edit\n  Edit failed\n\n'],
  ]
  for (const [what, step, text] of answers) {
    it(`answers ${what} in VyOS’s words`, async () => {
      assert.deepEqual((await session([], step)).texts, [text])
    })
  }

  it('marks changes in show, and names the place of each in compare', async () => {
    const base = [
      ['interfaces', 'ethernet', 'eth0', 'mtu', '1400'],
      ['interfaces', 'ethernet', 'eth0', 'disable'],
      ['service', 'ssh', 'port', '22'],
    ]
    const result = await session(
      base,
      ['set', 'interfaces', 'ethernet', 'eth0', 'mtu', '1500'],
      ['delete', 'interfaces', 'ethernet', 'eth0', 'disable'],
      ['set', 'interfaces', 'ethernet', 'eth0', 'vif', '10', 'address', '10.0.0.1/24'],
      ['set', 'service', 'ssh', 'port', '2222'],
      ['show', 'interfaces'],
      ['compare'],
    )
    assert.equal(
      result.texts[4],
      [
        ' ethernet eth0 {',
        '-    disable',
        '+    mtu 1500',
        '-    mtu 1400',
        '+    vif 10 {',
        '+        address 10.0.0.1/24',
        '+    }',
        ' }',
        '',
      ].join('\n'),
    )
    assert.equal(
      result.texts[5],
      [
        '[interfaces ethernet eth0]',
        '- disable',
        '- mtu "1400"',
        '+ mtu "1500"',
        '+ vif 10 {',
        '+     address "10.0.0.1/24"',
        '+ }',
        '',
        '[service ssh]',
        '+ port "2222"',
        '',
        '',
      ].join('\n'),
    )
  })

  it('moves through the levels of edit, and takes words from there', async () => {
    const result = await session(
      [],
      ['edit', 'interfaces', 'ethernet', 'eth0'],
      ['set', 'mtu', '1400'],
      ['up'],
      ['edit', 'ethernet', 'eth1', 'offload'],
      ['set', 'gro'],
    )
    assert.deepEqual(result.texts, ['', '', '', '', ''])
    assert.equal(result.level, 'interfaces ethernet eth1 offload')
    assert.deepEqual(result.paths, [
      ['interfaces', 'ethernet', 'eth0', 'mtu', '1400'],
      ['interfaces', 'ethernet', 'eth1', 'offload', 'gro'],
    ])
  })
})
