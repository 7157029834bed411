import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { packageRoot } from '../../../src/config/package-root.ts'
import { isVmrError } from '../../../src/errors/vmr-error.ts'
import { renderCommand } from '../../../src/os/vyos/path.ts'
import { loadTemplate } from '../../../src/os/vyos/template/load-template.ts'
import { fillTemplate, parseTemplate, requireNics } from '../../../src/os/vyos/template/template.ts'
import { variableTypeNames } from '../../../src/os/vyos/template/variable-type.ts'
import { wordsOf } from './bash-words.ts'

const key = `ssh-ed25519 ${Buffer.concat([Buffer.from('\0\0\0\x0bssh-ed25519\0\0\0\x20', 'latin1'), Buffer.alloc(32, 7)]).toString('base64')}`
const linesOf = (source: string, values: Readonly<Record<string, string>> = {}) =>
  fillTemplate(parseTemplate(source, 'x.set'), new Map(Object.entries(values))).map(renderCommand)

describe('a VyOS template', () => {
  it('is filled: variables within words and quotes, defaults, parts of a value', () => {
    const source = `# A comment
# var lan: ipv6-cidr  its address
# var vlan: vlan-id = 10
# var owner: string(40) = 'the admin'  who
# var key: ssh-public-key

set interfaces ethernet eth0 vif {{ vlan }} description 'VLAN {{vlan}} of {{owner}}'
  delete   interfaces ethernet eth0 address dhcp\r
set interfaces ethernet eth0.{{vlan}} address {{lan}}
set interfaces tunnel tun0 source-address {{lan.address}}
set system login user vyos authentication public-keys a key {{key.key}}
`
    assert.deepEqual(linesOf(source, { lan: '2001:db8::1/64', key: `${key} me@here\n` }), [
      "set interfaces ethernet 'eth0' vif '10' description 'VLAN 10 of the admin'".replace("'eth0'", 'eth0'),
      'delete interfaces ethernet eth0 address dhcp',
      "set interfaces ethernet 'eth0.10' address '2001:db8::1/64'",
      "set interfaces tunnel tun0 source-address '2001:db8::1'",
      `set system login user vyos authentication public-keys a key '${key.split(' ')[1]}'`,
    ])
  })

  for (const [what, source, message] of [
    ['another command', 'set a b\ncommit\n', /^x\.set:2: a line is a set or delete command/],
    ['a command of another mode', 'set a b\nrun show\n', /^x\.set:2: a line is/],
    ['a double quote', 'set a "b"\n', /^x\.set:1: write " nowhere/],
    ['an open quote', "set a 'b\n", /^x\.set:1: a quote is not closed/],
    ['braces that are no variable', 'set a {{B}}\n', /^x\.set:1: a variable is written as/],
    ['an open variable', '# var b: ipv4\nset a {{b}\n', /^x\.set:2: a variable is written as/],
    ['a variable that is not declared', 'set a {{b}}\n', /^x\.set:1: \{\{b\}\} is not declared/],
    ['a variable that is not used', '# var b: ipv4\nset a b\n', /^x\.set:1: no command uses b/],
    [
      'a type that there is not',
      '# var b: ipv5\nset a {{b}}\n',
      /^x\.set:1: b has the unknown type ipv5; known: ipv4,/,
    ],
    ['a type of an object', '# var b: constructor\nset a {{b}}\n', /^x\.set:1: b has the unknown type/],
    ['a bound out of bounds', '# var b: string(9999)\nset a {{b}}\n', /^x\.set:1: b has the unknown type/],
    ['a declaration that is none', '# var b ipv4\nset a b\n', /^x\.set:1: a variable is declared as/],
    ['a second declaration', '# var b: ipv4\n# var b: ipv6\nset a {{b}}\n', /^x\.set:2: b is declared in line 1/],
    ['a default of another type', '# var b: ipv4 = ::1\nset a {{b}}\n', /^x\.set:1: the default of b must be an IPv4/],
    [
      'a part that there is not',
      '# var b: ipv4\nset a {{b.mask}}\n',
      /^x\.set:2: b is ipv4, and of it there is \{\{b\}\}/,
    ],
    [
      'a key that is not taken apart',
      '# var b: ssh-public-key\nset a {{b}}\n',
      /^x\.set:2: b is ssh-public-key, and of it there is \{\{b\.type\}\} and \{\{b\.key\}\}/,
    ],
    ['no command', '# nothing\n', /^x\.set: there is no command in it/],
    ['what VyOS cannot hold', "set a ''\n", /^x\.set:1: VyOS cannot be given the value ""/],
    ['what is deleted and set', 'set a b c\ndelete a b\n', /^x\.set:1: what line 2 deletes is set here/],
    [
      'a password that VyOS would hash',
      'set system login user a authentication plaintext-password b\n',
      /^x\.set:1: VyOS keeps no plaintext-password/,
    ],
    ['a path of too many words', `set ${'a '.repeat(80)}\n`, /^x\.set:1: a path of more than 64 words/],
  ] as const)
    it(`is refused, with file and line, for ${what}`, () => {
      assert.throws(() => linesOf(source), { code: 'CONFIG_INVALID', message })
    })

  it('tells every value that is missing, of another type or unknown at once, each with its line', () => {
    const source = '# var a: ipv4  the first\n# var b: mtu\n# var c: ipv6-cidr\nset x {{a}} {{b}} {{c}}\n'
    assert.throws(() => linesOf(source, { b: '90', c: '::1', d: 'x' }), {
      code: 'USAGE',
      message: `x.set:1: a has no value (the first): it must be an IPv4 address, such as 192.0.2.1
x.set:2: b is "90": it must be an MTU, 1280 to 65535
x.set:3: c is "::1": it must be an IPv6 address with its prefix length, such as 2001:db8::1/64
x.set: it has no variable "d", but a, b, c`,
    })
  })

  it('sets up no NIC that the VM does not have, and may delete what is left of one', () => {
    const source = 'set interfaces ethernet eth1 mtu 1400\ndelete interfaces ethernet eth9\n'
    const commands = fillTemplate(parseTemplate(source, 'x.set'), new Map())
    requireNics('x.set', commands, 2)
    assert.throws(() => requireNics('x.set', commands, 1), { code: 'CONFIG_INVALID', message: /^x\.set:1: .*no eth1/ })
  })

  it('takes of each type what it is for, and nothing else', () => {
    const good: Readonly<Record<string, readonly string[]>> = {
      ipv4: ['192.0.2.1'],
      ipv6: ['2001:db8::1', '::ffff:192.0.2.1'],
      'ipv4-cidr': ['192.0.2.1/24', '0.0.0.0/0'],
      'ipv6-cidr': ['2001:db8::1/64', '::/0'],
      interface: ['eth0', 'eth0.10', 'br0'],
      'vlan-id': ['1', '4094'],
      mtu: ['1280', '1500', '65535'],
      port: ['1', '22', '65535'],
      number: ['0', '4294967295'],
      'host-name': ['r1', 'R-2'],
      string: ['a b', '$HOME;#x', 'x'.repeat(255)],
      'string(LENGTH)': ['abc'],
    }
    const bad: Readonly<Record<string, readonly string[]>> = {
      ipv4: ['192.0.2', '192.0.2.256', '192.0.2.01', '::1', '192.0.2.1/24'],
      ipv6: ['192.0.2.1', 'fe80::1%eth0', '2001:db8::g'],
      'ipv4-cidr': ['192.0.2.1', '192.0.2.1/33', '192.0.2.1/024', '::1/64', '192.0.2.1/24/24'],
      'ipv6-cidr': ['2001:db8::1', '2001:db8::1/129', '192.0.2.1/24', '::1/-1'],
      interface: ['0eth', 'an interface', 'x'.repeat(16)],
      'vlan-id': ['0', '4095', '010', '1.5'],
      mtu: ['68', '1279', '65536', '1500 ', '1e4', '+1500'],
      port: ['0', '65536', '022', ''],
      number: ['-1', '4294967296', '01', '0x10'],
      'host-name': ['-r1', 'r1.example', 'r 1', 'x'.repeat(64)],
      'ssh-public-key': ['ssh-ed25519', `${key}\n${key}`, `ssh-rsa ${key.split(' ')[1]}`, `command="x" ${key}`],
      string: ['', "it's", 'a\nset b', '"', '\\', '`id`', 'x'.repeat(256)],
      'string(LENGTH)': ['abcd'],
    }
    for (const typeName of variableTypeNames) {
      const of = typeName.replace('LENGTH', '3')
      const fill = (value: string) => linesOf(`# var v: ${of}\nset a b {{v}}\n`, { v: value })
      for (const value of good[typeName] ?? []) assert.equal(fill(value).length, 1, `${typeName}: ${value}`)
      for (const value of bad[typeName] ?? [''])
        assert.throws(() => fill(value), isVmrError, `${typeName}: ${JSON.stringify(value)}`)
    }
  })

  it('lets no value become a second command, or a second word', async () => {
    const awkward = fc.constantFrom(
      ...' \t\n\r\0\'"`$();|&<>#?!~*\\{}/:.-=aé1\u2028\u0085',
      'set ',
      '; ',
      '\nset a b',
      '{{v}}',
    )
    const seeds = fc.constantFrom(
      '192.0.2.1',
      '192.0.2.1/24',
      '2001:db8::1',
      '2001:db8::1/64',
      'eth0',
      '10',
      '1500',
      key,
    )
    const any = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.array(awkward, { maxLength: 8 }).map((parts) => parts.join('')),
      fc.tuple(awkward, seeds, awkward).map((parts) => parts.join('')),
      fc.tuple(seeds, awkward).map((parts) => parts.join('')),
      seeds,
    )
    const lines: string[] = []
    const paths: string[][] = []
    const taken = new Set<string>()
    const types = variableTypeNames.map((name) => name.replace('LENGTH', '80'))
    for (const [type, value] of fc.sample(fc.tuple(fc.constantFrom(...types), any), 20_000)) {
      const whole = type !== 'ssh-public-key'
      const source = `# var v: ${type}\nset a ${whole ? '{{v}}' : '{{v.key}}'} 'x {{${whole ? 'v' : 'v.type'}}} y'\nset last\n`
      try {
        const commands = fillTemplate(parseTemplate(source, 'x.set'), new Map([['v', value]]))
        assert.deepEqual(
          commands.map(({ kind, path }) => [kind, path.length]),
          [
            ['set', 3],
            ['set', 1],
          ],
        )
        lines.push(...commands.map(renderCommand))
        paths.push(...commands.map(({ kind, path }) => [kind, ...path]))
        if (whole) assert.deepEqual(commands[0]?.path, ['a', value, `x ${value} y`])
        taken.add(type)
      } catch (error) {
        if (!isVmrError(error) || error.code !== 'USAGE') throw error
      }
    }
    assert.deepEqual(
      types.filter((type) => !taken.has(type)),
      [],
      'a type of which nothing was taken proves nothing',
    )
    assert.deepEqual(await wordsOf(lines), paths)
  })

  it('may be any text: it is read or refused with a line', () => {
    const piece = fc.constantFrom(
      'set ',
      'delete ',
      'a ',
      "'",
      '"',
      '{{',
      '}}',
      '{{v}}',
      '\n',
      '# var v: ipv4',
      ' = ',
      '#',
      '\\',
      '.',
      '\r\n',
    )
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
        try {
          parseTemplate(pieces.join(''), 'x.set')
        } catch (error) {
          if (!isVmrError(error) || error.code !== 'CONFIG_INVALID') throw error
        }
      }),
      { numRuns: 5000 },
    )
  })
})

describe('the VyOS templates that vmr brings', () => {
  const values: Readonly<Record<string, Readonly<Record<string, string>>>> = {
    'dual-stack-router': {
      host_name: 'r1',
      uplink_ipv4: '192.0.2.2/24',
      uplink_ipv6: '2001:db8::2/64',
      gateway_ipv4: '192.0.2.1',
      gateway_ipv6: '2001:db8::1',
      lan_ipv4: '192.168.1.1/24',
      lan_ipv6: '2001:db8:1::1/64',
    },
    'ssh-key': { key },
    'ds-lite': {
      uplink_ipv6: '2001:db8::2/64',
      gateway_ipv6: '2001:db8::1',
      aftr: '2001:db8:ffff::1',
      lan_ipv4: '192.168.1.1/24',
      lan_ipv6: '2001:db8:1::1/64',
    },
  }

  it('are read with the values that their comments give', async () => {
    const names = (await readdir(join(packageRoot(), 'templates', 'vyos'))).map((name) => name.replace('.set', ''))
    assert.deepEqual(names.toSorted(), Object.keys(values).toSorted())
    for (const [name, given] of Object.entries(values)) {
      const template = await loadTemplate(name)
      const commands = fillTemplate(template, new Map(Object.entries(given)))
      requireNics(template.file, commands, 2)
    }
  })

  it('are found by name, with the known ones for one that is not there, or by path', async () => {
    await assert.rejects(loadTemplate('nope'), {
      code: 'CONFIG_NOT_FOUND',
      hint: /Known: ds-lite, dual-stack-router, ssh-key\./,
    })
    const folder = await mkdtemp(join(tmpdir(), 'vmr-template-'))
    try {
      const file = join(folder, 'own.set')
      await writeFile(file, 'set system host-name r9\n')
      assert.equal((await loadTemplate(file)).file, file)
    } finally {
      await rm(folder, { recursive: true })
    }
  })
})
